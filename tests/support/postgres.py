"""A temporary PostgreSQL server on loopback, for tests.

Run as a script, `python tests/support/postgres.py` installs Debian's package if no server is
installed. It always exits with status 0: without a server, the tests that need one are skipped.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

MISSING = """
==================================================================================
 NO POSTGRESQL SERVER, AND NONE COULD BE INSTALLED.
 Will not run: the store's tests on PostgreSQL.
 Install it (Debian: apt-get install postgresql), and run this again.
==================================================================================
"""
STOP = ("-w", "-t", "60", "-m", "immediate", "stop")  # without a clean shutdown, like a crash
NO_SERVER = "no PostgreSQL server; run `make test`, which installs one"


def find() -> Path | None:
    """Return the folder with the server's programs, or `None` if it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    if not found and (on_path := shutil.which("initdb")):
        found = [Path(on_path)]
    return found[0].parent if found else None


def install() -> None:
    """Install Debian's package if apt-get is available."""
    if not (apt := shutil.which("apt-get")):
        return
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    quiet = [*as_root, "env", "DEBIAN_FRONTEND=noninteractive", apt, "-q", "-y"]
    for what in (["update"], ["install", "--no-install-recommends", "postgresql"]):
        subprocess.run([*quiet, *what], stdin=subprocess.DEVNULL, check=False)


# A process that stops the server when its standard input is closed: when the tests have ended, in
# whatever way.
WATCH = """
import shutil, subprocess, sys
sys.stdin.read()
subprocess.run(sys.argv[2:], cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
shutil.rmtree(sys.argv[1])
"""


class Server:
    """A PostgreSQL server with its own folder and port; `remove` deletes everything."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._folder = Path(tempfile.mkdtemp(prefix="swiftask-postgres-"))
        if os.geteuid() == 0:  # the server refuses to run as root
            shutil.chown(self._folder, "postgres", "postgres")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._count = 0
        self._watcher = subprocess.Popen(
            [sys.executable, "-c", WATCH, str(self._folder), *self._command("pg_ctl", *STOP)],
            stdin=subprocess.PIPE,
            start_new_session=True,  # so that Ctrl-C does not stop it before the tests
        )
        self._run("initdb", "--auth=trust", "--no-sync", "--encoding=UTF8", "--username=ada")

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"
            " -c fsync=off -c full_page_writes=off -c shared_buffers=32MB"
        )
        self._run(
            "pg_ctl", "-w", "-t", "60", "-l", str(self._folder / "log"), "-o", options, "start"
        )

    def stop(self) -> None:
        """Stop the server without a clean shutdown, like a crash."""
        self._run("pg_ctl", *STOP)

    def database(self) -> str:
        """Create an empty schema for a ledger and return its URL.

        Creating a whole database for each test would take longer, and some megabytes.
        """
        import psycopg

        self._count += 1
        name = f"turns{self._count}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}".encode())
        return f"{self.url()}?options=-csearch_path%3D{name}"

    def url(self) -> str:
        """Return the URL of the server's default database."""
        return f"postgresql://ada@127.0.0.1:{self.port}/postgres"

    def remove(self) -> None:
        """Stop the server and delete its folder."""
        assert self._watcher.stdin is not None
        self._watcher.stdin.close()
        self._watcher.wait()

    def _command(self, program: str, *arguments: str) -> list[str]:
        command = [str(self._programs / program), "-D", str(self._folder / "data"), *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        return command

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            self._command(program, *arguments),
            check=True,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


if __name__ == "__main__":
    if find() is None:
        install()
    if find() is None:
        sys.stdout.write(MISSING)
