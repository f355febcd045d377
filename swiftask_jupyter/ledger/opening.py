"""Chooses the ledger's database: a SQLite file for a path, PostgreSQL for a URL."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.ledger.sqlite import SQLiteStore
from swiftask_jupyter.ledger.store import Store

if TYPE_CHECKING:
    from swiftask_jupyter.ledger.outbox import Outbox

HOW_TO_NAME_IT = "write a file's path or postgresql://user:password@host/database"
SCHEMES = ("postgresql", "postgres")
# A scheme has at least two letters: a single letter is a drive, as in C:/turns.db.
_URL = re.compile(r"(?i)([a-z][a-z0-9+.-]+):/(.*)", re.DOTALL)
_KEY_VALUE_DSN = re.compile(  # libpq's other syntax, which is not supported here
    r"(?i)(^|\s)(host|hostaddr|port|user|password|passfile|dbname|service|sslmode)\s*="
)
_USER_AND_PASSWORD = re.compile(r"/*[^/\\]*:[^/\\]*@")  # user:password@host without a scheme


def open_store(name: str | Path | None, environ: Mapping[str, str]) -> Store:
    """Return the ledger's database for a path or URL; the first use opens or creates the database.

    Args:
        name: the path of a SQLite file, or a `postgresql://` URL. If the name is `None` or empty,
            the environment variable `SWIFTASK_STORE` is used. If the variable is also empty, the
            file `turns.db` in the user's data directory is used.
        environ: the environment variables. For PostgreSQL, `SWIFTASK_OUTBOX` names the folder of
            the outbox. The outbox is a file with transactions that wait for the server. The default
            folder is the user's data directory.

    Raises:
        ConfigurationError: the name is neither a path nor a valid PostgreSQL URL. The error message
            omits the name, because a URL may hold a password.
    """
    name = name or environ.get("SWIFTASK_STORE") or _data_directory() / "turns.db"
    if (url := _postgres_url(str(name).strip())) is None:
        return SQLiteStore(Path(os.path.expanduser(name)))  # noqa: PTH111 - Path's raises for an unknown user
    from swiftask_jupyter.ledger.postgres import PostgresStore

    digest = hashlib.sha256(url.encode()).hexdigest()[:16]
    outbox = Path(environ.get("SWIFTASK_OUTBOX") or _data_directory()) / f"outbox-{digest}.db"
    return PostgresStore(url, outbox)


def outbox_of(store: Store) -> Outbox | None:
    """Return the outbox of a PostgreSQL store. For a SQLite store, return `None`."""
    found: Outbox | None = getattr(store, "outbox", None)
    return found


def _postgres_url(name: str) -> str | None:
    """Return the PostgreSQL URL with its scheme in lower case; return `None` for a path.

    Raises:
        ConfigurationError: the name is a malformed URL, a URL with another scheme, or a libpq
            connection string such as `host=… user=…`.
    """
    if found := _URL.match(name):
        scheme, rest = found[1].lower(), found[2]
        if scheme not in SCHEMES or not rest.startswith("/"):
            raise ConfigurationError(
                f"no ledger can be kept in a URL of {scheme}", advice=HOW_TO_NAME_IT
            )
        unescaped = re.search(r"@[^?]*@|/[^?]*@", rest[1:].partition("?")[0])
        # libpq's error message for these mistakes would contain the password.
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
