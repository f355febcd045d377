"""Creates the exceptions for failed requests, for this package's HTTP client and for httpx."""

from __future__ import annotations

import ssl

from swiftask_jupyter.errors import ConnectionFailed, StreamError, TimedOut

CONNECT_TIMEOUT = 10.0  # seconds
READ_TIMEOUT = 120.0  # seconds without a byte from the service
CONNECTION_ADVICE = "check SWIFTASK_BASE_URL, the network and the proxy"
CERTIFICATE_ADVICE = "SSL_CERT_FILE names the certificates to trust, such as a company's own"


def connect_timed_out(host: str, timeout: float) -> ConnectionFailed:
    """Return the exception for a host that did not accept a connection within the timeout.

    Args:
        host: the host and port to show in the message.
        timeout: the timeout of the request in seconds. The message shows this value or
            `CONNECT_TIMEOUT`, whichever is smaller.
    """
    seconds = min(timeout, CONNECT_TIMEOUT)
    return ConnectionFailed(
        f"{host} did not accept a connection within {seconds:g} s",
        advice=CONNECTION_ADVICE,
        sent=False,
    )


def unreachable(
    host: str, reason: str | BaseException, *, sent: bool, permanent: bool = False
) -> ConnectionFailed:
    """Return the exception for a request that got no usable response.

    Args:
        host: the host and port to show in the message.
        reason: what went wrong, for the message. After a refused certificate, another request is of
            no use.
        sent: whether the request may have reached the service.
        permanent: whether another request is of no use for another reason.
    """
    words = describe(reason) if isinstance(reason, BaseException) else reason
    refused = isinstance(reason, ssl.SSLError) or "[SSL" in words
    refused = refused and "certificate" in words.lower()
    return ConnectionFailed(
        f"cannot reach {host} ({words})",
        advice=CERTIFICATE_ADVICE if refused else CONNECTION_ADVICE,
        sent=sent,
        permanent=permanent or refused,
    )


def read_timed_out(host: str, timeout: float) -> TimedOut:
    """Return the exception for a service that sent nothing for `timeout` seconds."""
    return TimedOut(
        f"{host} was silent for {timeout:g} s",
        advice="the agent may still be working; --timeout allows it more",
    )


def no_progress(host: str, limit: float) -> TimedOut:
    """Return the exception for a service that kept the connection open, but sent no answer."""
    return TimedOut(
        f"{host} kept the connection open for {limit:g} s, but sent nothing of an answer",
        advice="the agent may still be working; --timeout allows it more",
    )


def truncated(reason: str) -> StreamError:
    """Return the exception for a response that began but is incomplete or invalid."""
    return StreamError(
        f"the answer was cut short ({reason})", advice="what came is kept; ask again"
    )


def describe(error: BaseException) -> str:
    """Return the message of an exception, or the name of its class if the message is empty."""
    return str(error).strip() or type(error).__name__
