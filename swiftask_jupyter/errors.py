"""The errors of this package. IPython shows each error as one line that says what to do next.

    SwiftaskError
    ├── Refused                   the request was not sent
    │   ├── ConfigurationError    a token, an agent, a base_url or an option is missing or unusable
    │   ├── PromptError           the prompt or a file cannot be sent
    │   └── BudgetSpent           a budget is used up
    ├── ConnectionFailed          no response: refused, unreachable, TLS, proxy
    │   └── TimedOut              the service sent nothing for too long
    ├── ServiceError              the service responded with an error
    │   ├── BadRequest            400, 413, 415, 422
    │   ├── Unauthorized          401, 403
    │   ├── AgentNotFound         404, and a 400 for an unknown slug
    │   ├── RateLimited           429
    │   │   └── QuotaSpent        402, and a 429 for used-up credits
    │   └── ServiceUnavailable    5xx
    ├── StreamError               an answer broke off or could not be decoded
    ├── AnswerError               an answer lacks the requested JSON, table or code
    └── StoreError                the ledger cannot be read or written
        └── StoreUnreachable      the ledger's database server cannot be reached

    KeyboardInterrupt
    └── Interrupted               the user stopped an answer; the text so far is kept

To display an exception, IPython calls its method `_render_traceback_`. In the errors of this
package, this method returns one line. So a failing cell shows one line instead of a traceback. The
remaining cells of a Run All do not run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self


class _OneLineTraceback:
    """Mixin for exceptions: makes IPython show `Name: message` instead of a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class SwiftaskError(_OneLineTraceback, Exception):
    """The base class of the errors of this package, except `Interrupted`.

    Args:
        message: what went wrong, in the user's terms.
        advice: what to do next; appended to the message.
    """

    def __init__(self, message: str, *, advice: str = "") -> None:
        # Imported here because compiling its patterns takes longer than the rest of this file.
        from swiftask_jupyter.support.sanitize import sanitize

        # A service's error text must not carry control characters to a terminal.
        message = sanitize(" ".join(message.split()))
        super().__init__(f"{message}; {advice}" if advice else message)
        self.advice = advice

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickle would call `__init__` with the joined message, and some subclasses need more.
        return _unpickle, (type(self), self.args, self.__dict__)

    def masked(self, mask: Callable[[str], str]) -> Self:
        """Mask tokens in the message of this error, and return this error.

        A message can quote a text from the service or from the user. The text can contain a token.

        Args:
            mask: a function that masks the secrets in a text, such as `Secret.mask`.
        """
        self.args = tuple(mask(str(each)) for each in self.args)
        return self


def _unpickle(kind: type[SwiftaskError], args: tuple[Any, ...], state: dict[str, Any]) -> Any:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


class Refused(SwiftaskError):
    """The request was refused before it was sent; correct the request and ask again."""


class ConfigurationError(Refused):
    """A setting is missing or unusable; correct the setting that the message names."""


class PromptError(Refused):
    """The prompt or an attachment cannot be sent; change the prompt as the message says."""


class BudgetSpent(Refused):
    """A budget is used up; increase the budget, or wait until the period ends."""


class ConnectionFailed(SwiftaskError):
    """No response arrived; check the base URL, the network and the proxy.

    Attributes:
        sent: whether the request may have reached the service. Then the request may be billed.
        permanent: whether each further request would fail too, such as after a refused certificate.
        after: how many seconds after the request was sent it failed; `None` if that is not known.
    """

    after: float | None = None

    def __init__(
        self, message: str, *, advice: str = "", sent: bool = True, permanent: bool = False
    ) -> None:
        super().__init__(message, advice=advice)
        self.sent = sent
        self.permanent = permanent


class TimedOut(ConnectionFailed):
    """The service sent nothing within the timeout; ask again with a larger `timeout`."""


class ServiceError(SwiftaskError):
    """The service responded with an error; the message quotes the service.

    Attributes:
        status: the HTTP status; 200 if the error came in the body of a successful response.
        retry_after: how many seconds to wait before the next request, if the service says so.
        after: how many seconds after the request the response came; `None` if that is not known.
    """

    after: float | None = None

    def __init__(
        self, message: str, *, status: int, advice: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(message, advice=advice)
        self.status = status
        self.retry_after = retry_after


class BadRequest(ServiceError):
    """The service rejected the request; change the option or the prompt that the message names."""


class Unauthorized(ServiceError):
    """The token is missing, wrong, expired or revoked; set another token."""


class AgentNotFound(ServiceError):
    """No agent has this slug; correct the slug, or list the agents with `%swiftask agents`."""


class RateLimited(ServiceError):
    """The service received too many requests; wait, or ask with less concurrency."""


class QuotaSpent(RateLimited):
    """The credits, the quota or the subscription of the account are used up; waiting is no use."""


class ServiceUnavailable(ServiceError):
    """The service failed (HTTP 5xx); ask again later."""


class StreamError(SwiftaskError):
    """An answer broke off or could not be decoded; the text so far is kept. Ask again."""


class AnswerError(SwiftaskError):
    """An answer lacks the requested JSON, table or code; ask the agent for this format."""


class StoreError(SwiftaskError):
    """The ledger cannot be read or written; check `SWIFTASK_STORE` and the file's permissions."""


class StoreUnreachable(StoreError):
    """The ledger's server cannot be reached; meanwhile, new turns are stored on this machine."""


class Interrupted(_OneLineTraceback, KeyboardInterrupt):
    """The user stopped an answer; the text so far is kept, and the connection is closed."""
