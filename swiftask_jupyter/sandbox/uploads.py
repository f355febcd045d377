"""Store files in memory: files that clients upload, and files that agents generate."""

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
"""The seconds for which a signed URL is valid. The value is not documented; a similar service
documents 15 minutes."""
ROOT = "/files/"


class UploadRefused(Exception):
    """Raised if an upload is not accepted. The message gives the reason."""


@dataclass
class StoredFile:
    """A stored file, or a place that is reserved for an upload.

    Before the upload, `content` is None.
    """

    name: str
    signature: str = field(default="", repr=False)
    """The signature that the query of the upload must contain; "" if no signature is needed."""
    expires_at: float = 0.0
    """When the signed URL expires, in seconds of `time.monotonic()`."""
    content: bytes | None = field(default=None, repr=False)
    type: str = "application/octet-stream"


class UploadStore:
    """A store of files. Each file has a URL path. Not thread-safe.

    If the store has more than `MAX_FILES` files or more than `MAX_BYTES` bytes, the store drops the
    oldest files.
    """

    def __init__(self) -> None:
        self._files: dict[str, StoredFile] = {}
        self._bytes = 0

    def create_urls(self, name: str, fault: Fault) -> dict[str, str]:
        """Reserve a place for an upload, and return a dict with an upload path and a download path.

        The dict maps "signedUrl" to the signed upload path and "fileUrl" to the download path. A
        signed path has a signature in the query.

        If `fault.signed_url_key` is "url", the dict maps "url" to the unsigned upload path and
        "fileUrl" to the signed download path.
        """
        signature = secrets.token_hex(32)
        seconds = fault.signed_url_seconds
        seconds = SIGNED_URL_SECONDS if seconds is None else seconds
        unsigned_upload = fault.signed_url_key == "url"
        expires_at = time.monotonic() + seconds
        path = self._insert(StoredFile(name, "" if unsigned_upload else signature, expires_at))
        signed = f"{path}?X-Amz-Expires={seconds:.0f}&X-Amz-Signature={signature}"
        # The author of a client reports the keys "url" and "fileUrl".
        if unsigned_upload:
            return {"url": path, "fileUrl": signed}
        return {"signedUrl": signed, "fileUrl": path}

    def receive(self, path: str, query: str, content: bytes, content_type: str | None) -> None:
        """Store the content of an upload in the reserved place.

        Raises:
            UploadRefused: the URL path is unknown, or the signature is wrong, expired or already
                used.
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
        """Store a file that an agent generated, and return the file's URL path."""
        self._bytes += len(content)
        path = self._insert(StoredFile(name, content=content, type=content_type))
        self._evict(path)
        return path

    def find(self, path: str) -> StoredFile | None:
        """Return the file with the URL path `path`.

        Return None if the path is unknown or the file is not uploaded yet.
        """
        file = self._files.get(path)
        return None if file is None or file.content is None else file

    def describe(self, file: dict[str, Any], host: str) -> dict[str, Any]:
        """Return a copy of a request's file entry, with data about the stored file.

        Args:
            file: the file entry in the request. The entry has the key "url".
            host: the host and port of this server, as in the request's Host header.

        Returns:
            The file entry with the key "uploaded". The value is True if this server has the file's
            content, and False if this server lacks the content. The value is None if the URL is
            invalid or on another server. If the entry lacks "name", "type" or "size", the stored
            file supplies the value.
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
        """Drop the oldest files until at most `MAX_FILES` files and `MAX_BYTES` bytes are left.

        The file with the URL path `newest` is always kept.
        """
        for path, file in list(self._files.items()):
            too_many = len(self._files) > MAX_FILES
            if not too_many and self._bytes <= MAX_BYTES:
                return
            # Files without content do not count towards the limit on bytes.
            if path != newest and (too_many or file.content):
                del self._files[path]
                self._bytes -= len(file.content or b"")
