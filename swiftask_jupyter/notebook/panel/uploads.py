"""Receives the files that users attach in a chat panel, in chunks of at most 1 MiB.

The browser sends one request for each chunk and waits for the response. A single message of more
than ten megabytes would close the kernel's connection without an error message.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from pathlib import PurePath

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
    """The files that users upload in the views of one chat panel.

    A view is a display of the panel in the browser. The view chooses an id for each upload, such as
    `<view id>.<number>`.

    Args:
        max_file: the largest allowed size of a file, in bytes.
    """

    def __init__(self, max_file: int = MAX_FILE) -> None:
        self._max_file = max_file
        self._uploads: dict[str, _Upload] = {}

    def receive(self, upload_id: str, name: str, size: int, offset: int, chunk: bytes) -> None:
        """Store the next chunk of a file.

        Args:
            upload_id: the id of the upload.
            name: the name of the file.
            size: the size of the whole file, in bytes.
            offset: the position of the chunk in the file, in bytes.
            chunk: the bytes of the chunk.

        Raises:
            PromptError: the file or the chunk is too large, there are too many files, or the chunk
                does not start where the previous chunk ended.
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
        """Discard the oldest upload of another view, because the number of files is limited.

        Nothing is discarded if all uploads belong to the view of `upload_id`.
        """
        view = upload_id.rpartition(".")[0]
        others = (each for each in self._uploads if each.rpartition(".")[0] != view)
        self.discard(*islice(others, 1))

    def discard(self, *upload_ids: str) -> None:
        """Delete uploads; ids that do not exist are ignored."""
        for upload_id in upload_ids:
            self._uploads.pop(upload_id, None)

    def get(self, upload_ids: Iterable[str]) -> list[File]:
        """Return the names and contents of complete uploads, in the order of the ids.

        Raises:
            PromptError: an upload does not exist or is incomplete.
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
    """Return the base name of a file, with at most `MAX_NAME` characters.

    Hidden characters are replaced by visible marks. The result is `file` if the base name is empty.
    """
    base = re.split(r"[/\\]", sanitize(name))[-1].strip(" .")
    if len(base) > MAX_NAME:
        ending = PurePath(base).suffix[:20]
        base = base[: MAX_NAME - len(ending)] + ending
    return base or "file"
