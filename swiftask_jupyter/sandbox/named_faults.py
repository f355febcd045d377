"""Faults by their names: an agent called `fault-429`, or a header `X-Sandbox-Fault: 429`.

So a fault can be had by whoever can only choose a slug (a cell, an SDK) or a header (curl). The
header also takes a `Fault`'s fields as JSON: `{"status": 429, "headers": {"Retry-After": "1"}}`.
"""

import json
from collections.abc import Mapping

from .agents import Agent
from .cast import echo
from .faults import Fault, fault_from

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
