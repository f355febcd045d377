"""Reads a saved notebook: the ids of its cells, and the records of turns in its outputs.

A notebook may come from anyone. Believed are the order of its cells, and a record whose digest is
that of the same turn in the ledger; a file that is no notebook counts as none.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from swiftask_jupyter.answers.turn import TURN_MIME_TYPE
from swiftask_jupyter.conversation.rules import SavedNotebook
from swiftask_jupyter.ledger.record import RecordedTurn, recorded_turn

LARGEST = 512 * 1024 * 1024  # bytes

# Constants of Linux's statx(2).
_AT_FDCWD, _STATX_BTIME, _STATX_SIZE, _BTIME_OFFSET = -100, 0x800, 256, 80


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


def serves_visitors(environ: Mapping[str, str]) -> bool:
    """Return whether Voila started this kernel: each visitor of a page has a kernel of their own.

    Voila names itself in `SERVER_SOFTWARE` as a CGI server does. A kernel that it starts before a
    visitor comes has only `VOILA_PREHEAT`.
    """
    return environ.get("SERVER_SOFTWARE", "").startswith("voila/") or "VOILA_PREHEAT" in environ


def file_identity(path: str | Path) -> str | None:
    """Return what tells a file from all others of its file system; `None` if there is none.

    It stays when the file is renamed or written to; a file that replaces it has another. It is the
    inode number and the time of birth: some file systems give the number of a deleted file to the
    next. Where the time is not known, it is the number alone. The number of the device is no part
    of it: it may change whenever the file system is mounted.
    """
    state = _state(path)
    if state is None:
        return None
    born = getattr(state, "st_birthtime", None) or _linux_birth_time(path)
    return f"{state.st_ino}" if born is None else f"{state.st_ino} {born}"


def is_unique(identity: str) -> bool:
    """Return whether no later file can have the identity: it holds a time of birth."""
    return " " in identity


def _linux_birth_time(path: str | Path) -> str | None:
    """Return a file's time of birth, which Python's own `stat` does not read on Linux."""
    if sys.platform != "linux":
        return None
    import ctypes

    found = ctypes.create_string_buffer(_STATX_SIZE)
    try:
        failed = ctypes.CDLL(None).statx(_AT_FDCWD, os.fsencode(path), 0, _STATX_BTIME, found)
    except (OSError, AttributeError):  # a C library without it
        return None
    [known] = struct.unpack_from("=I", found, 0)
    if failed or not known & _STATX_BTIME:
        return None
    seconds, nanoseconds = struct.unpack_from("=qI", found, _BTIME_OFFSET)
    return f"{seconds}.{nanoseconds:09}"


class NotebookFile:
    """The file of the running notebook: read again after each save, and found again after a rename.

    A front end does not tell the kernel when the notebook is renamed. So when the path no longer
    leads to the same file, its folder is searched for a notebook with the same inode number. If
    none is found, the cells that were read last remain valid.

    Args:
        path: the path; `None` for no notebook.
        kernel: the id of the kernel, if its conversations are its own: it has no notebook, or its
            notebook has many visitors.
        shared_name: the name of the one conversation that such a kernel continues by its name.

    Attributes:
        kernel: as above.
        shared_name: as above.
    """

    def __init__(
        self,
        path: str | Path | None,
        *,
        kernel: str | None = None,
        shared_name: str | None = None,
    ) -> None:
        self._path = absolute_path(path) if path else None
        self.kernel = kernel
        self.shared_name = shared_name
        self._file_id: tuple[int, int] | None = None
        self._identity: str | None = None
        self._read_state: tuple[int, int] | None = None
        self._cells: SavedNotebook | None = None
        self._follow()

    @property
    def path(self) -> str | None:
        """The current path of the notebook; `None` if there is no notebook."""
        self._follow()
        return self._path

    def place(self, name: str) -> str | None:
        """Return where the ledger keeps the conversation of a name: at a path, kernel or by name.

        It is what stands in the column `notebook` of the table of sessions.
        """
        if self.kernel is None:
            return self.path
        return None if name == self.shared_name else self.kernel

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
            self._remember(present)
            return present
        for path in Path(self._path).parent.glob("*.ipynb") if self._file_id else ():
            state = _state(path)
            if state is None or _file_id(state) != self._file_id:
                continue
            known = self._identity
            if known and is_unique(known) and file_identity(path) != known:
                continue  # the number of a deleted file, given to another
            if self._may_be(path) if self._cells is not None else present is None:
                self._path = str(path)
                return state
        if present is not None:  # an editor that saves by replacing the file
            self._remember(present)
        return present

    def _remember(self, present: os.stat_result) -> None:
        """Remember by which number and identity the file at the path is found again."""
        if self._path is not None and self._file_id != _file_id(present):
            self._file_id = _file_id(present)
            self._identity = file_identity(self._path)

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


def recorded_turns(path: str | Path) -> set[RecordedTurn]:
    """Return the turns that the records in a saved notebook name; none if it can't be read."""
    try:
        found = map(recorded_turn, read_records(path))
        return {each for each in found if each is not None}
    except (OSError, ValueError):
        return set()


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
