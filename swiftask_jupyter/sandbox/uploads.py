"""The files that the sandbox stores: uploads of clients to signed URLs, and files of agents."""

import hmac
import secrets
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from .faults import Fault

MAX_FILES = 2000
MAX_BYTES = 64 * 1024 * 1024
SIGNED_URL_SECONDS = 900.0
"""How long a signed URL is valid. Undocumented; a similar service says 15 minutes."""
ROOT = "/files/"


class UploadRefused(Exception):
    """The upload is not accepted; the message says why."""


@dataclass
class StoredFile:
    """One file; its content is None while a signed URL waits for the upload."""

    name: str
    signature: str = field(default="", repr=False)
    """What the upload must carry in its query; "" if the bare URL is enough."""
    expires_at: float = 0.0
    """When the signed URL expires, in seconds of `time.monotonic()`."""
    content: bytes | None = field(default=None, repr=False)
    type: str = "application/octet-stream"


class UploadStore:
    """The newest files by path, limited in number and bytes. Not thread-safe."""

    def __init__(self) -> None:
        self._files: dict[str, StoredFile] = {}
        self._bytes = 0

    def create_urls(self, name: str, fault: Fault) -> dict[str, str]:
        """Reserve a place for an upload; return its paths by the keys of the HTTP response.

        The documents show a signed URL for the upload and the file's own URL. The author of a
        client saw a bare `url` that takes the PUT, and a `fileUrl` signed for downloading;
        `fault.signed_url_key` selects this variant.
        """
        signature = secrets.token_hex(32)
        seconds = fault.signed_url_seconds
        seconds = SIGNED_URL_SECONDS if seconds is None else seconds
        unsigned_upload = fault.signed_url_key == "url"
        expires_at = time.monotonic() + seconds
        path = self._insert(StoredFile(name, "" if unsigned_upload else signature, expires_at))
        signed = f"{path}?X-Amz-Expires={seconds:.0f}&X-Amz-Signature={signature}"
        if unsigned_upload:
            return {"url": path, "fileUrl": signed}
        return {"signedUrl": signed, "fileUrl": path}

    def receive(self, path: str, query: str, content: bytes, content_type: str | None) -> None:
        """Store the bytes of an upload in its reserved place.

        Raises:
            UploadRefused: the signature is wrong, expired or used already; nothing is stored.
        """
        file = self._files.get(path)
        signature = "".join(parse_qs(query).get("X-Amz-Signature", ()))
        if file is None or not hmac.compare_digest(file.signature.encode(), signature.encode()):
            raise UploadRefused("the signature does not match")
        if file.content is not None:
            raise UploadRefused("the signed URL was used already")
        if time.monotonic() >= file.expires_at:
            raise UploadRefused("the signed URL has expired")
        file.content = content
        file.type = content_type or file.type
        self._bytes += len(content)
        self._evict(path)

    def add(self, content: bytes, content_type: str, name: str) -> str:
        """Store a file that an agent made, and return its path."""
        self._bytes += len(content)
        path = self._insert(StoredFile(name, content=content, type=content_type))
        self._evict(path)
        return path

    def find(self, path: str) -> StoredFile | None:
        """Return the file of this path, None if it is unknown or not uploaded yet."""
        file = self._files.get(path)
        return None if file is None or file.content is None else file

    def describe(self, file: dict[str, Any], host: str) -> dict[str, Any]:
        """Return the entry of a file that a request names, with what the store knows of it.

        Args:
            file: the entry as the request gives it, with its "url".
            host: this server's host and port, as the client addressed it.

        Returns:
            The entry, with "uploaded" added: True if the bytes are here, False if they are
            missing, None if the URL is on another server. If the bytes are here, a "name",
            "type" or "size" that the request left out is added too.
        """
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

    def _insert(self, file: StoredFile) -> str:
        path = f"{ROOT}{secrets.token_urlsafe(12)}/{quote(file.name, safe='')}"
        self._files[path] = file
        return path

    def _evict(self, newest: str) -> None:
        """Drop the oldest files until both limits hold, but never the newest one.

        A file that waits for its upload holds no bytes, so only the limit on the number of
        files can drop it.
        """
        for path, file in list(self._files.items()):
            too_many = len(self._files) > MAX_FILES
            if not too_many and self._bytes <= MAX_BYTES:
                return
            if path != newest and (too_many or file.content):
                del self._files[path]
                self._bytes -= len(file.content or b"")
