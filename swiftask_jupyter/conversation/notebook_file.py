"""Reads a saved notebook: the ids of its cells, and the records of turns in its outputs.

A notebook may come from anyone, so its content is not trusted. Only the order of the cells and some
records are used. A record is used if the ledger has a turn with the record's id and digest.
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
from swiftask_jupyter.conversation.rules import NotebookSnapshot
from swiftask_jupyter.ledger.notebook_record import RecordedTurn, recorded_turn

LARGEST = 512 * 1024 * 1024  # bytes

# Constants of Linux's statx(2).
_AT_FDCWD, _STATX_BTIME, _STATX_SIZE, _BTIME_OFFSET = -100, 0x800, 256, 80


class _Cell(msgspec.Struct):
    id: str = ""


class _Cells(msgspec.Struct):
    """The part of a notebook file that is decoded: the cells with their ids.

    The decoder skips all other content, which is fast.
    """

    cells: list[_Cell] = []


def absolute_path(path: str | Path) -> str:
    """Return the absolute path of a notebook, in the form in which the ledger stores it."""
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111 - Path.absolute keeps a `..`, Path.expanduser raises for an unknown user


def read_cells(path: str | Path) -> NotebookSnapshot | None:
    """Return the cell ids and the save time of a notebook; `None` if a cell has no id.

    Return `None` also if the file can't be read. Files before nbformat 4.5 have no cell ids. The
    front end then invents temporary ids, which do not identify the cells in the file.
    """
    try:
        saved = Path(path).stat().st_mtime
        found = _decode(path, _Cells)
    except (OSError, ValueError):
        return None
    if not all(cell.id for cell in found.cells):
        return None
    return NotebookSnapshot(tuple(cell.id for cell in found.cells), saved)


def serves_visitors(environ: Mapping[str, str]) -> bool:
    """Return whether Voila started this kernel, given the kernel's environment variables.

    Voila starts a kernel for each visitor of a web page. Voila sets the variable `SERVER_SOFTWARE`.
    In a kernel that is started in advance, Voila sets `VOILA_PREHEAT`.
    """
    return environ.get("SERVER_SOFTWARE", "").startswith("voila/") or "VOILA_PREHEAT" in environ


def file_identity(path: str | Path) -> str | None:
    """Return a text that identifies a file even after a rename; `None` if the file does not exist.

    The text contains the inode number and the time of birth. The inode number is not sufficient,
    because some file systems give the number of a deleted file to a new file. If the time of birth
    is unknown, the text contains only the inode number. The device number is left out, because it
    may change when the file system is mounted.
    """
    state = _state(path)
    if state is None:
        return None
    born = getattr(state, "st_birthtime", None) or _linux_birth_time(path)
    return f"{state.st_ino}" if born is None else f"{state.st_ino} {born}"


def is_unique(identity: str) -> bool:
    """Return whether an identity contains a time of birth, so that only one file can have it."""
    return " " in identity


def _linux_birth_time(path: str | Path) -> str | None:
    """Return a file's time of birth on Linux; `None` if the time is unknown, or on other systems.

    Python's `os.stat` does not return the time of birth on Linux.
    """
    if sys.platform != "linux":
        return None
    import ctypes

    found = ctypes.create_string_buffer(_STATX_SIZE)
    try:
        failed = ctypes.CDLL(None).statx(_AT_FDCWD, os.fsencode(path), 0, _STATX_BTIME, found)
    except (OSError, AttributeError):  # the C library has no statx
        return None
    [known] = struct.unpack_from("=I", found, 0)
    if failed or not known & _STATX_BTIME:
        return None
    seconds, nanoseconds = struct.unpack_from("=qI", found, _BTIME_OFFSET)
    return f"{seconds}.{nanoseconds:09}"


class NotebookFile:
    """The file of the running notebook, read again after each save.

    The file is found again after a rename, although a front end does not tell the kernel about
    renames. If the path no longer leads to the file, the folder is searched for a notebook with
    the same inode number. If no such notebook is found, the last known cell ids stay in use.

    Args:
        path: the path of the notebook; `None` for no notebook.
        kernel: an id that replaces the path in the ledger. Given if there is no notebook, or if
            Voila serves the notebook.
        shared_name: the name of the only conversation that other kernels can continue. `None`: no
            conversation. The argument is used only if `kernel` is given.

    Attributes:
        kernel: the argument `kernel`.
        shared_name: the argument `shared_name`.
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
        self._cells: NotebookSnapshot | None = None
        self._follow()

    @property
    def path(self) -> str | None:
        """The current path of the notebook; `None` if there is no notebook."""
        self._follow()
        return self._path

    def place(self, name: str) -> str | None:
        """Return the value of the ledger's column `notebook` for the conversation with this name.

        The value is the path of the notebook, or the id `kernel` if this id is given. If `kernel`
        is given and the name is `shared_name`, the value is `None`.
        """
        if self.kernel is None:
            return self.path
        return None if name == self.shared_name else self.kernel

    def cells(self) -> NotebookSnapshot | None:
        """Return the cell ids of the notebook's last saved version that has usable cell ids.

        Return `None` if no version had usable cell ids so far.
        """
        state = self._follow()
        if self._path is not None and state is not None:
            read_state = state.st_mtime_ns, state.st_size
            if self._read_state != read_state:
                self._read_state = read_state
                self._cells = read_cells(self._path) or self._cells
        return self._cells

    def _follow(self) -> os.stat_result | None:
        """Find the notebook's file and return its `stat` result; `None` if the file does not exist.

        A file that was renamed within its folder is found too. Then the stored path is updated.
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
                continue  # a new file with the inode number of the deleted notebook
            if self._may_be(path) if self._cells is not None else present is None:
                self._path = str(path)
                return state
        if present is not None:  # an editor has saved the notebook by replacing the file
            self._remember(present)
        return present

    def _remember(self, present: os.stat_result) -> None:
        """Store the inode number and the identity of the file, to find the file after a rename."""
        if self._path is not None and self._file_id != _file_id(present):
            self._file_id = _file_id(present)
            self._identity = file_identity(self._path)

    def _may_be(self, path: Path) -> bool:
        """Return whether a file with this notebook's inode number may be this notebook.

        A new file can get the inode number of a deleted file. So the file must share a cell id with
        the notebook. If the file or the notebook has no known cell ids, return true.
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
    """Return the valid records of turns in a saved notebook; an empty set if it can't be read."""
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
    """Decode a JSON file into the type `kind` and return the result.

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
