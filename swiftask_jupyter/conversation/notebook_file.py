"""Reads a saved notebook: the ids of its cells, and the records of turns in its outputs.

A notebook may come from an untrusted person, so records are returned unchecked and only the order
of the cells is relied on. `read_cells` and `session_ids` treat a file that is not a notebook like a
missing file.
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
    """The part of a notebook file that is decoded: the cell ids.

    The decoder skips everything else, at some hundred MB per second.
    """

    cells: list[_Cell] = []


def absolute_path(path: str | Path) -> str:
    """Return the absolute path of a notebook, in the form in which the ledger stores it."""
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111 - Path.absolute keeps a `..`, Path.expanduser raises for an unknown user


def read_cells(path: str | Path) -> SavedNotebook | None:
    """Return the cell ids of a saved notebook, and the time when it was saved.

    `None` if the file can't be read or a cell has no id. Before nbformat 4.5, a file has no cell
    ids; the front end then makes up temporary ids, by which the cells in the file can't be
    identified.
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
    """The file of the running notebook: read again after each save, and found again after a rename.

    A front end does not tell the kernel when the notebook is renamed. So when the path no longer
    leads to the same file, its folder is searched for a notebook with the same inode number. If
    none is found, the cells that were read last remain valid.

    Args:
        path: the path of the notebook; `None` if there is no notebook.
    """

    def __init__(self, path: str | Path | None) -> None:
        self._path = absolute_path(path) if path else None
        self._file_id: tuple[int, int] | None = None
        self._read_state: tuple[int, int] | None = None
        self._cells: SavedNotebook | None = None
        self._follow()

    @property
    def path(self) -> str | None:
        """The current path of the notebook; `None` if there is no notebook."""
        self._follow()
        return self._path

    def cells(self) -> SavedNotebook | None:
        """Return the cell ids of the last saved version; `None` if none could be read so far."""
        state = self._follow()
        if self._path is not None and state is not None:
            read_state = state.st_mtime_ns, state.st_size
            if self._read_state != read_state:
                self._read_state = read_state
                self._cells = read_cells(self._path) or self._cells
        return self._cells

    def _follow(self) -> os.stat_result | None:
        """Find the file, even if it was renamed within its folder, and return its `stat` result.

        Update the stored path after a rename. Return `None` if the file does not exist.
        """
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
        if present is not None:  # the editor saves by replacing the file
            self._file_id = _file_id(present)
        return present

    def _may_be(self, path: Path) -> bool:
        """Return whether a file with this notebook's inode number may be this notebook.

        A new file can get the inode number of a deleted one. So the two must share a cell id; if
        the ids of either are unknown, or the notebook had no cells, return true.
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
    """Return the device and inode numbers of a file, which stay the same after a rename."""
    return state.st_dev, state.st_ino


def read_records(path: str | Path) -> list[Any]:
    """Return the records of turns in the outputs of a saved notebook, without checking them.

    A cell that asked several agents holds several records in one output. Malformed parts of the
    notebook are skipped.

    Raises:
        OSError: the file can't be read.
        ValueError: the file is not a notebook; the message says why.
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
    """Return the session ids in the notebook's records of turns, the most frequent first.

    The list is empty if the file can't be read or is not a notebook.
    """
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
    """Decode a JSON file into this type and return the result.

    Raises:
        OSError: the file can't be read.
        ValueError: the file is too large, is not JSON, or does not fit the type.
    """
    file = Path(path)
    if file.stat().st_size > LARGEST:
        raise ValueError(f"it is larger than {LARGEST // 1024**2} MB")
    content = file.read_bytes()
    try:
        return msgspec.json.decode(content, type=kind)  # several times as fast as json's
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    try:  # NaN and a lone surrogate are not JSON, but Python and editors write them
        return msgspec.convert(json.loads(content), kind)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
