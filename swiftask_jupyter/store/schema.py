"""Brings the tables of a PostgreSQL database up to date.

Whoever connects first, or first with a newer version, needs the right to CREATE in the schema, and
owns the tables. All others need no more than:

    GRANT USAGE ON SCHEMA public TO team;
    GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO team;
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swiftask_jupyter.store.migrations import MIGRATIONS, POSTGRES
from swiftask_jupyter.store.statements import translated

if TYPE_CHECKING:
    import psycopg


def bring_up_to_date(connection: psycopg.Connection, lock: int) -> None:
    """Add the tables and columns that are missing; one process at a time."""
    if _version(connection) >= len(MIGRATIONS):
        return  # not even IF NOT EXISTS is allowed to a role that may create nothing
    with connection.transaction():
        connection.execute(f"SELECT pg_advisory_xact_lock({lock})".encode())
        connection.execute("CREATE TABLE IF NOT EXISTS swiftask_schema (version BIGINT NOT NULL)")
        version = _version(connection)
        for number, statements in enumerate(MIGRATIONS[version:], version + 1):
            for statement in (*statements, *POSTGRES.get(number, ())):
                connection.execute(translated(statement)[0].encode())
            connection.execute("INSERT INTO swiftask_schema VALUES (%s)", (number,))


def _version(connection: psycopg.Connection) -> int:
    """Return how many migrations were made; 0 where there are no tables yet."""
    found = connection.execute("SELECT to_regclass('swiftask_schema') IS NOT NULL").fetchone()
    if found is None or not found[0]:
        return 0
    row = connection.execute("SELECT coalesce(max(version), 0) FROM swiftask_schema").fetchone()
    return int(row[0]) if row else 0
