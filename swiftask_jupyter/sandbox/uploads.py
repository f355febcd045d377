"""The bytes the sandbox keeps: what clients uploaded to a signed URL, and what agents made."""

import hmac
import secrets
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from .faults import Fault

KEPT = 2000
KEPT_BYTES = 64 * 1024 * 1024
SIGNED_FOR = 900.0
"""Seconds a signed URL may be used. Undocumented; a kindred service says 15 minutes."""
ROOT = "/files/"


class SignatureRefused(Exception):
    """The upload may not be made; the text says why."""


@dataclass
class Stored:
    """One place for a file: at first only promised, then with its bytes."""

    name: str
    signature: str = field(default="", repr=False)
    """What an upload must bring; nothing when the bare URL is enough."""
    until: float = 0.0
    content: bytes | None = field(default=None, repr=False)
    type: str = "application/octet-stream"


class Uploads:
    """The last files, bounded in number and bytes; used on the server's thread alone."""

    def __init__(self) -> None:
        self._places: dict[str, Stored] = {}
        self._bytes = 0

    def promise(self, name: str, fault: Fault) -> dict[str, str]:
        """Makes a place for a file to come; the answer's keys with their paths.

        Documented are a signed URL and the file's own. Seen by a client's author were a bare
        `url` that takes the PUT, and a `fileUrl` signed for downloading.
        """
        signature = secrets.token_hex(32)
        seconds = SIGNED_FOR if fault.signed_for is None else fault.signed_for
        bare = fault.signed_key == "url"
        until = time.monotonic() + seconds
        path = self._place(Stored(name, "" if bare else signature, until))
        signed = f"{path}?X-Amz-Expires={seconds:.0f}&X-Amz-Signature={signature}"
        return {"url": path, "fileUrl": signed} if bare else {"signedUrl": signed, "fileUrl": path}

    def receive(self, path: str, query: str, content: bytes, kind: str | None) -> None:
        """Takes the bytes of a promised file; SignatureRefused, and nothing kept, otherwise."""
        place = self._places.get(path)
        given = "".join(parse_qs(query).get("X-Amz-Signature", ()))
        if place is None or not hmac.compare_digest(place.signature.encode(), given.encode()):
            raise SignatureRefused("the signature does not match")
        if place.content is not None:
            raise SignatureRefused("the signed URL was used already")
        if time.monotonic() >= place.until:
            raise SignatureRefused("the signed URL has expired")
        place.content = content
        place.type = kind or place.type
        self._bytes += len(content)
        self._make_room(path)

    def keep(self, content: bytes, kind: str, name: str) -> str:
        """Keeps what an agent made; its path."""
        self._bytes += len(content)
        path = self._place(Stored(name, content=content, type=kind))
        self._make_room(path)
        return path

    def find(self, path: str) -> Stored | None:
        """The file under this path, if its bytes are here."""
        place = self._places.get(path)
        return None if place is None or place.content is None else place

    def described(self, file: dict[str, Any], host: str) -> dict[str, Any]:
        """A file a request named, and `uploaded`: whether its bytes are here, None if elsewhere."""
        try:
            url = urlsplit(file["url"])
        except ValueError:
            return {**file, "uploaded": None}
        if url.netloc != host:
            return {**file, "uploaded": None}
        stored = self.find(url.path)
        if stored is None or stored.content is None:
            return {**file, "uploaded": False}
        known = {"name": stored.name, "type": stored.type, "size": len(stored.content)}
        return {**known, **file, "uploaded": True}

    def _place(self, stored: Stored) -> str:
        path = f"{ROOT}{secrets.token_urlsafe(12)}/{quote(stored.name, safe='')}"
        self._places[path] = stored
        return path

    def _make_room(self, taken: str) -> None:
        """Forgets the oldest, but neither what was just taken nor, for its bytes, what has none."""
        for path, place in list(self._places.items()):
            many = len(self._places) > KEPT
            if not many and self._bytes <= KEPT_BYTES:
                return
            if path != taken and (many or place.content):
                del self._places[path]
                self._bytes -= len(place.content or b"")
