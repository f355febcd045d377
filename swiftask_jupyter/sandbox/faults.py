"""Define faults: deliberately wrong responses that the sandbox sends when a test asks for them.

A fault can be requested in four ways:

- in Python: `Sandbox(faults=["429"])` or `box.fail(Fault(status=429))`;
- by an agent's slug: a request to the agent `fault-429` gets the fault `429`. A notebook cell can
  request a fault in this way;
- by a request header: `X-Sandbox-Fault: 429`, or the fields of a `Fault` as JSON, such as
  `X-Sandbox-Fault: {"status": 429, "headers": {"Retry-After": "1"}}`;
- from another process: POST the fields of a `Fault` as JSON to `/sandbox/faults`.
"""

import json
import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from .agents import Agent
from .builtin_agents import echo

ERROR_SHAPES = ("object", "string", "message", "detail", "data", "text", "html")
USAGES = ("zero", "counted", "none")
CHOICES = {
    "shape": ERROR_SHAPES,
    "usage": USAGES,
    "usage_shape": ("tokenUsage", "usageDetail", "both", "none"),
    "session_type": ("number", "string"),
    "signed_url_key": ("signedUrl", "url"),
    "conversation_id_in": ("chunk", "header"),
}
"""The allowed values of each `Fault` field that accepts only certain strings (or None)."""

HEADER = "X-Sandbox-Fault"
AGENT_PREFIX = "fault-"


@dataclass(frozen=True)
class Fault:
    """A deliberately wrong or unusual response, sent by the sandbox in place of a correct response.

    Several fields can be combined. A "piece" is one of the parts in which an agent produces a
    reply. Some fields affect only certain routes. "native" marks fields for the dialects `native`
    and `widget`. "chat" marks fields for the dialect `chat`. "uploads" marks fields for the route
    `/widget/get-signed-url`.

    Args:
        status (int | None): respond with this HTTP status and an error body.
        shape (str | None): the format of the error body: "object", "string", "message", "detail",
            "data", "text" or "html"; None for the dialect's usual format.
        message (str): the text in the error body.
        headers (Mapping[str, str]): headers to add to the response, such as Retry-After.
        body (str | bytes | None): send this response body. The status is 200 unless `status` is
            set.
        content_type (str): the Content-Type of `body`.
        redirect (str | None): redirect to this Location. The status is 307 unless `status` is set.
        delay (float): seconds to wait before the first byte of the response.
        pause (float | None): seconds between two pieces; None for the agent's own pause.
        burst (bool): send all pieces without a pause.
        cut_after (int | None): close the connection after this many pieces.
        reset_after (int | None): reset the connection (TCP RST) after this many pieces.
        garbage_after (int | None): after this many pieces, send one piece that is not valid JSON.
        error_after (int | None): after this many pieces, send an error and end the response.
        no_done (bool): end the stream without the event `[DONE]`.
        disguised (bool): respond with an apology as the text, and with a token usage of 0 (prompt),
            0 (completion) and 1 (total). The status is 200. The real API sent this response when an
            agent failed.
        empty (bool): respond with two quotation marks as the text. The real API was seen to do so.
        text (str | None): respond with this text in place of the agent's reply.
        probability (float): the probability, from 0 to 1, that a queued fault is used for a
            matching request.
        usage (str | None): the token usage to report: "zero", "counted" (one token per word) or
            "none"; None for the sandbox's own setting.
        error_object (bool): respond with an error object. The status is 200 unless `status` is set.
        soft_error (bool): native: respond with `message` as the text and `isBotError: true`. The
            status is 200.
        limit_reached (bool): native: respond with `message` as the text and
            `isSubscriptionUsageLimitReachedMessage: true`. The status is 200.
        dollar_keys (bool): native: write "$" before each key of the response. One page of the
            documentation shows keys with "$".
        usage_shape (str | None): native: the response keys for the token usage: "tokenUsage",
            "usageDetail", "both" or "none". None means "tokenUsage".
        session_type (str | None): native: the required JSON type of `sessionId`: "number" or
            "string"; None for the dialect's default.
        signed_url_key (str | None): uploads: the response key for the upload URL: "signedUrl" or
            "url". None means "signedUrl".
        signed_url_seconds (float | None): uploads: seconds for which the upload URL is valid. 0
            means an expired URL. None means 900.
        rate_limit (int | None): chat: requests allowed per hour; None for the sandbox's own limit.
        blank_lines (bool): chat: end each event of the stream with a blank line. The SSE standard
            requires the blank line. The documentation shows no blank line.
        conversation_id_in (str | None): chat: the place of the conversation's id in a streamed
            response: "chunk" (an event after the text) or "header". None means that the id is not
            sent.

    Raises:
        ValueError: a field that accepts only certain strings has another value.

    Example:
        >>> from swiftask_jupyter import Fault, Sandbox, Swiftask
        >>> with (
        ...     Sandbox() as box,
        ...     Swiftask(base_url=box.url, token=box.token, dialect="openai") as client,
        ... ):
        ...     box.fail(Fault(text="You have run out of credits.", usage="zero"))
        ...     client.ask("hello", "echo").text
        'You have run out of credits.'
    """

    status: int | None = None
    shape: str | None = None
    message: str = "the sandbox was asked to fail"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | bytes | None = None
    content_type: str = "application/json"
    redirect: str | None = None
    delay: float = 0.0
    pause: float | None = None
    burst: bool = False
    cut_after: int | None = None
    reset_after: int | None = None
    garbage_after: int | None = None
    error_after: int | None = None
    no_done: bool = False
    disguised: bool = False
    empty: bool = False
    text: str | None = None
    probability: float = 1.0
    usage: str | None = None
    error_object: bool = False
    soft_error: bool = False
    limit_reached: bool = False
    dollar_keys: bool = False
    usage_shape: str | None = None
    session_type: str | None = None
    signed_url_key: str | None = None
    signed_url_seconds: float | None = None
    rate_limit: int | None = None
    blank_lines: bool = False
    conversation_id_in: str | None = None

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if value is not None and value not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}")


NAMED_FAULTS: Mapping[str, Fault] = {
    **{
        str(status): Fault(status=status)
        for status in (400, 401, 403, 404, 408, 413, 422, 500, 502, 503, 504)
    },
    "429": Fault(status=429, headers={"Retry-After": "1"}),
    "html": Fault(status=502, shape="html", message="Bad Gateway"),
    "error-object": Fault(error_object=True),
    "redirect": Fault(redirect="/elsewhere"),
    "slow-start": Fault(delay=3),
    "cut": Fault(cut_after=1),
    "reset": Fault(reset_after=1),
    "garbage": Fault(garbage_after=1),
    "error-inside": Fault(error_after=1),
    "no-done": Fault(no_done=True),
    "disguised": Fault(disguised=True),
    "empty": Fault(empty=True),
    "out-of-credits": Fault(text="You have run out of credits.", usage="zero"),
    "zero-usage": Fault(usage="zero"),
    "counted-usage": Fault(usage="counted"),
    "no-usage": Fault(usage="none"),
    "soft-error": Fault(soft_error=True),
    "limit-reached": Fault(limit_reached=True),
    "dollar-keys": Fault(dollar_keys=True),
    "usage-detail": Fault(usage_shape="usageDetail"),
    "string-session": Fault(session_type="string"),
    "number-session": Fault(session_type="number"),
}


def fault_agents() -> dict[str, Agent]:
    """Return a dict that maps each slug `fault-<name>` to an agent.

    Each named fault has one agent. The agent echoes the user's message. The request handlers apply
    the fault to the response (see `fault_for_agent`).
    """
    return {
        AGENT_PREFIX + name: Agent(echo, f"Fault: {name}", nonblocking=True, listed=False)
        for name in NAMED_FAULTS
    }


def fault_for_agent(slug: str | None) -> Fault | None:
    """Return the named fault for a slug of the form `fault-<name>`.

    Return None for any other slug and for an unknown name.
    """
    if slug is None or not slug.startswith(AGENT_PREFIX):
        return None
    return NAMED_FAULTS.get(slug.removeprefix(AGENT_PREFIX))


def parse_fault(text: str) -> Fault:
    """Convert a string to a fault.

    The string is the name of a fault, or a JSON object with fields of `Fault`. Strings come from
    the header `X-Sandbox-Fault` and from `Sandbox(faults=...)`.

    Raises:
        ValueError: no fault has the name, the JSON is malformed, or a field is invalid.
    """
    text = text.strip()
    if not text.startswith("{"):
        if text not in NAMED_FAULTS:
            raise ValueError(f"no fault {text!r}; there is: {', '.join(NAMED_FAULTS)}")
        return NAMED_FAULTS[text]
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"{HEADER} is neither a name nor JSON") from None
    return fault_from_json(parsed)


def fault_from_json(values: Mapping[str, Any]) -> Fault:
    """Create a fault from a parsed JSON object.

    Raises:
        ValueError: a field is unknown, or a field has an invalid value. The message names the
            field.
    """
    known = {each.name: each for each in fields(Fault)}
    for name, value in values.items():
        if name not in known:
            raise ValueError(f'"{name}" is not allowed')
        if not _has_type(value, str(known[name].type)):
            raise ValueError(f'"{name}" must be {known[name].type}')
    return Fault(**values)


def _has_type(value: Any, annotation: str) -> bool:
    if value is None:
        return "None" in annotation
    if isinstance(value, bool):
        return "bool" in annotation
    if isinstance(value, int):
        return "int" in annotation or "float" in annotation
    if isinstance(value, float):
        return "float" in annotation
    if isinstance(value, Mapping):
        return "Mapping" in annotation and all(isinstance(each, str) for each in value.values())
    return isinstance(value, str) and "str" in annotation and "Mapping" not in annotation


@dataclass
class _QueuedFault:
    fault: Fault
    agent: str | None
    path: str | None
    times: int | None


class FaultQueue:
    """A thread-safe queue of faults that wait for matching requests."""

    def __init__(self, generator: random.Random | None = None) -> None:
        self._random = generator or random.Random()  # noqa: S311 - chance, not security
        self._lock = threading.Lock()
        self._queue: list[_QueuedFault] = []

    def add(self, fault: Fault, agent: str | None, path: str | None, times: int | None) -> None:
        """Queue a fault for the next requests that match `agent` and `path`.

        Args:
            fault: the wrong response to send.
            agent: the slug of the agent that a request must address; None for any agent.
            path: the URL path that a request must have; None for any request to an agent.
            times: how many requests get the fault, at least 1; None for no limit.

        Raises:
            ValueError: `times` is neither None nor an integer of at least 1.
        """
        if times is not None and (type(times) is not int or times < 1):
            raise ValueError("times must be a whole number of at least 1, or None for always")
        with self._lock:
            self._queue.append(_QueuedFault(fault, agent, path, times))

    def clear(self) -> None:
        """Remove all queued faults."""
        with self._lock:
            self._queue.clear()

    def take(self, path: str, agent: str | None = None) -> Fault | None:
        """Return the first queued fault that matches a request, or None if no fault matches.

        The returned fault counts as used once. After the last use, the fault is removed from the
        queue. A fault with a `probability` below 1 is sometimes skipped at random.

        Args:
            path: the URL path of the request.
            agent: the slug of the agent that the request addresses; None for a request to no agent.
                A request to no agent matches only faults that were queued with a path.
        """
        with self._lock:
            for queued in self._queue:
                matches = queued.path == path if queued.path is not None else agent is not None
                if not matches or queued.agent not in (None, agent):
                    continue
                probability = queued.fault.probability
                if probability < 1 and self._random.random() >= probability:
                    continue
                if queued.times is not None:
                    queued.times -= 1
                    if queued.times == 0:
                        self._queue.remove(queued)
                return queued.fault
        return None


CHAT_ERROR_NAMES = {
    400: "ValidationError",
    401: "UnauthorizedError",
    403: "ForbiddenError",  # inferred, like the names for 429 and 500
    404: "NotFoundError",
    429: "RateLimitError",
    500: "InternalServerError",
}


def chat_error(status: int, message: str) -> dict[str, Any]:
    """Return the body of an error response of `/v1/api/chat/{slug}`, as a dict."""
    name = CHAT_ERROR_NAMES.get(status, "Error")
    return {"data": None, "error": {"name": name, "message": message, "details": {}}}


def error_body(shape: str, status: int, message: str) -> tuple[str, bytes]:
    """Return the Content-Type and the encoded body of an error response.

    `shape` is the format of the body, one of `ERROR_SHAPES`.
    """
    # The documentation of /v1 defines no error body. The shapes were seen on /v1 routes and on
    # similar services.
    error = {"message": message, "type": "sandbox_error", "param": None, "code": status}
    bodies: dict[str, Any] = {
        "object": {"error": error},
        "string": {"error": message},
        "message": {"statusCode": status, "message": message},
        "detail": {"detail": message},
        "data": chat_error(status, message),
    }
    match shape:
        case "text":
            return "text/plain; charset=utf-8", message.encode()
        case "html":
            page = f"<html><head><title>{status}</title></head><body><h1>{message}</h1></body>"
            return "text/html; charset=utf-8", f"{page}</html>".encode()
        case _:
            return "application/json; charset=utf-8", json.dumps(bodies[shape]).encode()
