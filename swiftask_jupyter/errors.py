"""Every error this package raises. Each shows itself as one line that says what to do next.

    SwiftaskError
    ├── Refused                   nothing was sent
    │   ├── ConfigurationError    no token, no agent, an unusable base_url or option
    │   ├── PromptError           the prompt cannot be sent as it is
    │   └── BudgetSpent           a budget that was set is used up
    ├── ConnectionFailed          no answer came back: refused, unreachable, TLS, proxy
    │   └── TimedOut              it stayed silent too long
    ├── ServiceError              the service answered, and the answer is an error
    │   ├── BadRequest            400, 413, 415, 422
    │   ├── Unauthorized          401, 403
    │   ├── AgentNotFound         404, and the 400 of an unknown slug
    │   ├── RateLimited           429
    │   └── ServiceUnavailable    5xx
    ├── StreamError               an answer began and was cut short or made no sense
    ├── AnswerError               an answer came, and is not of the kind that was asked for
    └── StoreError                the ledger cannot be read or written
        └── StoreUnreachable      the server that keeps it is away

    KeyboardInterrupt
    └── Interrupted               the user stopped an answer; what had come is kept

IPython asks an exception for `_render_traceback_`; with one line there, the cell fails (so that
Run All stops) without a page of our frames.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self


class _OneLine:
    """Renders as `Name: message` in IPython, where a traceback would help nobody."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class SwiftaskError(_OneLine, Exception):
    """The root of all errors raised here.

    Args:
        message: what happened, in words of the user's world.
        advice: what to do next; printed after the message.
    """

    def __init__(self, message: str, *, advice: str = "") -> None:
        from swiftask_jupyter.support.sanitize import (
            visible,  # its patterns cost more than all this file
        )

        # Some of the words are a service's: no control character of its reaches a terminal.
        message = visible(" ".join(message.split()))
        super().__init__(f"{message}; {advice}" if advice else message)
        self.advice = advice

    def __reduce__(self) -> tuple[Any, ...]:
        # Its arguments are put together anew in `__init__`, and some kinds need more of them.
        return _remade, (type(self), self.args, self.__dict__)

    def masked(self, mask: Callable[[str], str]) -> Self:
        """Return this error without any token: a service, or the user, may have repeated one."""
        self.args = tuple(mask(str(each)) for each in self.args)
        return self


def _remade(kind: type[SwiftaskError], args: tuple[Any, ...], state: dict[str, Any]) -> Any:
    """Return an error as it was in another process."""
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


class Refused(SwiftaskError):
    """Nothing was sent, because it could not have been right."""


class ConfigurationError(Refused):
    """A setting is missing or unusable."""


class PromptError(Refused):
    """The prompt cannot be sent as it is."""


class BudgetSpent(Refused):
    """A budget that was set is used up."""


class ConnectionFailed(SwiftaskError):
    """The service could not be reached.

    Attributes:
        sent: whether the request may have arrived, and been answered and billed.
    """

    def __init__(self, message: str, *, advice: str = "", sent: bool = True) -> None:
        super().__init__(message, advice=advice)
        self.sent = sent


class TimedOut(ConnectionFailed):
    """The service did not answer in time."""


class ServiceError(SwiftaskError):
    """The service answered with an error.

    Attributes:
        status: the HTTP status, or 200 for a failure dressed as a success.
        retry_after: the seconds after which the service asks to be asked again, if it does.
    """

    def __init__(
        self, message: str, *, status: int, advice: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(message, advice=advice)
        self.status = status
        self.retry_after = retry_after


class BadRequest(ServiceError):
    """The service did not accept the request."""


class Unauthorized(ServiceError):
    """The token is missing, wrong, expired or revoked."""


class AgentNotFound(ServiceError):
    """There is no agent of that slug."""


class RateLimited(ServiceError):
    """Too many requests."""


class ServiceUnavailable(ServiceError):
    """The service failed."""


class StreamError(SwiftaskError):
    """An answer was cut short or made no sense; what had come is kept."""


class AnswerError(SwiftaskError):
    """An answer came, and is not of the kind that was asked for: no JSON, no table."""


class StoreError(SwiftaskError):
    """The ledger cannot be read or written."""


class StoreUnreachable(StoreError):
    """The server that keeps the ledger is away; what is written waits on this machine."""


class Interrupted(_OneLine, KeyboardInterrupt):
    """The user stopped an answer; what had come is kept and the connection is closed."""
