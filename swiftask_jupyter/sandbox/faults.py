"""Misbehaviour on request: what a service may do wrong, asked for by tests and demonstrations.

Faults by their names: an agent called `fault-429`, or a header `X-Sandbox-Fault: 429`.

So a fault can be had by whoever can only choose a slug (a cell, an SDK) or a header (curl). The
header also takes a `Fault`'s fields as JSON: `{"status": 429, "headers": {"Retry-After": "1"}}`.
"""

import json
import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from .agents import Agent
from .builtin_agents import echo

SHAPES = ("object", "string", "message", "detail", "data", "text", "html")
USAGES = ("zero", "counted", "none")
USAGE_SHAPES = ("tokenUsage", "usageDetail", "both", "none")
SESSION_TYPES = ("number", "string")
SIGNED_KEYS = ("signedUrl", "url")
STREAM_IDS = ("chunk", "header")
CHOICES = {
    "shape": SHAPES,
    "usage": USAGES,
    "usage_shape": USAGE_SHAPES,
    "session_type": SESSION_TYPES,
    "signed_key": SIGNED_KEYS,
    "stream_id": STREAM_IDS,
}


@dataclass(frozen=True)
class Fault:
    """One way for an answer to go wrong; parts may be combined."""

    status: int | None = None
    """Answer with this HTTP status and an error body instead of an answer."""
    shape: str | None = None
    """Which error body, one of SHAPES; the dialect's own when None."""
    message: str = "the sandbox was asked to fail"
    headers: Mapping[str, str] = field(default_factory=dict)
    """Added to the answer, say Retry-After."""
    body: str | bytes | None = None
    """Sent as it is, in place of any answer (status 200 unless `status` says otherwise)."""
    content_type: str = "application/json"
    """What `body` claims to be."""
    redirect: str | None = None
    """Answer 307, or `status` (say 301), with this Location."""
    delay: float = 0.0
    """Seconds before the first byte."""
    pause: float | None = None
    """Seconds between pieces; the agent's own when None."""
    burst: bool = False
    """No pauses at all."""
    cut_after: int | None = None
    """After so many pieces, close the connection without finishing the answer."""
    reset_after: int | None = None
    """After so many pieces, reset the connection (RST)."""
    garbage_after: int | None = None
    """After so many pieces, send one that is not JSON, then go on."""
    error_after: int | None = None
    """After so many pieces, send an error inside the stream, and end."""
    no_done: bool = False
    """End the stream properly, but without its closing mark."""
    disguised: bool = False
    """Answer 200 with an apology and usage 0, 0, 1 (measured on the documented API)."""
    empty: bool = False
    """Answer with two quotes and nothing between them (measured on the documented API)."""
    says: str | None = None
    """Answer with this text in place of the agent's."""
    rate: float = 1.0
    """How often it is served where it could be: 0.1 is one request in ten."""
    usage: str | None = None
    """Report usage this way, one of USAGES; the sandbox's own when None."""
    error_object: bool = False
    """Answer with an `error` that is an object, and with 200 unless `status` says otherwise."""
    soft_error: bool = False
    """Native: answer 200 with isBotError true and `message` as the text."""
    limit_reached: bool = False
    """Native: answer 200, say that the subscription's limit is reached, `message` as the text."""
    dollar_keys: bool = False
    """Native: the answer's keys begin with $, as one page of the documents prints them."""
    usage_shape: str | None = None
    """Native: where the usage stands, one of USAGE_SHAPES; tokenUsage when None."""
    session_type: str | None = None
    """Native: which sessionId is accepted, one of SESSION_TYPES; the route's own when None."""
    signed_key: str | None = None
    """Upload: what the URL to PUT to is called, one of SIGNED_KEYS; signedUrl when None."""
    signed_for: float | None = None
    """Upload: for how many seconds the signed URL may be used; 0 is expired at once."""
    rate_limit: int | None = None
    """Chat: how many requests an hour are allowed, in place of the sandbox's own limit."""
    blank_lines: bool = False
    """Chat: end each event of the stream with a blank line, as the standard says."""
    stream_id: str | None = None
    """Chat: where the stream names its conversation, one of STREAM_IDS; nowhere when None."""

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            given = getattr(self, name)
            if given is not None and given not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, not {given!r}")


def fault_from(wanted: Mapping[str, Any]) -> Fault:
    """Makes a fault from JSON; ValueError names what is wrong with it."""
    known = {each.name: each for each in fields(Fault)}
    for name, value in wanted.items():
        if name not in known:
            raise ValueError(f'"{name}" is not allowed')
        if not _fits(str(known[name].type), value):
            raise ValueError(f'"{name}" must be {known[name].type}')
    return Fault(**wanted)


def _fits(declared: str, value: Any) -> bool:
    if value is None:
        return "None" in declared
    if isinstance(value, bool):
        return "bool" in declared
    if isinstance(value, int):
        return "int" in declared or "float" in declared
    if isinstance(value, float):
        return "float" in declared
    if isinstance(value, Mapping):
        return "Mapping" in declared and all(isinstance(each, str) for each in value.values())
    return isinstance(value, str) and "str" in declared and "Mapping" not in declared


@dataclass
class _Order:
    fault: Fault
    agent: str | None
    path: str | None
    times: int | None


class Faults:
    """The faults asked for and not yet served; may be used from any thread."""

    def __init__(self, chance: random.Random | None = None) -> None:
        self._chance = chance or random.Random()  # noqa: S311 - how often, not who
        self._lock = threading.Lock()
        self._orders: list[_Order] = []

    def add(self, fault: Fault, agent: str | None, path: str | None, times: int | None) -> None:
        """Serves this fault to the next `times` matching requests; None: until cleared."""
        if times is not None and (type(times) is not int or times < 1):
            raise ValueError("times must be a whole number from 1 on, or None for always")
        with self._lock:
            self._orders.append(_Order(fault, agent, path, times))

    def clear(self) -> None:
        """Forgets every fault not yet served."""
        with self._lock:
            self._orders.clear()

    def take(self, path: str, agent: str | None = None) -> Fault | None:
        """The first fault meant for this request, which is then used up once.

        A request to no agent (a catalogue) is only touched by faults that name its path.
        """
        with self._lock:
            for order in self._orders:
                here = order.path == path if order.path is not None else agent is not None
                if not here or order.agent not in (None, agent):
                    continue
                if order.fault.rate < 1 and self._chance.random() >= order.fault.rate:
                    continue
                if order.times is not None:
                    order.times -= 1
                    if order.times == 0:
                        self._orders.remove(order)
                return order.fault
        return None


ERROR_NAMES = {
    400: "ValidationError",
    401: "UnauthorizedError",
    403: "ForbiddenError",  # this one, and those after 404, are inferred
    404: "NotFoundError",
    429: "RateLimitError",
    500: "InternalServerError",
}


def failed(status: int, message: str) -> dict[str, Any]:
    """The envelope of the platform of `/chat/{slug}`, with an error in it."""
    name = ERROR_NAMES.get(status, "Error")
    return {"data": None, "error": {"name": name, "message": message, "details": {}}}


def error_body(shape: str, status: int, message: str) -> tuple[str, bytes]:
    """An error as one of the shapes that clients meet: its content type and its bytes.

    The documented API names none for /v1; these are the ones seen on its routes and its kin's.
    """
    error = {"message": message, "type": "sandbox_error", "param": None, "code": status}
    bodies: dict[str, Any] = {
        "object": {"error": error},
        "string": {"error": message},
        "message": {"statusCode": status, "message": message},
        "detail": {"detail": message},
        "data": failed(status, message),
    }
    match shape:
        case "text":
            return "text/plain; charset=utf-8", message.encode()
        case "html":
            page = f"<html><head><title>{status}</title></head><body><h1>{message}</h1></body>"
            return "text/html; charset=utf-8", f"{page}</html>".encode()
        case _:
            return "application/json; charset=utf-8", json.dumps(bodies[shape]).encode()


HEADER = "X-Sandbox-Fault"
PREFIX = "fault-"

NAMED: Mapping[str, Fault] = {
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
    "out-of-credits": Fault(says="You have run out of credits.", usage="zero"),
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


def agents() -> dict[str, Agent]:
    """The agents that do nothing but go wrong; where there is an answer, it is an echo."""
    return {
        PREFIX + name: Agent(echo, f"Fault: {name}", instant=True, listed=False) for name in NAMED
    }


def fault_of(agent: str | None) -> Fault | None:
    """The fault that an agent is named for, if it is."""
    if agent is None or not agent.startswith(PREFIX):
        return None
    return NAMED.get(agent.removeprefix(PREFIX))


def named(wanted: str) -> Fault:
    """The fault that a header's value, or a name, stands for; ValueError says what is wrong."""
    wanted = wanted.strip()
    if not wanted.startswith("{"):
        if wanted not in NAMED:
            raise ValueError(f"no fault {wanted!r}; there is: {', '.join(NAMED)}")
        return NAMED[wanted]
    try:
        fields = json.loads(wanted)
    except (ValueError, RecursionError):
        raise ValueError(f"{HEADER} is neither a name nor JSON") from None
    return fault_from(fields)
