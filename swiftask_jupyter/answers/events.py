"""The events of an answer: what a protocol reads out of a response, one after another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from swiftask_jupyter.answers.column import Column
from swiftask_jupyter.support.structs import Struct

UsageSource = Literal["api", "stream", "none"]


class Delta(Struct, frozen=True):
    """A piece of the answer's text."""

    text: str


class Usage(Struct, frozen=True):
    """What an answer cost, as the service reported it; `None` is "not reported", never 0.

    Attributes:
        input_tokens: tokens of the request.
        output_tokens: tokens of the answer.
        total_tokens: their sum, where both are known.
        reported_total: the total as the service gave it. Measured on Swiftask's `/v1`: it comes
            without its two parts, and counts platform units rather than tokens.
        credits: `totalBotUsage` of Swiftask, unchanged: its unit is undocumented.
        source: `api` (in a JSON answer), `stream` (in a stream's usage event) or `none`.
    """

    input_tokens: Annotated[
        int | None, Column("of the request, as the service reports them", "tokens")
    ] = None
    output_tokens: Annotated[
        int | None, Column("of the answer, as the service reports them", "tokens")
    ] = None
    total_tokens: Annotated[int | None, Column("their sum, where both are reported", "tokens")] = (
        None
    )
    reported_total: Annotated[
        int | None, Column("a total as the service gave it, not interpreted", "undocumented")
    ] = None
    credits: Annotated[
        float | None,
        Column(
            "totalBotUsage as the service gave it: of the call, or of the session so far",
            "undocumented",
        ),
    ] = None
    source: Annotated[
        UsageSource,
        Column("api: in a JSON answer; stream: in a usage event; none", name="usage_source"),
    ] = "none"


class Finish(Struct, frozen=True):
    """Why the answer ends, in the service's word: `stop`, `length`, …"""

    reason: str


class Conversation(Struct, frozen=True):
    """The service's id of the conversation that this answer belongs to."""

    identity: int | str


class Raw(Struct, frozen=True):
    """Fields of the response that no other event carries (ids, model, metadata)."""

    fields: dict[str, Any]


Event = Delta | Usage | Finish | Conversation | Raw


def has_text(events: Iterable[Event]) -> bool:
    """Return whether any event carries text."""
    return any(isinstance(event, Delta) for event in events)
