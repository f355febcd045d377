"""Reads a saved notebook: the ids of its cells, and the records of turns in its outputs.

A notebook may come from anyone. Only the order of its cells is believed; a file that is no
notebook counts as none.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from swiftask_jupyter.answers.turn import TURN_MIME_TYPE
from swiftask_jupyter.conversation.rules import SavedNotebook

LARGEST = 512 * 1024 * 1024  # bytes


class _Cell(msgspec.Struct):
    id: str = ""


class _Cells(msgspec.Struct):
    """The cells' ids; everything else is skipped, at some hundred MB a second."""

    cells: list[_Cell] = []


def absolute_path(path: str | Path) -> str:
    """Return a notebook's path as the ledger stores it, independent of the working directory."""
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111 - Path's keep a `..`, and take no ~nobody


def read_cells(path: str | Path) -> SavedNotebook | None:
    """Return the ids of a saved notebook's cells; `None` if it can't be read or has no ids.

    A file older than nbformat 4.5 is saved without ids, although the front end tells the kernel
    ids that it made up: such a file says nothing about the order of cells.
    """
    try:
        saved = Path(path).stat().st_mtime
        found = _decode(path, _Cells)
    except (OSError, ValueError):
        return None
    if not all(cell.id for cell in found.cells):
        return None
    return SavedNotebook(tuple(cell.id for cell in found.cells), saved)


class NotebookFile:
    """A notebook's file: read again when it was saved, and followed when it is renamed.

    No front end tells the kernel a new name. The file keeps its number in the file system, so it
    is looked for in its folder once its name is gone or belongs to another file. If it is not
    found, what was read last still holds.

    Args:
        path: the path; `None` for no notebook.
    """

    def __init__(self, path: str | Path | None) -> None:
        self._path = absolute_path(path) if path else None
        self._file_id: tuple[int, int] | None = None
        self._read_state: tuple[int, int] | None = None
        self._cells: SavedNotebook | None = None
        self._follow()

    @property
    def path(self) -> str | None:
        """The present path; `None` for no notebook."""
        self._follow()
        return self._path

    def cells(self) -> SavedNotebook | None:
        """Return the ids of its cells as last saved; `None` if there is no such file."""
        state = self._follow()
        if self._path is not None and state is not None:
            read_state = state.st_mtime_ns, state.st_size
            if self._read_state != read_state:
                self._read_state = read_state
                self._cells = read_cells(self._path) or self._cells
        return self._cells

    def _follow(self) -> os.stat_result | None:
        """Return the file's state, under whatever name it has in its folder now."""
        if self._path is None:
            return None
        present = _state(self._path)
        if present is not None and self._file_id in {None, _file_id(present)}:
            self._file_id = _file_id(present)
            return present
        for path in Path(self._path).parent.glob("*.ipynb") if self._file_id else ():
            state = _state(path)
            if state is None or _file_id(state) != self._file_id:
                continue
            if self._may_be(path) if self._cells is not None else present is None:
                self._path = str(path)
                return state
        if present is not None:  # an editor that saves by replacing the file
            self._file_id = _file_id(present)
        return present

    def _may_be(self, path: Path) -> bool:
        """Return whether a file of the same number may be this notebook: it shares a cell.

        The number of a deleted file is given to another. A new notebook has no cells yet.
        """
        before, found = self._cells, read_cells(path)
        if not (before and before.cells and found):
            return True
        return not set(before.cells).isdisjoint(found.cells)


def _state(path: str | Path) -> os.stat_result | None:
    try:
        return Path(path).stat()
    except OSError:
        return None


def _file_id(state: os.stat_result) -> tuple[int, int]:
    """Return what stays the same when a file is renamed: its device and number."""
    return state.st_dev, state.st_ino


def read_records(path: str | Path) -> list[Any]:
    """Return the records of turns in a saved notebook's outputs, unchecked.

    One output holds several where a cell asked several agents. Parts of the file that have not
    the shape of a notebook are skipped.

    Raises:
        OSError: the file can't be read.
        ValueError: it is no notebook; the message says why.
    """
    content = _decode(path, Any)
    cells = content.get("cells") if isinstance(content, dict) else None
    if not isinstance(cells, list):
        raise ValueError("it is no notebook")  # noqa: TRY004 - the file is wrong, no argument
    found = []
    for bundle in _bundles(cells):
        value = bundle.get(TURN_MIME_TYPE, [])
        found += value if isinstance(value, list) else [value]
    return found


def session_ids(path: str | Path) -> list[str]:
    """Return the ids of the sessions in the notebook's records, the most frequent first."""
    try:
        named = [each.get("session") for each in read_records(path) if isinstance(each, dict)]
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


def _decode(path: str | Path, kind: Any) -> Any:
    """Return the file's content, decoded from JSON as this type."""
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
