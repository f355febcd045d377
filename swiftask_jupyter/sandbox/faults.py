"""Define faults: deliberately wrong responses that the sandbox sends when a test asks for them.

A fault can be requested in four ways:

- in Python: `Sandbox(faults=["429"])` or `box.fail(Fault(status=429))`;
- by an agent's slug: requests to the agent `fault-429` get this fault, for clients that can choose
  only an agent, such as a notebook cell or an SDK;
- by a request header: `X-Sandbox-Fault: 429`, or the fields of a `Fault` as JSON, such as
  `X-Sandbox-Fault: {"status": 429, "headers": {"Retry-After": "1"}}`;
- from another process: POST the fields as JSON to `/sandbox/faults`.
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
    """A deliberately wrong or unusual response that the sandbox sends in place of the correct one.

    Several fields can be combined. A "piece" is one part of an agent's reply as it is streamed.
    Fields marked "native" affect the dialects `native` and `widget`, fields marked "chat" the
    dialect `chat`, and fields marked "uploads" the route `/widget/get-signed-url`.

    Args:
        status (int | None): respond with this HTTP status and an error body.
        shape (str | None): the format of the error body: "object", "string", "message",
            "detail", "data", "text" or "html"; None for the dialect's usual format.
        message (str): the text in the error body.
        headers (Mapping[str, str]): headers to add to the response, such as Retry-After.
        body (str | bytes | None): send this body in place of any other response, with status 200
            unless `status` is set.
        content_type (str): the Content-Type of `body`.
        redirect (str | None): redirect to this Location, with status 307 unless `status` is set.
        delay (float): seconds to wait before the first byte of the response.
        pause (float | None): seconds between two pieces; None for the agent's own pause.
        burst (bool): send all pieces without a pause.
        cut_after (int | None): close the connection after this many pieces.
        reset_after (int | None): reset the connection (TCP RST) after this many pieces.
        garbage_after (int | None): after this many pieces, send a piece that is not valid JSON,
            then continue.
        error_after (int | None): after this many pieces, send an error and end the response.
        no_done (bool): end the stream normally, but without its `[DONE]` event.
        disguised (bool): respond with status 200, an apology as the text, and a token usage of 0
            (prompt), 0 (completion) and 1 (total). The real API did this when an agent failed.
        empty (bool): respond with two quotation marks as the text, as seen on the real API.
        text (str | None): respond with this text in place of the agent's reply.
        probability (float): the probability, from 0 to 1, that a matching request gets the fault;
            only applies to queued faults.
        usage (str | None): report token usage in this way: "zero", "counted" (words) or "none";
            None for the sandbox's own setting.
        error_object (bool): respond with an error object, with status 200 unless `status` is set.
        soft_error (bool): native: respond with status 200, `isBotError` true and `message` as the
            text.
        limit_reached (bool): native: respond with status 200, `message` as the text and
            `isSubscriptionUsageLimitReachedMessage` true.
        dollar_keys (bool): native: write "$" before each key of the response, as one page of
            the documentation does.
        usage_shape (str | None): native: the keys that contain the token usage: "tokenUsage"
            (also for None), "usageDetail", "both" or "none".
        session_type (str | None): native: the JSON type that `sessionId` must have: "number" or
            "string"; None for the dialect's default.
        signed_url_key (str | None): uploads: the response key of the URL for the PUT request:
            "signedUrl" (also for None) or "url".
        signed_url_seconds (float | None): uploads: seconds for which the upload URL is valid; 0
            for a URL that has already expired, None for 900.
        rate_limit (int | None): chat: requests allowed per hour, in place of the sandbox's own
            limit.
        blank_lines (bool): chat: end each event of the stream with a blank line. The SSE standard
            requires the blank line, but the documentation does not show it.
        conversation_id_in (str | None): chat: where a streamed response contains the
            conversation's id: "chunk" (an event after the text), "header", or None for nowhere.

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
    """Return one agent for each named fault, keyed by its slug `fault-<name>`.

    Each agent only echoes the user's message. The request handlers look up the fault by the slug
    (see `fault_for_agent`) and apply it to the response.
    """
    return {
        AGENT_PREFIX + name: Agent(echo, f"Fault: {name}", nonblocking=True, listed=False)
        for name in NAMED_FAULTS
    }


def fault_for_agent(slug: str | None) -> Fault | None:
    """Return the named fault for a slug of the form `fault-<name>`, or None for any other slug."""
    if slug is None or not slug.startswith(AGENT_PREFIX):
        return None
    return NAMED_FAULTS.get(slug.removeprefix(AGENT_PREFIX))


def parse_fault(text: str) -> Fault:
    """Convert a string to a fault: the name of a fault, or a JSON object with fields of `Fault`.

    The string comes from the header `X-Sandbox-Fault` or from `Sandbox(faults=...)`.

    Raises:
        ValueError: no fault has this name, the JSON is malformed, or a field is invalid.
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
    """Create a fault from a parsed JSON object, after a check of the field names and types.

    Raises:
        ValueError: a field is unknown or has a wrong type or value; the message names the field.
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
    """A thread-safe queue of faults, each of which waits for requests that match it."""

    def __init__(self, generator: random.Random | None = None) -> None:
        self._random = generator or random.Random()  # noqa: S311 - chance, not security
        self._lock = threading.Lock()
        self._queue: list[_QueuedFault] = []

    def add(self, fault: Fault, agent: str | None, path: str | None, times: int | None) -> None:
        """Queue a fault for the next requests that match the agent and the path.

        Args:
            fault: the wrong response to send.
            agent: the slug of the agent that a request must address; None for any agent.
            path: the path that a request must have; None to match requests to an agent on any path.
            times: how many requests get the fault, at least 1; None for every matching request
                until `clear` is called.

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

        Returning a fault counts as one use; after its last use, the fault is removed. A fault with
        a `probability` below 1 may be skipped at random. If `agent` is None (the request addresses
        no agent, as on the catalogue's route), only faults queued with the request's path match.
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
    """Return the JSON body of an error response of `/v1/api/chat/{slug}`, as a dict."""
    name = CHAT_ERROR_NAMES.get(status, "Error")
    return {"data": None, "error": {"name": name, "message": message, "details": {}}}


def error_body(shape: str, status: int, message: str) -> tuple[str, bytes]:
    """Return the Content-Type and the encoded body of an error response.

    `shape` is the format of the body, one of `ERROR_SHAPES`. The documentation of /v1 defines no
    error body; the shapes were seen on /v1 routes and on similar services.
    """
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
