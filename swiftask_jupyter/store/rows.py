"""What the ledger knows of earlier rows: answers that need not be asked for again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from statistics import median
from typing import Any

from swiftask_jupyter.replies import Delta, Reply, Usage
from swiftask_jupyter.store.database import AT_ONCE, Database
from swiftask_jupyter.store.turns import storable

RECENT = 50


class EarlierRows:
    """Finds the turns of rows by what was asked."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def known(self, keys: Sequence[str]) -> dict[str, Reply]:
        """Return how requests with these digests ended: the newest answer, else the newest error.

        Where several users share the ledger, only their own count.

        Raises:
            StoreError: the ledger can't be read.
        """
        found: dict[str, Reply] = {}
        with self._database.read() as table:
            for start in range(0, len(keys), AT_ONCE):
                some = keys[start : start + AT_ONCE]
                marks = ", ".join("?" * len(some))
                rows = table.execute(
                    "SELECT key, turns.turn, agent, status, answer, error, raw, seconds, attempts,"  # noqa: S608 - question marks
                    " input_tokens, output_tokens, total_tokens, reported_total, credits,"
                    " usage_source FROM turns JOIN texts ON texts.turn = turns.turn"
                    f" WHERE key IN ({marks}) AND surface = 'batch' AND status IN ('ok', 'error')"
                    f" AND {self._database.mine}"
                    " ORDER BY at, turns.turn",
                    some,
                )
                for key, *row in rows:
                    if row[2] == "ok" or key not in found or found[key].status != "ok":
                        found[key] = _reply(row)
        return found

    def usual_credits(self, agent: str) -> tuple[float, int] | None:
        """Return the median cost of the agent's last calls that told theirs, and their number.

        Raises:
            StoreError: the ledger can't be read.
        """
        with self._database.read() as table:
            rows = table.execute(
                "SELECT credits FROM turns WHERE agent = ? AND status = 'ok'"
                " AND credits IS NOT NULL AND coalesce(cached, 0) = 0 ORDER BY at DESC LIMIT ?",
                (storable(agent), RECENT),
            ).fetchall()
        return (median(spent for (spent,) in rows), len(rows)) if rows else None


def _reply(row: Sequence[Any]) -> Reply:
    turn, agent, status, answer, error, raw, seconds, attempts, *usage = row
    reply = Reply(
        agent or "", turn=turn, status=status, error=error, usage=Usage(*usage),
        seconds=seconds or 0.0, attempts=attempts or 0, raw=json.loads(raw) if raw else {},
    )  # fmt: skip
    reply.apply([Delta(str(answer))] if answer else ())
    return reply
