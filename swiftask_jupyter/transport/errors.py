"""The errors of a failed HTTP request, worded alike for our own HTTP/1.1 and for httpx."""

from __future__ import annotations

from swiftask_jupyter.errors import ConnectionFailed, StreamError, TimedOut

CONNECT_TIMEOUT = 10.0  # seconds
READ_TIMEOUT = 120.0  # seconds without a byte from the service
CONNECTION_ADVICE = "check SWIFTASK_BASE_URL, the network and the proxy"


def connect_timed_out(host: str, timeout: float) -> ConnectionFailed:
    """Return the error for a connection that was not accepted in time; nothing was sent.

    Args:
        host: the host and port, as the error names them.
        timeout: the request's timeout in seconds; connecting gets at most `CONNECT_TIMEOUT`.
    """
    seconds = min(timeout, CONNECT_TIMEOUT)
    return ConnectionFailed(
        f"{host} did not accept a connection within {seconds:g} s",
        advice=CONNECTION_ADVICE,
        sent=False,
    )


def unreachable(host: str, reason: str, *, sent: bool) -> ConnectionFailed:
    """Return the error for a request that got no response.

    Args:
        host: the host and port, as the error names them.
        reason: what went wrong.
        sent: whether the request may have arrived at the service.
    """
    return ConnectionFailed(f"cannot reach {host} ({reason})", advice=CONNECTION_ADVICE, sent=sent)


def read_timed_out(host: str, timeout: float) -> TimedOut:
    """Return the error for a service that sent nothing for `timeout` seconds."""
    return TimedOut(
        f"{host} was silent for {timeout:g} s",
        advice="the agent may still be working; --timeout allows it more",
    )


def truncated(reason: str) -> StreamError:
    """Return the error for a response that began and then broke off."""
    return StreamError(
        f"the answer was cut short ({reason})", advice="what came is kept; ask again"
    )


def describe(error: BaseException) -> str:
    """Return an error's message, or its class name if the message is empty."""
    return str(error).strip() or type(error).__name__
