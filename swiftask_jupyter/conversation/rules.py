"""The rules of a conversation: which turns it holds, in which order, and which are stale.

Pure functions; nothing here reads or writes. The rules in full:

- A turn fills a slot. The slot of a cell is the cell's id, so that a re-run fills the same slot;
  a question asked elsewhere has a slot of its own. A slot holds the turns of the newest run that
  was answered: a failed or interrupted turn fills no slot and replaces nothing.
- Slots of cells in the saved notebook come in the notebook's order. Every other slot comes after
  the slots that were filled before it.
- A cell that ran before the notebook was saved, and is not in the saved file, was deleted: its
  slot is not part of the conversation.
- A turn is stale when the turns before it are no longer those that were before it when it was
  asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from swiftask_jupyter.answers.turn import Turn
from swiftask_jupyter.ledger.history import Mark
from swiftask_jupyter.support.structs import Struct, replace

CLOCK_SKEW = 2.0  # seconds by which a file system's clock may be ahead of ours


class SavedNotebook(Struct, frozen=True):
    """What a saved notebook says about its cells.

    Attributes:
        cells: their ids, in order.
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
    """Return the turns that the conversation holds now, in order; `stale` is set on each.

    Args:
        answered: every answered turn, oldest first.
        marks: the marks on them, oldest first.
        notebook: the saved notebook, if there is one.
        running: the slot of the cell that runs now; it counts even if it was never saved.
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
    """Return the turns before and after a turn that is about to fill its slot.

    Earlier questions of the same run come before it; turns of an earlier run are replaced.
    """
    turns = fold([*answered, coming], marks, notebook, coming.slot)
    here = next(number for number, turn in enumerate(turns) if turn.id == coming.id)
    return turns[:here], turns[here + 1 :]


def stale_after(earlier: Sequence[Turn], filled: Turn, later: Sequence[Turn]) -> list[Turn]:
    """Return the later turns that are stale once a slot before them is filled."""
    turns = _with_stale([*earlier, filled, *later])
    return [turn for turn in turns[len(earlier) + 1 :] if turn.stale]


def continued(
    earlier: Sequence[Turn], sent: Sequence[Turn], dialect: str, agent: str
) -> int | str | None:
    """Return the id of the service's conversation that a new turn can continue, if any.

    It must hold exactly the newest of the earlier turns. One that also holds a turn that was
    replaced or undone can't be continued, because no service is known to forget turns.

    Args:
        earlier: the turns before the new one.
        sent: every turn that was ever sent in the session, oldest first.
        dialect: the protocol of the new turn.
        agent: the agent of the new turn.
    """
    own = [turn for turn in earlier if (turn.dialect, turn.agent) == (dialect, agent)]
    if not own or (known := own[-1].conversation) is None:
        return None
    there = [turn.id for turn in sent if turn.conversation == known]
    return known if there == [turn.id for turn in own[-len(there) :]] else None


def _filled_slots(
    answered: list[Turn], marks: list[Mark]
) -> tuple[dict[str, list[Turn]], dict[str, float]]:
    """Return the turns that each slot holds, and when each slot was first filled."""
    picked = {mark.turn: mark for mark in marks if mark.kind == "picked"}
    placed = [
        replace(turn, slot=picked[turn.id].value, at=picked[turn.id].at, run=turn.id)
        if turn.id in picked
        else turn
        for turn in answered
    ]
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


def _visible(placed: list[Turn], marks: list[Mark]) -> list[Turn]:
    """Return the turns that were not undone, forgotten, or before a reset."""
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
    """Return whether forgetting `gone` forgets this turn: the same, or one that it replaced."""
    replaced = turn.slot == gone.slot and turn.run != gone.run and turn.at <= gone.at
    return replaced or turn.id == gone.id


def _slot_order(
    slots: dict[str, list[Turn]],
    first_filled: dict[str, float],
    notebook: SavedNotebook | None,
    running: str | None,
) -> list[str]:
    """Return the slots in the order of the conversation, those of deleted cells left out."""
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
    """Return whether the notebook was saved without the slot's cell after the cell ran."""
    newest = held[-1]
    return newest.cell == newest.slot and newest.at + CLOCK_SKEW < notebook.saved


def _with_stale(turns: list[Turn]) -> list[Turn]:
    """Set `stale` on each turn that was asked after other turns than those before it now."""
    running = hashlib.sha256()
    for number, turn in enumerate(turns):
        digest = running.hexdigest()[:16]
        turn.stale = turn.history_digest is not None and turn.history_digest != digest
        running.update((("\n" if number else "") + turn.content_digest).encode())
    return turns
