"""The table of turns: each begun when its request leaves, and completed once when it ends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from swiftask_jupyter.answers.turn import Turn, content_digest
from swiftask_jupyter.ledger import schema
from swiftask_jupyter.ledger.owner import this_process
from swiftask_jupyter.ledger.predicates import IS_CALL
from swiftask_jupyter.ledger.schema import storable
from swiftask_jupyter.ledger.store import Store, StoreConnection


class Turns:
    """The table of all turns, with their texts."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self, turn: Turn, least: int = 0) -> None:
        """Write the row of a request that is about to leave, and number it in its session.

        Args:
            turn: what is asked, and where; its `number` is set.
            least: the highest number of the turns that the session took over from another.

        Raises:
            StoreError: the ledger can't be written.
        """
        with self._store.write() as rows:
            (highest,) = rows.execute(
                "SELECT max(number) FROM turns WHERE session = ?", (storable(turn.session),)
            ).fetchone()
            turn.number = max(highest or 0, least) + 1
            _insert(rows, turn)

    def complete(self, turn: Turn) -> None:
        """Write how the turn ended. A turn that has ended is not written again.

        Raises:
            StoreError: the ledger can't be written.
        """
        with self._store.write() as rows:
            _complete(rows, turn)

    def group(self, begun: Iterable[Turn], ended: Iterable[Turn]) -> None:
        """Begin and complete many turns in one transaction, at a fourth of the cost.

        The caller numbers them.

        Raises:
            StoreError: the ledger can't be written.
        """
        with self._store.write() as rows:
            for turn in begun:
                _insert(rows, turn)
            for turn in ended:
                _complete(rows, turn)

    def refuse(self, turn: Turn) -> None:
        """Write the row of a prompt that was not sent.

        Raises:
            StoreError: the ledger can't be written.
        """
        with self._store.write() as rows:
            _insert(rows, turn)

    def costs(self, agent: str, most: int = 5) -> list[tuple[Any, ...]]:
        """Return what the agent's last successful calls cost, newest first.

        Each row: input tokens, output tokens, reported total, credits, seconds.

        Raises:
            StoreError: the ledger can't be read.
        """
        with self._store.read() as table:
            return list(
                table.execute(
                    "SELECT input_tokens, output_tokens, reported_total, credits, seconds"  # noqa: S608 - our own words
                    f" FROM turns WHERE agent = ? AND status = 'ok' AND {IS_CALL}"
                    " ORDER BY at DESC LIMIT ?",
                    (storable(agent), most),
                )
            )


def _insert(rows: StoreConnection, turn: Turn) -> None:
    row, texts = schema.insert("turns", "owner"), schema.insert("texts")
    rows.execute(row.sql, (*row.values(turn), this_process()))
    rows.execute(texts.sql, texts.values(turn))


def _complete(rows: StoreConnection, turn: Turn) -> None:
    turn.answer = turn.text
    turn.content_digest = content_digest(turn.prompt, turn.answer)
    row, texts = schema.update("turns"), schema.update("texts")
    changed = rows.execute(
        f"{row.sql} WHERE turn = ? AND status = 'running'", (*row.values(turn), turn.id)
    ).rowcount
    if changed:
        rows.execute(f"{texts.sql} WHERE turn = ?", (*texts.values(turn), turn.id))
