"""Reads a saved notebook: which cells stand in it, and which turns its outputs record.

A notebook may come from anybody, so nothing in it is believed but its own order; a file that is
no notebook is read as none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from swiftask_jupyter.conversation import Document
from swiftask_jupyter.replies import TURN

LARGEST = 512 * 1024 * 1024


class _Cell(msgspec.Struct):
    id: str = ""


class _Cells(msgspec.Struct):
    """The cells' ids; all else is passed over, which is some hundred MB a second."""

    cells: list[_Cell] = []


class _Output(msgspec.Struct):
    data: dict[str, msgspec.Raw] = {}


class _Full(msgspec.Struct):
    id: str = ""
    outputs: list[_Output] = []


class _Recorded(msgspec.Struct):
    cells: list[_Full] = []


def document(path: str | Path) -> Document | None:
    """Return the ids of a saved notebook's cells; `None` if it can't be read."""
    try:
        saved = Path(path).stat().st_mtime
        found = msgspec.json.decode(_content(path), type=_Cells)
    except (OSError, ValueError, RecursionError):
        return None
    return Document(tuple(cell.id for cell in found.cells if cell.id), saved)


class Watched:
    """A notebook's file, read again when it has been saved.

    A notebook that was renamed while its kernel runs is gone from its path: what was read of it
    last still holds.

    Args:
        path: where it lies; `None` for no notebook.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._document: Document | None = None

    def now(self) -> Document | None:
        """Return the ids of its cells, as saved last; `None` where there is no such file."""
        if self._path is None:
            return None
        try:
            state = Path(self._path).stat()
        except OSError:
            return self._document
        if self._seen != (state.st_mtime_ns, state.st_size):
            self._seen = state.st_mtime_ns, state.st_size
            self._document = document(self._path) or self._document
        return self._document


def records(path: str | Path) -> list[dict[str, Any]]:
    """Return the turns that the outputs of a saved notebook record, as they stand there.

    Raises:
        OSError: the file can't be read.
        ValueError: it is no notebook.
    """
    found = []
    for cell in msgspec.json.decode(_content(path), type=_Recorded).cells:
        for output in cell.outputs:
            if TURN in output.data:
                value = msgspec.json.decode(output.data[TURN])
                found += value if isinstance(value, list) else [value]
    return [each for each in found if isinstance(each, dict)]


def sessions(path: str | Path) -> list[str]:
    """Return the sessions that the outputs name, the most often named first."""
    try:
        named = [each.get("session") for each in records(path)]
    except (OSError, ValueError, RecursionError):
        return []
    counted = [each for each in named if isinstance(each, str) and each]
    return sorted(set(counted), key=counted.count, reverse=True)


def _content(path: str | Path) -> bytes:
    file = Path(path)
    if file.stat().st_size > LARGEST:
        raise ValueError("too large to be a notebook")
    return file.read_bytes()
