"""The rules of a conversation: which turns it holds, in which order, and which are stale.

A turn is a prompt and its answer. All functions are pure: they read and write no files. The rules:

- Each turn has a place in the conversation, its slot. For a prompt from a notebook cell, the slot
  is the cell's id, so that the cell fills the same slot when it runs again. Any other prompt gets a
  new slot.
- A slot holds the turns of its newest run that was answered. A turn that failed or was interrupted
  fills no slot and replaces nothing.
- The slots of cells in the saved notebook have the notebook's order. Every other slot comes after
  the slots that were filled before it.
- If a cell ran before the notebook was saved, and the saved file does not contain it, the cell was
  deleted: its slot is not part of the conversation.
- An earlier turn is sent again only to the service that received it first, unless the user shares
  the history (`--share-history`).
- A turn is stale if the earlier turns that were sent with it have changed since.
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


class SavedNotebook(Struct, frozen=True):
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
    notebook: SavedNotebook | None,
    running: str | None = None,
) -> list[Turn]:
    """Return the current turns of the conversation, in order; set the field `stale` of each.

    Args:
        answered: all answered turns, oldest first, including removed and replaced ones.
        marks: the records of later changes, such as an undo, oldest first.
        notebook: the saved notebook; `None` if there is none.
        running: the slot of the running cell, which counts even if the saved notebook lacks it.
    """
    slots, first_filled = _filled_slots(list(answered), list(marks))
    order = _slot_order(slots, first_filled, notebook, running)
    return _with_stale([turn for slot in order for turn in slots[slot]])


def around(
    coming: Turn,
    answered: Iterable[Turn],
    marks: Iterable[Mark],
    notebook: SavedNotebook | None,
) -> tuple[list[Turn], list[Turn]]:
    """Return two lists: the turns before and the turns after a turn that is about to be sent.

    Earlier prompts of the same run of the cell come before it. Turns of an earlier run of the cell
    are in neither list, because the new turn replaces them.
    """
    turns = fold([*answered, coming], marks, notebook, coming.slot)
    here = next(number for number, turn in enumerate(turns) if turn.id == coming.id)
    return turns[:here], turns[here + 1 :]


def service_of(turn: Turn) -> str | None:
    """Return the identity of the service where a turn was said; `None` if that is unknown."""
    return service(turn.host, sandbox=turn.sandbox)


def said_at(turns: Iterable[Turn], identity: str) -> list[Turn]:
    """Return the turns that were said at a service: no other turn may be sent to it unasked."""
    return [turn for turn in turns if service_of(turn) == identity]


def service_name(turn: Turn) -> str:
    """Return what a remark calls the service where a turn was said."""
    known = turn.connection or ("the sandbox" if turn.sandbox else turn.host)
    return sanitize_line(known) if known else "a service that was not recorded"


def remark_on_withheld(withheld: Iterable[Turn], surface: str) -> str:
    """Return the footer's remark on turns that stay with the services where they were said.

    Args:
        withheld: the earlier turns that are not sent along.
        surface: where the prompt was asked; the remark says how to send the turns from there.
    """
    counts = Counter(service_name(turn) for turn in withheld)
    stayed = ", ".join(
        f"{quantity(count, 'earlier turn')} stayed with {name}" for name, count in counts.items()
    )
    how = {"cell": "--share-history", "python": "share_history=True"}.get(surface)
    return f"{stayed}; {how} sends {'it' if counts.total() == 1 else 'them'}" if how else stayed


def stale_after(earlier: Sequence[Turn], filled: Turn, later: Sequence[Turn]) -> list[Turn]:
    """Return the turns of `later` that are stale once `filled` is between `earlier` and `later`.

    A turn is stale if the turns before it have changed since it was sent.
    """
    turns = _with_stale([*earlier, filled, *later])
    return [turn for turn in turns[len(earlier) + 1 :] if turn.stale]


def not_taken_back(answered: Iterable[Turn], marks: Iterable[Mark]) -> set[str]:
    """Return the ids of the turns that were not undone, forgotten, or before a reset.

    Unlike `fold`, it returns those too that a later run of their cell has replaced.
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
    """Return the id of a conversation stored by the service that a new turn can continue.

    The service's conversation must consist of the newest earlier turns with this dialect and agent.
    If it also contains a turn that was replaced or undone, it can't be continued, because no
    service is known to delete single turns. Return `None` if no conversation can be continued.

    Args:
        earlier: the turns before the new one.
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
    """Return two dictionaries by slot: the turns it holds, and the time when it was first filled.

    A slot is a place in the conversation, such as that of a cell. An answer of a comparison that
    the user picked counts from the time of the pick, in the slot that its mark names.
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
    """Return the turns, and copies of the picked ones in the slots that they were given."""
    picked = {mark.turn: mark for mark in marks if mark.kind == "picked"}
    return [
        replace(turn, slot=picked[turn.id].value, at=picked[turn.id].at, run=turn.id)
        if turn.id in picked
        else turn
        for turn in answered
    ]


def _visible(placed: list[Turn], marks: list[Mark]) -> list[Turn]:
    """Return the turns without those that were undone, forgotten, or sent before the last reset."""
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
    """Return whether the user's `forget` of the turn `gone` removes this turn too.

    It removes `gone` itself and the turns of earlier runs in the same slot.
    """
    replaced = turn.slot == gone.slot and turn.run != gone.run and turn.at <= gone.at
    return replaced or turn.id == gone.id


def _slot_order(
    slots: dict[str, list[Turn]],
    first_filled: dict[str, float],
    notebook: SavedNotebook | None,
    running: str | None,
) -> list[str]:
    """Return the slots in the order of the conversation, without those of deleted cells.

    A slot is a place in the conversation; the slot of a cell is the cell's id.
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


def _is_deleted(held: list[Turn], notebook: SavedNotebook) -> bool:
    """Return whether a slot that is not in the saved notebook belongs to a deleted cell.

    A slot is a place in the conversation. Its cell was deleted if it ran before the notebook was
    saved.
    """
    newest = held[-1]
    return newest.cell == newest.slot and newest.at + CLOCK_SKEW < notebook.saved


def _with_stale(turns: list[Turn]) -> list[Turn]:
    """Set `stale` on each turn and return the turns.

    A turn was sent with the earlier turns of its own service, or with all earlier turns if the
    history was shared. It is stale if the digest of neither equals the one stored when it was sent.
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
    """The `history_digest` of a growing list of turns."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._separator = ""

    def value(self) -> str:
        return self._digest.hexdigest()[:16]

    def add(self, turn: Turn) -> None:
        self._digest.update((self._separator + turn.content_digest).encode())
        self._separator = "\n"
