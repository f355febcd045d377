"""Brings the tables of a PostgreSQL database up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swiftask_jupyter.store.migrations import MIGRATIONS, POSTGRES
from swiftask_jupyter.store.statements import translated

if TYPE_CHECKING:
    import psycopg


def bring_up_to_date(connection: psycopg.Connection, lock: int) -> None:
    """Add the tables and columns that are missing; one process at a time."""
    with connection.transaction():
        connection.execute(f"SELECT pg_advisory_xact_lock({lock})".encode())
        connection.execute("CREATE TABLE IF NOT EXISTS swiftask_schema (version BIGINT NOT NULL)")
        row = connection.execute("SELECT coalesce(max(version), 0) FROM swiftask_schema").fetchone()
        version = int(row[0]) if row else 0
        for number, statements in enumerate(MIGRATIONS[version:], version + 1):
            for statement in (*statements, *POSTGRES.get(number, ())):
                connection.execute(translated(statement)[0].encode())
            connection.execute("INSERT INTO swiftask_schema VALUES (%s)", (number,))
