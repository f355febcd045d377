"""Faults: the wrong responses that a sandbox gives on request, and how one is requested.

A fault can be requested in four ways:

- in Python: `Sandbox(faults=["429"])` or `box.fail(Fault(status=429))`;
- by a slug: the agent `fault-429` always answers with that fault, for clients that can only
  choose an agent (a cell, an SDK);
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
"""The allowed values of the fields of `Fault` that name one of several variants."""

HEADER = "X-Sandbox-Fault"
AGENT_PREFIX = "fault-"


@dataclass(frozen=True)
class Fault:
    """One way in which the sandbox answers a request wrongly. Fields can be combined.

    A "piece" is one part of an agent's reply, as it is streamed. Fields whose description begins
    with a dialect have no effect in other dialects.

    Args:
        status (int | None): answer with this HTTP status and an error body.
        shape (str | None): the form of the error body: "object", "string", "message",
            "detail", "data", "text" or "html"; None for the dialect's own form.
        message (str): the text in the error body.
        headers (Mapping[str, str]): headers to add to the response, such as Retry-After.
        body (str | bytes | None): send this in place of any response, with status 200 unless
            `status` is set.
        content_type (str): the Content-Type of `body`.
        redirect (str | None): answer 307, or `status` if set, with this Location.
        delay (float): seconds before the first byte of the response.
        pause (float | None): seconds between two pieces; None for the agent's own pause.
        burst (bool): send all pieces without a pause.
        cut_after (int | None): close the connection after this many pieces.
        reset_after (int | None): reset the connection (TCP RST) after this many pieces.
        garbage_after (int | None): after this many pieces send one that is not JSON, then
            continue.
        error_after (int | None): after this many pieces send an error in the stream, then end.
        no_done (bool): end the stream properly, but without its `[DONE]` event.
        disguised (bool): answer 200 with an apology as the text and usage 0, 0, 1; measured on
            the documented API when an agent failed.
        empty (bool): answer with two quotation marks as the text; measured on the documented
            API.
        text (str | None): answer with this text in place of the agent's reply.
        probability (float): the share of matching requests, from 0 to 1, that get the fault.
        usage (str | None): report usage this way: "zero", "counted" (words) or "none"; None for
            the sandbox's own setting.
        error_object (bool): answer with an error object, with status 200 unless `status` is set.
        soft_error (bool): native: answer 200 with `isBotError` true and `message` as the text.
        limit_reached (bool): native: answer 200 with the mark that the subscription's limit is
            reached, and `message` as the text.
        dollar_keys (bool): native: write "$" before each key of the response, as one page of
            the documents does.
        usage_shape (str | None): native: the keys that hold the usage: "tokenUsage" (also for
            None), "usageDetail", "both" or "none".
        session_type (str | None): native: the accepted type of `sessionId`: "number" or
            "string"; None for the route's own.
        signed_url_key (str | None): uploads: the key of the URL to PUT to: "signedUrl" (also
            for None) or "url".
        signed_url_seconds (float | None): uploads: seconds for which the signed URL is valid;
            0 expires at once, None is 900.
        rate_limit (int | None): chat: requests per hour, in place of the sandbox's own limit.
        blank_lines (bool): chat: end each event of the stream with a blank line, as the SSE
            standard demands and the documents do not show.
        conversation_id_in (str | None): chat: where a stream names its conversation: "chunk"
            (a last event), "header", or None for nowhere.

    Raises:
        ValueError: a field has a value that is not allowed.

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
    """Return an agent `fault-<name>` for each named fault.

    If the fault leaves the reply as it is, the agent answers like `echo`.
    """
    return {
        AGENT_PREFIX + name: Agent(echo, f"Fault: {name}", nonblocking=True, listed=False)
        for name in NAMED_FAULTS
    }


def fault_for_agent(slug: str | None) -> Fault | None:
    """Return the fault that an agent `fault-<name>` stands for; None for other agents."""
    if slug is None or not slug.startswith(AGENT_PREFIX):
        return None
    return NAMED_FAULTS.get(slug.removeprefix(AGENT_PREFIX))


def parse_fault(text: str) -> Fault:
    """Return the fault for the value of an `X-Sandbox-Fault` header: a name, or JSON fields.

    Raises:
        ValueError: no fault has that name, or the JSON is invalid.
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
    """Return a fault made of parsed JSON, its field names and types checked.

    Raises:
        ValueError: a field is unknown or has the wrong type or value; the message names it.
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
    """The faults that wait for a matching request. Every method is thread-safe."""

    def __init__(self, generator: random.Random | None = None) -> None:
        self._random = generator or random.Random()  # noqa: S311 - chance, not security
        self._lock = threading.Lock()
        self._queue: list[_QueuedFault] = []

    def add(self, fault: Fault, agent: str | None, path: str | None, times: int | None) -> None:
        """Queue a fault for the next `times` matching requests; None: until `clear`.

        Args:
            fault: what to answer.
            agent: the slug of the agent that must be asked; None for any.
            path: the path that must be requested; None for any prompt to an agent.
            times: how many requests get the fault, at least 1.

        Raises:
            ValueError: `times` is not a whole number of at least 1, nor None.
        """
        if times is not None and (type(times) is not int or times < 1):
            raise ValueError("times must be a whole number of at least 1, or None for always")
        with self._lock:
            self._queue.append(_QueuedFault(fault, agent, path, times))

    def clear(self) -> None:
        """Drop the queued faults that no request has received yet."""
        with self._lock:
            self._queue.clear()

    def take(self, path: str, agent: str | None = None) -> Fault | None:
        """Return the first queued fault that matches a request, and count it as served once.

        A request that names no agent, such as one for the catalogue, only matches faults queued
        for its path.
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
    403: "ForbiddenError",  # inferred, as those after 404
    404: "NotFoundError",
    429: "RateLimitError",
    500: "InternalServerError",
}


def chat_error(status: int, message: str) -> dict[str, Any]:
    """Return the body of an error response of `/v1/api/chat/{slug}`, as a dict."""
    name = CHAT_ERROR_NAMES.get(status, "Error")
    return {"data": None, "error": {"name": name, "message": message, "details": {}}}


def error_body(shape: str, status: int, message: str) -> tuple[str, bytes]:
    """Return the content type and the bytes of an error body in one of `ERROR_SHAPES`.

    The documents define no error body for /v1; these shapes were seen on its routes and on those
    of similar services.
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
