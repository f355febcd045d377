"""The HTTP values that dialects and the transport exchange: a request and a response's head."""

from __future__ import annotations

from collections.abc import Mapping

from swiftask_jupyter.support.structs import Redacted, Struct


class Request(Redacted, frozen=True):
    """One HTTP request, ready to send.

    The URL, the headers and the content may hold a token, so the `repr` leaves them out.

    Attributes:
        method: the HTTP method, such as `POST`.
        url: the absolute URL.
        headers: the dialect's own headers. The transport adds the general ones, such as `Host`
            and `Content-Length`.
        content: the body's bytes; empty if there is no body.
        label: how a progress message names the body, such as a file name.
    """

    redacted_fields = frozenset(("url", "headers", "content"))

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes = b""
    label: str = ""


class ResponseHead(Struct, frozen=True):
    """The status and the headers of an HTTP response.

    Attributes:
        status: the HTTP status code.
        headers: the values by header name, names in lower case.
    """

    status: int
    headers: Mapping[str, str]

    @property
    def media_type(self) -> str:
        """The content type in lower case, without parameters; empty if none is given."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()
