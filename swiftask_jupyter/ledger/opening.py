"""Opens the ledger that is named: a SQLite file, or PostgreSQL by its URL."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.ledger.sqlite import Database

HOW_TO_NAME_IT = "write a file's path or postgresql://user:password@host/database"
SERVERS = ("postgresql", "postgres")
_URL = re.compile(r"(?i)([a-z][a-z0-9+.-]+):/(.*)", re.DOTALL)  # one letter is a drive: C:/turns.db
_SETTING = re.compile(  # libpq's other form
    r"(?i)(^|\s)(host|hostaddr|port|user|password|passfile|dbname|service|sslmode)\s*="
)
_LOGIN = re.compile(r"/*[^/\\]*:[^/\\]*@")  # user:password@host, and no scheme


def opened(named: str | Path | None, environ: os._Environ[str] | dict[str, str]) -> Database:
    """Return the database; nothing is connected or made before it is used.

    Args:
        named: a path or a URL; `None` for `SWIFTASK_STORE`, else the user's data directory.
        environ: the environment.

    Raises:
        ConfigurationError: it is neither.
    """
    named = named or environ.get("SWIFTASK_STORE") or _folder() / "turns.db"
    if (url := _server(str(named).strip())) is None:
        return Database(Path(os.path.expanduser(named)))  # noqa: PTH111 - unlike Path's, it leaves ~nobody alone
    from swiftask_jupyter.ledger.postgres import Postgres

    place = hashlib.sha256(url.encode()).hexdigest()[:16]
    outbox = Path(environ.get("SWIFTASK_OUTBOX") or _folder()) / f"outbox-{place}.db"
    return Postgres(url, outbox)  # type: ignore[return-value]  # it offers the same


def _server(named: str) -> str | None:
    """Return the URL as libpq takes it, `None` for a file's path.

    What is neither is refused and not repeated: a password may stand anywhere in it.
    """
    if found := _URL.match(named):
        scheme, rest = found[1].lower(), found[2]
        if scheme not in SERVERS or not rest.startswith("/"):
            raise ConfigurationError(
                f"no ledger can be kept in a URL of {scheme}", advice=HOW_TO_NAME_IT
            )
        amiss = re.search(r"@[^?]*@|/[^?]*@", rest[1:].partition("?")[0])
        # What libpq would say of these repeats the password.
        if amiss or re.search(r"%(?![0-9a-fA-F]{2})|%00|\s", rest):
            raise ConfigurationError(
                "the ledger's URL can't be read",
                advice="in its password write %40 for @, %2F for /, %25 for % and %20 for a space",
            )
        return f"{scheme}:/{rest}"
    if _SETTING.search(named) or _LOGIN.match(named) or "://" in named:
        raise ConfigurationError("the ledger's name is no path", advice=HOW_TO_NAME_IT)
    return None


def _folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_data_dir("swiftask_jupyter", appauthor=False))
