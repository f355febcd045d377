"""Files that views upload to the kernel in chunks, one request and response per chunk.

A single message of more than ten megabytes would silently close the kernel's connection.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice

from swiftask_jupyter.errors import PromptError
from swiftask_jupyter.prompts.attachments import MAX_BYTES
from swiftask_jupyter.support.sanitize import sanitize
from swiftask_jupyter.support.structs import Struct, field

MAX_FILE = MAX_BYTES  # bytes
MAX_CHUNK = 1024 * 1024  # bytes
MAX_FILES = 50  # held at the same time
MAX_NAME = 200  # characters

File = tuple[str, bytes]  # name, content


class _Upload(Struct):
    name: str
    size: int
    content: bytearray = field(default_factory=bytearray)


class Uploads:
    """Complete and incomplete uploads, by the id that the view chose: `<view id>.<number>`.

    Args:
        max_file: the largest size of a file, in bytes.
    """

    def __init__(self, max_file: int = MAX_FILE) -> None:
        self._max_file = max_file
        self._uploads: dict[str, _Upload] = {}

    def receive(self, upload_id: str, name: str, size: int, offset: int, chunk: bytes) -> None:
        """Store the next chunk of a file.

        Args:
            upload_id: the upload's id.
            name: the file's name.
            size: the size of the whole file, in bytes.
            offset: where the chunk begins in the file, in bytes.
            chunk: the bytes.

        Raises:
            PromptError: the file is too large, there are too many files, or the chunk does not
                follow the ones before it.
        """
        new = upload_id not in self._uploads
        if new and size <= self._max_file and len(self._uploads) >= MAX_FILES:
            self._make_room(upload_id)
        if size > self._max_file or (new and len(self._uploads) >= MAX_FILES):
            limit = f"{self._max_file // 1_000_000} MB and {MAX_FILES} files"
            raise PromptError(f"{clean_name(name)} is too much; at most {limit}")
        upload = self._uploads.setdefault(upload_id, _Upload(clean_name(name), size))
        fits = len(chunk) <= MAX_CHUNK and offset + len(chunk) <= size
        if offset != len(upload.content) or not fits:
            self.discard(upload_id)
            raise PromptError(f"{clean_name(name)} came in disorder", advice="attach it again")
        upload.content += chunk

    def _make_room(self, upload_id: str) -> None:
        """Discard the oldest upload of another view, which may be of a page that was reloaded."""
        view = upload_id.rpartition(".")[0]
        others = (each for each in self._uploads if each.rpartition(".")[0] != view)
        self.discard(*islice(others, 1))

    def discard(self, *upload_ids: str) -> None:
        """Discard uploads; unknown ids are ignored."""
        for upload_id in upload_ids:
            self._uploads.pop(upload_id, None)

    def get(self, upload_ids: Iterable[str]) -> list[File]:
        """Return the name and the content of complete uploads.

        Raises:
            PromptError: an upload is unknown or incomplete.
        """
        files = []
        for upload_id in upload_ids:
            upload = self._uploads.get(upload_id)
            if upload is None or len(upload.content) != upload.size:
                name = upload.name if upload else "a file"
                raise PromptError(f"{name} is not here", advice="attach it again")
            files.append((upload.name, bytes(upload.content)))
        return files


def clean_name(name: str) -> str:
    """Return a file name without folders, hidden characters and excess length."""
    base = re.split(r"[/\\]", sanitize(name))[-1].strip(" .")
    stem, dot, ending = base.rpartition(".")
    if len(base) > MAX_NAME:
        base = stem[: MAX_NAME - len(ending[:20]) - 1] + dot + ending[:20]
    return base or "file"
