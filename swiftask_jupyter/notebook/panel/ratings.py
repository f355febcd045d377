"""What the user thinks of answers, kept as marks of the ledger."""

from __future__ import annotations

from collections.abc import Iterable

from swiftask_jupyter.conversation import Mark
from swiftask_jupyter.store import History

WORDS = {True: "good", False: "bad", None: None}


def rate(
    history: History, session: str, turn: str, *, liked: bool | None, comment: str | None
) -> None:
    """Keep a rating, and a comment unless it is `None`: then an earlier one stays."""
    history.mark("liked", session, turn, WORDS[liked])
    if comment is not None:
        history.mark("comment", session, turn, comment)


def rated(marks: Iterable[Mark]) -> tuple[dict[str, bool | None], dict[str, str]]:
    """Return the newest rating and the newest comment of each turn that has one."""
    liked = {word: liked for liked, word in WORDS.items()}
    marks = tuple(marks)
    return (
        {str(mark.turn): liked.get(mark.value) for mark in marks if mark.kind == "liked"},
        {str(mark.turn): mark.value or "" for mark in marks if mark.kind == "comment"},
    )
