"""The rules of a conversation: which turns it holds now, in which order, and what is stale.

Nothing here reads or writes. The rules in full:

- A turn fills a slot. A cell's slot is its id, so that a re-run fills the same one; what is asked
  elsewhere has a slot of its own. A slot holds the turns of the newest run that answered: a
  failure or an interrupt fills nothing and takes nothing away.
- Slots whose cell stands in the saved notebook come in its order; every other slot comes after
  those that were filled before it. A cell that the notebook was saved without has left.
- A turn is stale when what stood before it was not what stands before it now.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from swiftask_jupyter.answers.reply import Provenance, Usage, listed_files
from swiftask_jupyter.support.structs import Struct, field, replace

SKEW = 2.0  # seconds by which a file's clock may be ahead of ours


class Exchange(Struct):
    """A question that was answered; made anew at each look into the ledger.

    Attributes:
        turn: its id in the ledger.
        at: when it left, in seconds since the epoch.
        number: which turn of its session it is, from 1.
        slot: the place it fills, or `None`.
        cell: the id of the cell that asked, or `None`.
        run: the execution of that cell.
        surface: `cell`, `panel`, `python`, `batch` or `import`.
        agent: the slug that answered.
        dialect: the protocol it travelled by.
        conversation: the service's id of the conversation, as text.
        after: the digest of what stood before it when it was asked, or `None`.
        said: the digest of what was asked and answered.
        stale: whether something else stands before it now.
        prompt: what was asked.
        answer: what was answered.
        raw: what came beside the text.
        usage: what it cost, as reported.
        seconds: from the request to the end.
        provenance: what else the ledger knows of how it came about.
    """

    turn: str
    at: float
    number: int
    slot: str | None
    cell: str | None
    run: str | None
    surface: str
    agent: str
    dialect: str
    conversation: str | None = None
    after: str | None = None
    said: str = ""
    stale: bool = False
    prompt: str = ""
    answer: str = ""
    raw: dict[str, Any] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    provenance: Provenance = Provenance()

    @property
    def spoken(self) -> str:
        """What is told of the answer later: its text, or where the files lie that it was."""
        if self.answer.strip():
            return self.answer
        return "\n".join(each["url"] for each in listed_files(self.raw))


class Mark(Struct, frozen=True):
    """What was done to a turn or to a session, later.

    Attributes:
        at: when, in seconds since the epoch.
        kind: `undone`, `forgotten`, `picked` or `reset`; others do not change a conversation.
        turn: the turn that it is about; `None` for a whole session.
        value: for `picked`, the slot that the turn fills.
    """

    at: float
    kind: str
    turn: str | None = None
    value: str | None = None


class Document(Struct, frozen=True):
    """A saved notebook: the ids of its cells, in order, and when it was saved."""

    cells: tuple[str, ...]
    saved: float


def fold(
    answered: Iterable[Exchange],
    marks: Iterable[Mark],
    document: Document | None,
    running: str | None = None,
) -> list[Exchange]:
    """Return what the conversation holds now, in order, each marked if it is stale.

    Args:
        answered: every turn that was answered, oldest first.
        marks: what was done to them, oldest first.
        document: the saved notebook, where there is one.
        running: the slot of a cell that runs, and so is there, whatever was saved.
    """
    standing, first = _standing(list(answered), list(marks))
    order = _ordered(standing, first, document, running)
    return _judged([exchange for slot in order for exchange in standing[slot]])


def around(
    coming: Exchange,
    answered: Iterable[Exchange],
    marks: Iterable[Mark],
    document: Document | None,
) -> tuple[list[Exchange], list[Exchange]]:
    """Return what stands before a turn that is about to fill its slot, and what after it.

    What its own run has asked already stands before it; what an earlier run did is replaced.
    """
    exchanges = fold([*answered, coming], marks, document, coming.slot)
    here = next(n for n, each in enumerate(exchanges) if each.turn == coming.turn)
    return exchanges[:here], exchanges[here + 1 :]


def digest(exchanges: Iterable[Exchange]) -> str:
    """Return the digest of what was said in them: 16 hex digits."""
    return hashlib.sha256("\n".join(each.said for each in exchanges).encode()).hexdigest()[:16]


def stale_after(
    earlier: Sequence[Exchange], filled: Exchange, later: Sequence[Exchange]
) -> list[Exchange]:
    """Return the later turns that are stale once a slot between is filled."""
    judged = _judged([*earlier, filled, *later])
    return [each for each in judged[len(earlier) + 1 :] if each.stale]


def continued(
    earlier: Sequence[Exchange], sent: Sequence[Exchange], dialect: str, agent: str
) -> str | None:
    """Return the service's conversation that holds the last of what stands before, and no more.

    One that holds a turn that was replaced or taken back can't be gone on with: no service is
    known to forget.

    Args:
        earlier: what stands before the turn to come.
        sent: every turn that was ever sent in the session, however it ended, oldest first.
        dialect: the protocol that will be spoken.
        agent: the agent that will be asked.
    """
    own = [each for each in earlier if (each.dialect, each.agent) == (dialect, agent)]
    if not own or (known := own[-1].conversation) is None:
        return None
    there = [each.turn for each in sent if each.conversation == known]
    return known if there == [each.turn for each in own[-len(there) :]] else None


def _standing(
    answered: list[Exchange], marks: list[Mark]
) -> tuple[dict[str, list[Exchange]], dict[str, float]]:
    """Return the turns that each slot holds, and when each slot was first filled."""
    picked = {mark.turn: mark for mark in marks if mark.kind == "picked"}
    placed = [
        replace(each, slot=picked[each.turn].value, at=picked[each.turn].at, run=each.turn)
        if each.turn in picked
        else each
        for each in answered
    ]
    placed = sorted((each for each in placed if each.slot is not None), key=lambda each: each.at)
    first: dict[str, float] = {}
    for each in placed:
        first.setdefault(str(each.slot), each.at)
    slots: dict[str, list[Exchange]] = {}
    for each in _visible(placed, marks):
        held = slots.setdefault(str(each.slot), [])
        if held and held[-1].run != each.run:
            held.clear()
        held.append(each)
    return slots, first


def _visible(placed: list[Exchange], marks: list[Mark]) -> list[Exchange]:
    """Return the turns that were not undone, forgotten or left behind by a reset."""
    undone = {mark.turn for mark in marks if mark.kind == "undone"}
    reset = max((mark.at for mark in marks if mark.kind == "reset"), default=0.0)
    known = {each.turn: each for each in placed}
    forgotten = [known[mark.turn] for mark in marks if mark.kind == "forgotten"
                 and mark.turn in known]  # fmt: skip
    return [
        each
        for each in placed
        if each.turn not in undone
        and each.at > reset
        and not any(_went_with(each, gone) for gone in forgotten)
    ]


def _went_with(each: Exchange, gone: Exchange) -> bool:
    """Tell whether a turn was forgotten with another: it is that one, or one it had replaced."""
    replaced = each.slot == gone.slot and each.run != gone.run and each.at <= gone.at
    return replaced or each.turn == gone.turn


def _ordered(
    standing: dict[str, list[Exchange]],
    first: dict[str, float],
    document: Document | None,
    running: str | None,
) -> list[str]:
    cells = document.cells if document is not None else ()
    order = [cell for cell in cells if cell in standing]
    filled = {slot: (first[slot], held[0].turn) for slot, held in standing.items()}
    for slot in sorted(standing.keys() - set(cells), key=filled.__getitem__):
        if document is not None and slot != running and _left(standing[slot], document):
            continue
        place = len(order)  # from the end: most often it is the newest of all
        while place and filled[order[place - 1]] >= filled[slot]:
            place -= 1
        order.insert(place, slot)
    return order


def _left(held: list[Exchange], document: Document) -> bool:
    """Tell whether the notebook was saved, since the cell ran, without the cell."""
    newest = held[-1]
    return newest.cell == newest.slot and newest.at + SKEW < document.saved


def _judged(exchanges: list[Exchange]) -> list[Exchange]:
    """Mark each turn that was asked after something else than what stands before it."""
    running = hashlib.sha256()
    for number, each in enumerate(exchanges):
        now = running.hexdigest()[:16]
        each.stale = each.after is not None and each.after != now
        running.update((("\n" if number else "") + each.said).encode())
    return exchanges
