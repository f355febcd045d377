"""What is said of an exchange that failed, whoever carried it."""

from __future__ import annotations

from swiftask_jupyter.errors import ConnectionFailed, StreamError, TimedOut

CONNECT_SECONDS = 10.0
READ_SECONDS = 120.0
WHERE = "check SWIFTASK_BASE_URL, the network and the proxy"


def not_accepted(host: str, patience: float) -> ConnectionFailed:
    """Return the error for a connection that was not accepted in time; nothing was sent."""
    seconds = min(patience, CONNECT_SECONDS)
    return ConnectionFailed(
        f"{host} did not accept a connection within {seconds:g} s", advice=WHERE, sent=False
    )


def out_of_reach(host: str, reason: str, *, sent: bool) -> ConnectionFailed:
    """Return the error for a request of whose answer nothing came."""
    return ConnectionFailed(f"cannot reach {host} ({reason})", advice=WHERE, sent=sent)


def silent(host: str, patience: float) -> TimedOut:
    """Return the error for a service that said nothing for too long."""
    return TimedOut(
        f"{host} was silent for {patience:g} s",
        advice="the agent may still be working; --timeout allows it more",
    )


def cut_short(reason: str) -> StreamError:
    """Return the error for an answer that broke off."""
    return StreamError(
        f"the answer was cut short ({reason})", advice="what came is kept; ask again"
    )


def words_of(error: BaseException) -> str:
    """Return the words of an error, or its kind where it has none."""
    return str(error).strip() or type(error).__name__
