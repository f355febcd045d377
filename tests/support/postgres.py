"""A PostgreSQL server of our own on loopback: where it is, how to get one, and one that runs.

As a script (`python tests/postgres.py`) it installs Debian's if there is none. It always ends
well: without a server the tests that need one are skipped, and say so.
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
STOP = ("-w", "-t", "60", "-m", "immediate", "stop")  # at once, as a crash does
NO_SERVER = "no PostgreSQL server; run `make test`, which installs one"


def find() -> Path | None:
    """Return the folder of the server's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    if not found and (on_path := shutil.which("initdb")):
        found = [Path(on_path)]
    return found[0].parent if found else None


def install() -> None:
    """Install Debian's server, where that is possible."""
    if not (apt := shutil.which("apt-get")):
        return
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    quiet = [*as_root, "env", "DEBIAN_FRONTEND=noninteractive", apt, "-q", "-y"]
    for what in (["update"], ["install", "--no-install-recommends", "postgresql"]):
        subprocess.run([*quiet, *what], stdin=subprocess.DEVNULL, check=False)


# Ends the server when the tests have, however they did: its standard input is closed then.
WATCH = """
import shutil, subprocess, sys
sys.stdin.read()
subprocess.run(sys.argv[2:], cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
shutil.rmtree(sys.argv[1])
"""


class Server:
    """A server with a folder and a port of its own, which keeps nothing after `remove`."""

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
            start_new_session=True,  # no Ctrl-C of the tests' ends it first
        )
        self._run("initdb", "--auth=trust", "--no-sync", "--encoding=UTF8", "--username=ada")

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"
            " -c fsync=off -c full_page_writes=off -c shared_buffers=32MB"
        )
        self._run(
            "pg_ctl", "-w", "-t", "60", "-l", str(self._folder / "log"), "-o", options, "start"
        )

    def stop(self) -> None:
        """Stop at once, as a crash does."""
        self._run("pg_ctl", *STOP)

    def database(self) -> str:
        """Make an empty place for a ledger; return its URL.

        It is a schema of its own: a database for each test takes a while, and some megabytes.
        """
        import psycopg

        self._count += 1
        name = f"turns{self._count}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}".encode())
        return f"{self.url()}?options=-csearch_path%3D{name}"

    def url(self) -> str:
        """Return the server's own database's URL."""
        return f"postgresql://ada@127.0.0.1:{self.port}/postgres"

    def remove(self) -> None:
        """Stop, and delete everything."""
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
