"""Reads a saved notebook: which cells stand in it, and which turns its outputs record.

A notebook may come from anybody, so nothing in it is believed but its own order; a file that is
no notebook is read as none.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from swiftask_jupyter.answers.reply import TURN
from swiftask_jupyter.conversation.rules import Document

LARGEST = 512 * 1024 * 1024


class _Cell(msgspec.Struct):
    id: str = ""


class _Cells(msgspec.Struct):
    """The cells' ids; all else is passed over, which is some hundred MB a second."""

    cells: list[_Cell] = []


def address(path: str | Path) -> str:
    """Return a notebook's path as the ledger has it, whatever folder the kernel is in later."""
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111 - Path's keep a `..`, and take no ~nobody


def document(path: str | Path) -> Document | None:
    """Return the ids of a saved notebook's cells; `None` if it can't be read or holds none.

    A file older than nbformat 4.5 is saved without ids, though the kernel is told some that the
    front end has made up: it says nothing of which cell is where, or gone.
    """
    try:
        saved = Path(path).stat().st_mtime
        found = _decoded(path, _Cells)
    except (OSError, ValueError):
        return None
    if not all(cell.id for cell in found.cells):
        return None
    return Document(tuple(cell.id for cell in found.cells), saved)


class NotebookFile:
    """A notebook's file, read again when it has been saved, and followed when it is renamed.

    The kernel is told a new name by no one. The file itself stays the same one: it is looked for
    in its folder where its name is gone, or is another file's by now. Where it is not found, what
    was read of it last still holds.

    Args:
        path: where it lies; `None` for no notebook.
    """

    def __init__(self, path: str | Path | None) -> None:
        self._path = address(path) if path else None
        self._file: tuple[int, int] | None = None  # which one it is, whatever its name
        self._seen: tuple[int, int] | None = None
        self._document: Document | None = None
        self._follow()

    @property
    def path(self) -> str | None:
        """Where it lies now."""
        self._follow()
        return self._path

    def now(self) -> Document | None:
        """Return the ids of its cells, as saved last; `None` where there is no such file."""
        state = self._follow()
        if self._path is not None and state is not None:
            seen = state.st_mtime_ns, state.st_size
            if self._seen != seen:
                self._seen = seen
                self._document = document(self._path) or self._document
        return self._document

    def _follow(self) -> os.stat_result | None:
        """Return the state of the file, wherever in its folder it lies by now."""
        if self._path is None:
            return None
        there = _state(self._path)
        if there is not None and self._file in {None, _which(there)}:
            self._file = _which(there)
            return there
        for path in Path(self._path).parent.glob("*.ipynb") if self._file else ():
            state = _state(path)
            if state is None or _which(state) != self._file:
                continue
            known = self._is_known(path) if self._document is not None else there is None
            if known:
                self._path = str(path)
                return state
        if there is not None:  # written anew, as some editors do
            self._file = _which(there)
        return there

    def _is_known(self, path: Path) -> bool:
        """Tell whether it may be the same notebook: the number of a deleted file is given again."""
        before, found = self._document, document(path)
        if not (before and before.cells and found):  # a new one's file has no cells yet
            return True
        return not set(before.cells).isdisjoint(found.cells)


def _state(path: str | Path) -> os.stat_result | None:
    try:
        return Path(path).stat()
    except OSError:
        return None


def _which(state: os.stat_result) -> tuple[int, int]:
    return state.st_dev, state.st_ino


def records(path: str | Path) -> list[Any]:
    """Return what the outputs of a saved notebook record of turns, as it stands there.

    An output holds several where a cell asked several agents. What is of no notebook's shape is
    passed over.

    Raises:
        OSError: the file can't be read.
        ValueError: it is no notebook; the text says why.
    """
    content = _decoded(path, Any)
    cells = content.get("cells") if isinstance(content, dict) else None
    if not isinstance(cells, list):
        raise ValueError("it is no notebook")  # noqa: TRY004 - the file is wrong, no argument
    found = []
    for bundle in _bundles(cells):
        value = bundle.get(TURN, [])
        found += value if isinstance(value, list) else [value]
    return found


def sessions(path: str | Path) -> list[str]:
    """Return the sessions that the outputs name, the most often named first."""
    try:
        named = [each.get("session") for each in records(path) if isinstance(each, dict)]
    except (OSError, ValueError):
        return []
    counted = Counter(each for each in named if isinstance(each, str) and each)
    return [each for each, _ in counted.most_common()]


def _bundles(cells: list[Any]) -> Iterator[dict[str, Any]]:
    for cell in cells:
        outputs = cell.get("outputs") if isinstance(cell, dict) else None
        for output in outputs if isinstance(outputs, list) else ():
            bundle = output.get("data") if isinstance(output, dict) else None
            if isinstance(bundle, dict):
                yield bundle


def _decoded(path: str | Path, kind: Any) -> Any:
    """Return what the file holds, as it is of this kind."""
    file = Path(path)
    if file.stat().st_size > LARGEST:
        raise ValueError(f"it is larger than {LARGEST // 1024**2} MB")
    content = file.read_bytes()
    try:
        return msgspec.json.decode(content, type=kind)  # several times as fast as json's
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    try:  # NaN and half a character are no JSON, but Python and editors write them
        return msgspec.convert(json.loads(content), kind)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
