"""Files on their way from a view to the kernel, in chunks that are each acknowledged.

One message of more than ten megabytes would close the kernel's connection without a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice

from swiftask_jupyter.errors import PromptError
from swiftask_jupyter.prompts.attachments import MAX_BYTES
from swiftask_jupyter.support.sanitize import visible
from swiftask_jupyter.support.structs import Struct, field

LARGEST = MAX_BYTES
LARGEST_CHUNK = 1024 * 1024
MOST = 50
LONGEST_NAME = 200

File = tuple[str, bytes]


class _Upload(Struct):
    name: str
    size: int
    content: bytearray = field(default_factory=bytearray)


class Uploads:
    """Files that have come, or are coming.

    Args:
        largest: the most bytes a file may have.
    """

    def __init__(self, largest: int = LARGEST) -> None:
        self._largest = largest
        self._files: dict[str, _Upload] = {}

    def take(self, file: str, name: str, size: int, at: int, chunk: bytes) -> None:
        """Take the next chunk of a file.

        Raises:
            PromptError: it is too large, or doesn't follow what came before.
        """
        another = file not in self._files
        if another and size <= self._largest and len(self._files) >= MOST:
            self._make_room(file)
        if size > self._largest or (another and len(self._files) >= MOST):
            limit = f"{self._largest // 1_000_000} MB and {MOST} files"
            raise PromptError(f"{clean(name)} is too much; at most {limit}")
        upload = self._files.setdefault(file, _Upload(clean(name), size))
        fits = len(chunk) <= LARGEST_CHUNK and at + len(chunk) <= size
        if at != len(upload.content) or not fits:
            self.discard(file)
            raise PromptError(f"{clean(name)} came in disorder", advice="attach it again")
        upload.content += chunk

    def _make_room(self, file: str) -> None:
        """Forget the oldest file of another view: it may be of a page that was loaded again."""
        view = file.rpartition(".")[0]
        others = (each for each in self._files if each.rpartition(".")[0] != view)
        self.discard(*islice(others, 1))

    def discard(self, *files: str) -> None:
        """Forget files."""
        for file in files:
            self._files.pop(file, None)

    def find(self, files: Iterable[str]) -> list[File]:
        """Return whole files.

        Raises:
            PromptError: one is not there, or not whole.
        """
        found = []
        for file in files:
            upload = self._files.get(file)
            if upload is None or len(upload.content) != upload.size:
                name = upload.name if upload else "a file"
                raise PromptError(f"{name} is not here", advice="attach it again")
            found.append((upload.name, bytes(upload.content)))
        return found


def clean(name: str) -> str:
    """Return a file's name without folders and without characters that can't be seen."""
    base = re.split(r"[/\\]", visible(name))[-1].strip(" .")
    stem, dot, ending = base.rpartition(".")
    if len(base) > LONGEST_NAME:
        base = stem[: LONGEST_NAME - len(ending[:20]) - 1] + dot + ending[:20]
    return base or "file"
