"""httpx's own: how it is imported, what it logs, and what its errors mean here."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from swiftask_jupyter.errors import SwiftaskError
from swiftask_jupyter.transport.failures import (
    CONNECT_SECONDS,
    cut_short,
    not_accepted,
    out_of_reach,
    silent,
    words_of,
)

_IMPORTING = threading.Lock()
_OURS: ContextVar[bool] = ContextVar("ours", default=False)
# httpx logs every URL; httpcore the headers of responses, where a redirect repeats the URL.
LOGGERS = (
    "httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy",
    "httpcore.socks",
)  # fmt: skip


def import_httpx() -> Any:
    """Import httpx, but not its command line: where click is installed, that is a third of it.

    httpx does without it by itself where an import fails, and a `None` makes it fail. Several
    clients of one process may come here at once, each on a thread of its own.
    """
    if "httpx" not in sys.modules:
        with _IMPORTING:
            if "httpx" not in sys.modules:
                _import_without_command_line()
    import httpx  # waits where another thread is still at it

    return httpx


def _import_without_command_line() -> None:
    sys.modules["httpx._main"] = None  # type: ignore[assignment]  # Python's way to say so
    try:
        import httpx  # noqa: F401 - for what it does
    finally:
        sys.modules.pop("httpx._main", None)


def keep_out_of_logs() -> None:
    """Have httpx log nothing of what the running task sends: some of its URLs are secrets.

    What others send through httpx is logged as ever.
    """
    _OURS.set(True)
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_is_not_ours)


def _is_not_ours(_: logging.LogRecord) -> bool:
    return not _OURS.get()


def time_limits(patience: float) -> Any:
    """Return how long each step may take; a connection is there soon or not at all."""
    return import_httpx().Timeout(patience, connect=min(patience, CONNECT_SECONDS), pool=None)


class Progress:
    """Whether an answer has begun to come."""

    began = False


@contextmanager
def foreign_errors(host: str, patience: float) -> Iterator[Progress]:
    """Turn httpx's errors into ours, at the one place where they can arise."""
    import httpx

    foreign = (
        httpx.HTTPError,
        httpx.InvalidURL,
        httpx.StreamError,
        httpx.CookieConflict,
        UnicodeError,
    )
    progress = Progress()
    try:
        yield progress
    except foreign as error:
        raise _ours(error, host, patience, began=progress.began) from None
    except (
        ExceptionGroup
    ) as group:  # anyio's, of what connecting raises: a proxy's port may be none
        raise out_of_reach(host, words_of(group.exceptions[0]), sent=False) from None


def _ours(error: Exception, host: str, patience: float, *, began: bool) -> SwiftaskError:
    import httpx

    before_sending = (
        httpx.ConnectError,
        httpx.ProxyError,
        httpx.UnsupportedProtocol,
        httpx.InvalidURL,
        UnicodeError,
    )
    if isinstance(error, httpx.ConnectTimeout):
        return not_accepted(host, patience)
    if isinstance(error, httpx.TimeoutException):
        return silent(host, patience)
    if began and isinstance(error, httpx.TransportError):
        return cut_short(words_of(error))
    return out_of_reach(host, words_of(error), sent=not isinstance(error, before_sending))
