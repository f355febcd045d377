"""Store files in memory: clients' uploads to signed URLs, and files that agents generate."""

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
    """Raised if an upload is not accepted; the message gives the reason."""


@dataclass
class StoredFile:
    """A stored file, or a place that is reserved for an upload.

    `content` is None until the file is uploaded.
    """

    name: str
    signature: str = field(default="", repr=False)
    """The signature that the query of the upload must contain; "" if no signature is needed."""
    expires_at: float = 0.0
    """When the signed URL expires, in seconds of `time.monotonic()`."""
    content: bytes | None = field(default=None, repr=False)
    type: str = "application/octet-stream"


class UploadStore:
    """The stored files of one sandbox, by URL path. Not thread-safe.

    If there are more files than `MAX_FILES` or more bytes than `MAX_BYTES`, the store drops the
    oldest files.
    """

    def __init__(self) -> None:
        self._files: dict[str, StoredFile] = {}
        self._bytes = 0

    def create_urls(self, name: str, fault: Fault) -> dict[str, str]:
        """Reserve a place for an upload, and return the URL paths for uploading and downloading.

        The keys of the dict are those of the HTTP response. In the documentation, "signedUrl" is
        for the upload and "fileUrl" is the file's URL without a signature. If
        `fault.signed_url_key` is "url", the keys follow the report of a client's author: "url" is
        for the upload and has no signature, and "fileUrl" has a signature.
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
        """Store the content of an upload in its reserved place.

        Raises:
            UploadRefused: the path is unknown, or the signature is wrong, expired or already used;
                nothing is stored.
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
        """Store a file that an agent generated, and return its URL path."""
        self._bytes += len(content)
        path = self._insert(StoredFile(name, content=content, type=content_type))
        self._evict(path)
        return path

    def find(self, path: str) -> StoredFile | None:
        """Return the file with this URL path, or None if it is unknown or not uploaded yet."""
        file = self._files.get(path)
        return None if file is None or file.content is None else file

    def describe(self, file: dict[str, Any], host: str) -> dict[str, Any]:
        """Return a copy of a request's file entry, extended by the metadata of the stored file.

        Args:
            file: the file entry in the request, with the key "url".
            host: the host and port of this server, as in the request's Host header.

        Returns:
            The entry with the key "uploaded": True if this server has the file's content, False if
            it does not, None if the URL is invalid or on another server. If this server has the
            content, the keys "name", "type" and "size" are added where the entry lacks them.
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
        """Drop the oldest files until both limits hold, but never the newest file.

        If only the limit on bytes is exceeded, files without content are kept, because dropping
        them would free no bytes.
        """
        for path, file in list(self._files.items()):
            too_many = len(self._files) > MAX_FILES
            if not too_many and self._bytes <= MAX_BYTES:
                return
            if path != newest and (too_many or file.content):
                del self._files[path]
                self._bytes -= len(file.content or b"")
