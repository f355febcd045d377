"""Opens the ledger that is named: a SQLite file, or PostgreSQL by its URL."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from swiftask_jupyter.store.database import Database

SCHEMES = ("postgresql://", "postgres://")


def opened(named: str | Path | None, environ: os._Environ[str] | dict[str, str]) -> Database:
    """Return the database; nothing is connected or made before it is used.

    Args:
        named: a path or a URL; `None` for `SWIFTASK_STORE`, else the user's data directory.
        environ: the environment.
    """
    named = named or environ.get("SWIFTASK_STORE") or _folder() / "turns.db"
    if isinstance(named, str) and named.startswith(SCHEMES):
        from swiftask_jupyter.store.postgres import Postgres

        place = hashlib.sha256(named.encode()).hexdigest()[:16]
        outbox = Path(environ.get("SWIFTASK_OUTBOX") or _folder()) / f"outbox-{place}.db"
        return Postgres(named, outbox)  # type: ignore[return-value]  # it offers the same
    return Database(Path(named).expanduser())


def _folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_data_dir("swiftask_jupyter", appauthor=False))
