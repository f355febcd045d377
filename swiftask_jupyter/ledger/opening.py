"""Opens the ledger's store: a SQLite file by its path, or PostgreSQL by its URL."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.ledger.sqlite import SQLiteStore
from swiftask_jupyter.ledger.store import Store

HOW_TO_NAME_IT = "write a file's path or postgresql://user:password@host/database"
SCHEMES = ("postgresql", "postgres")
_URL = re.compile(r"(?i)([a-z][a-z0-9+.-]+):/(.*)", re.DOTALL)  # one letter is a drive: C:/turns.db
_KEY_VALUE_DSN = re.compile(  # libpq's other syntax, which is not supported here
    r"(?i)(^|\s)(host|hostaddr|port|user|password|passfile|dbname|service|sslmode)\s*="
)
_USER_AND_PASSWORD = re.compile(r"/*[^/\\]*:[^/\\]*@")  # user:password@host without a scheme


def open_store(name: str | Path | None, environ: Mapping[str, str]) -> Store:
    """Return the store that a path or URL names; files and connections are opened on first use.

    Args:
        name: a path or a `postgresql://` URL; `None` for `SWIFTASK_STORE`, else a file in the
            user's data directory.
        environ: the environment variables.

    Raises:
        ConfigurationError: the name is neither a path nor such a URL. The message does not repeat
            it, because it may hold a password.
    """
    name = name or environ.get("SWIFTASK_STORE") or _data_directory() / "turns.db"
    if (url := _postgres_url(str(name).strip())) is None:
        return SQLiteStore(Path(os.path.expanduser(name)))  # noqa: PTH111 - unlike Path's, it leaves ~nobody alone
    from swiftask_jupyter.ledger.postgres import PostgresStore

    digest = hashlib.sha256(url.encode()).hexdigest()[:16]
    outbox = Path(environ.get("SWIFTASK_OUTBOX") or _data_directory()) / f"outbox-{digest}.db"
    return PostgresStore(url, outbox)


def _postgres_url(name: str) -> str | None:
    """Return the URL as libpq accepts it, or `None` if the name is the path of a file."""
    if found := _URL.match(name):
        scheme, rest = found[1].lower(), found[2]
        if scheme not in SCHEMES or not rest.startswith("/"):
            raise ConfigurationError(
                f"no ledger can be kept in a URL of {scheme}", advice=HOW_TO_NAME_IT
            )
        unescaped = re.search(r"@[^?]*@|/[^?]*@", rest[1:].partition("?")[0])
        # These would make libpq raise an error that repeats the password.
        if unescaped or re.search(r"%(?![0-9a-fA-F]{2})|%00|\s", rest):
            raise ConfigurationError(
                "the ledger's URL can't be read",
                advice="in its password write %40 for @, %2F for /, %25 for % and %20 for a space",
            )
        return f"{scheme}:/{rest}"
    if _KEY_VALUE_DSN.search(name) or _USER_AND_PASSWORD.match(name) or "://" in name:
        raise ConfigurationError("the ledger's name is no path", advice=HOW_TO_NAME_IT)
    return None


def _data_directory() -> Path:
    import platformdirs

    return Path(platformdirs.user_data_dir("swiftask_jupyter", appauthor=False))
