"""The rules of a conversation: which turns it holds, in which order, and which are stale.

A turn is a prompt and its answer. All functions are pure: they read and write no files. The rules:

- Each turn has a place in the conversation, its slot. For a prompt from a notebook cell, the slot
  is the cell's id, so that the cell fills the same slot when it runs again. Any other prompt gets a
  new slot.
- A slot holds the turns of its newest answered run. A turn that failed or was interrupted fills no
  slot and replaces nothing.
- The slots of cells in the saved notebook have the notebook's order. Every other slot comes after
  the slots that were filled earlier.
- If a cell ran before the notebook was saved, and the saved file does not contain the cell, the
  cell was deleted. The slot of a deleted cell is not part of the conversation.
- An earlier turn is sent again only to the service that received it first, unless the user shares
  the history (`--share-history`).
- A turn is stale if the earlier turns that were sent with it have changed.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence

from swiftask_jupyter.answers.turn import Turn
from swiftask_jupyter.ledger.history import Mark
from swiftask_jupyter.settings.connection import service
from swiftask_jupyter.support.sanitize import sanitize_line
from swiftask_jupyter.support.structs import Struct, replace
from swiftask_jupyter.support.wording import quantity

CLOCK_SKEW = 2.0  # seconds by which a file system's clock may be ahead of this machine's


class NotebookSnapshot(Struct, frozen=True):
    """The cell ids of a saved notebook, and the time when it was saved.

    Attributes:
        cells: the ids of the cells, in the notebook's order.
        saved: when the file was written, in seconds since the epoch.
    """

    cells: tuple[str, ...]
    saved: float


def fold(
    answered: Iterable[Turn],
    marks: Iterable[Mark],
    notebook: NotebookSnapshot | None,
    running: str | None = None,
) -> list[Turn]:
    """Return the current turns of the conversation, in order; set the field `stale` of each turn.

    Args:
        answered: all answered turns, oldest first, including removed and replaced turns.
        marks: the records of later changes, such as an undo, oldest first.
        notebook: the saved notebook; `None` if there is none.
        running: the slot of the running cell. The slot is kept even if the saved notebook lacks the
            cell.
    """
    slots, first_filled = _filled_slots(list(answered), list(marks))
    order = _slot_order(slots, first_filled, notebook, running)
    return _with_stale([turn for slot in order for turn in slots[slot]])


def around(
    coming: Turn,
    answered: Iterable[Turn],
    marks: Iterable[Mark],
    notebook: NotebookSnapshot | None,
) -> tuple[list[Turn], list[Turn]]:
    """Return the turns before `coming` and the turns after `coming`, a turn that will be sent.

    A run of a cell can send several turns. Earlier turns of the run that sends `coming` are in the
    first list. The turns of earlier runs of the cell are in neither list, because `coming` replaces
    the turns of earlier runs.
    """
    turns = fold([*answered, coming], marks, notebook, coming.slot)
    here = next(number for number, turn in enumerate(turns) if turn.id == coming.id)
    return turns[:here], turns[here + 1 :]


def service_of(turn: Turn) -> str | None:
    """Return the identity of the service that received a turn; `None` if the service is unknown."""
    return service(turn.host, sandbox=turn.sandbox)


def said_at(turns: Iterable[Turn], identity: str) -> list[Turn]:
    """Return the turns that were sent to the service with this identity."""
    return [turn for turn in turns if service_of(turn) == identity]


def service_name(turn: Turn) -> str:
    """Return the name of the service that received a turn, for remarks to the user."""
    known = turn.connection or ("the sandbox" if turn.sandbox else turn.host)
    return sanitize_line(known) if known else "a service that was not recorded"


def remark_on_withheld(withheld: Iterable[Turn], surface: str) -> str:
    """Return a remark on earlier turns that are not sent because other services received them.

    Args:
        withheld: the earlier turns that are not sent.
        surface: where the user wrote the prompt: `cell`, `panel` or `python`. For a cell and for
            Python, the remark names the option that sends the turns.
    """
    counts = Counter(service_name(turn) for turn in withheld)
    stayed = ", ".join(
        f"{quantity(count, 'earlier turn')} stayed with {name}" for name, count in counts.items()
    )
    how = {"cell": "--share-history", "python": "share_history=True"}.get(surface)
    return f"{stayed}; {how} sends {'it' if counts.total() == 1 else 'them'}" if how else stayed


def stale_after(earlier: Sequence[Turn], filled: Turn, later: Sequence[Turn]) -> list[Turn]:
    """Return the turns of `later` that are stale if `filled` comes before these turns.

    A turn is stale if the turns before it have changed since it was sent.
    """
    turns = _with_stale([*earlier, filled, *later])
    return [turn for turn in turns[len(earlier) + 1 :] if turn.stale]


def not_taken_back(answered: Iterable[Turn], marks: Iterable[Mark]) -> set[str]:
    """Return the ids of all turns that the user has not removed by undo, forget or reset.

    A turn is included even if a later run of its cell has replaced it.
    """
    marks = list(marks)
    placed = [
        replace(turn, slot=turn.id) if turn.slot is None else turn
        for turn in _with_picks(answered, marks)
    ]
    return {turn.id for turn in _visible(placed, marks)}


def continued(
    earlier: Sequence[Turn], sent: Sequence[Turn], dialect: str, agent: str
) -> int | str | None:
    """Return the service's id of the conversation that a new turn can continue, or `None`.

    A conversation on the service can be continued if it consists of the newest earlier turns with
    this dialect and agent. A conversation with a replaced or undone turn can't be continued,
    because no service is known to delete single turns.

    Args:
        earlier: the turns before the new turn.
        sent: every turn that was ever sent in the conversation, oldest first.
        dialect: the protocol of the new turn.
        agent: the slug of the new turn's agent.
    """
    own = [turn for turn in earlier if (turn.dialect, turn.agent) == (dialect, agent)]
    if not own or (known := own[-1].conversation) is None:
        return None
    there = [turn.id for turn in sent if turn.conversation == known]
    return known if there == [turn.id for turn in own[-len(there) :]] else None


def _filled_slots(
    answered: list[Turn], marks: list[Mark]
) -> tuple[dict[str, list[Turn]], dict[str, float]]:
    """Return a dict that maps slots to turns, and a dict that maps slots to the first turn's time.

    A slot is a place in the conversation, such as the place of a cell. A turn that the user picked
    from a comparison has the slot and the time of the pick.
    """
    placed = _with_picks(answered, marks)
    placed = sorted((turn for turn in placed if turn.slot is not None), key=lambda turn: turn.at)
    first_filled: dict[str, float] = {}
    for turn in placed:
        first_filled.setdefault(str(turn.slot), turn.at)
    slots: dict[str, list[Turn]] = {}
    for turn in _visible(placed, marks):
        held = slots.setdefault(str(turn.slot), [])
        if held and held[-1].run != turn.run:
            held.clear()
        held.append(turn)
    return slots, first_filled


def _with_picks(answered: Iterable[Turn], marks: list[Mark]) -> list[Turn]:
    """Return the turns; a picked turn is replaced by a copy with the slot and time of the pick."""
    picked = {mark.turn: mark for mark in marks if mark.kind == "picked"}
    return [
        replace(turn, slot=picked[turn.id].value, at=picked[turn.id].at, run=turn.id)
        if turn.id in picked
        else turn
        for turn in answered
    ]


def _visible(placed: list[Turn], marks: list[Mark]) -> list[Turn]:
    """Return the turns that the user has not removed by undo, forget or reset."""
    undone = {mark.turn for mark in marks if mark.kind == "undone"}
    reset = max((mark.at for mark in marks if mark.kind == "reset"), default=0.0)
    known = {turn.id: turn for turn in placed}
    forgotten = [
        known[mark.turn] for mark in marks if mark.kind == "forgotten" and mark.turn in known
    ]
    return [
        turn
        for turn in placed
        if turn.id not in undone
        and turn.at > reset
        and not any(_is_forgotten_with(turn, gone) for gone in forgotten)
    ]


def _is_forgotten_with(turn: Turn, gone: Turn) -> bool:
    """Return whether `forget` of the turn `gone` also removes `turn`.

    `forget` removes the turn `gone` itself and the turns of earlier runs in the same slot.
    """
    replaced = turn.slot == gone.slot and turn.run != gone.run and turn.at <= gone.at
    return replaced or turn.id == gone.id


def _slot_order(
    slots: dict[str, list[Turn]],
    first_filled: dict[str, float],
    notebook: NotebookSnapshot | None,
    running: str | None,
) -> list[str]:
    """Return the slots in the order of the conversation, without the slots of deleted cells.

    A slot is a place in the conversation. The slot of a cell is the cell's id.
    """
    cells = notebook.cells if notebook is not None else ()
    order = [cell for cell in cells if cell in slots]
    filled = {slot: (first_filled[slot], held[0].id) for slot, held in slots.items()}
    for slot in sorted(slots.keys() - set(cells), key=filled.__getitem__):
        if notebook is not None and slot != running and _is_deleted(slots[slot], notebook):
            continue
        place = len(order)  # searched from the end: most slots are newer than all others
        while place and filled[order[place - 1]] >= filled[slot]:
            place -= 1
        order.insert(place, slot)
    return order


def _is_deleted(held: list[Turn], notebook: NotebookSnapshot) -> bool:
    """Return whether a slot belongs to a deleted cell, given the turns that the slot holds.

    Call this function only for a slot that the saved notebook lacks. If the slot belongs to a cell,
    and the cell ran before the notebook was saved, the cell was deleted.
    """
    newest = held[-1]
    return newest.cell == newest.slot and newest.at + CLOCK_SKEW < notebook.saved


def _with_stale(turns: list[Turn]) -> list[Turn]:
    """Set the field `stale` of each turn and return the turns.

    Each turn stores a digest of the turns that were sent with it: the earlier turns of its service,
    or all earlier turns. A turn is stale if both lists now have another digest. A turn without a
    digest is not stale.
    """
    everything = _RunningDigest()
    by_service: dict[str | None, _RunningDigest] = {}
    for turn in turns:
        own = by_service.setdefault(service_of(turn), _RunningDigest())
        fresh = (None, own.value(), everything.value())
        turn.stale = turn.history_digest not in fresh
        own.add(turn)
        everything.add(turn)
    return turns


class _RunningDigest:
    """Computes the `history_digest` of a list of turns while turns are added to the list."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._separator = ""

    def value(self) -> str:
        return self._digest.hexdigest()[:16]

    def add(self, turn: Turn) -> None:
        self._digest.update((self._separator + turn.content_digest).encode())
        self._separator = "\n"
