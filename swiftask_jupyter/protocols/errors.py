"""The errors that a service answers with: their many shapes, read by one reader."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from swiftask_jupyter import errors
from swiftask_jupyter.settings.secrets import Secret
from swiftask_jupyter.support.structs import Struct

LONGEST_MESSAGE = 500
_AGENT = re.compile(r"\b(slug|model|agent|bot)s?\b")
# As llama.cpp's server and OpenAI's own say it; no one else's words are known.
_TOO_LONG = re.compile(r"context (size|length|window)|context_length_exceeded")
SHORTER = "send less of the conversation: --last N or --fresh, or a history_limit"
CREDENTIAL = "check the token (SWIFTASK_API_KEY)"


class Head(Struct, frozen=True):
    """The head of a response: header names in lower case."""

    status: int
    headers: Mapping[str, str]

    @property
    def media_type(self) -> str:
        """The content type without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def message_of(body: bytes, token: Secret | None = None) -> str:
    """Return what an error body says.

    Seen or documented: a string or an object under `error`, `message`, `detail`, and the same
    inside `{"data": null, "error": …}`; anything else (HTML, plain text) is shown as it is.
    """
    text = body.decode("utf-8", "replace").strip()
    try:
        said = _words(json.loads(text))
    except (ValueError, RecursionError):
        said = None
    whole = said or text
    return (token.mask(whole) if token else whole)[:LONGEST_MESSAGE]  # a token is not cut in two


def in_band(token: Secret, head: Head, body: bytes) -> errors.ServiceError:
    """Return the error that came inside a response whose status said success."""
    said = message_of(body, token)
    return errors.ServiceError(f"the service reported an error: {said}", status=head.status)


def carries_error(body: Any) -> bool:
    """Tell whether what came with a status of success is an error all the same."""
    return isinstance(body, dict) and bool(body.get("error") or body.get("$error"))


def _words(value: Any) -> str | None:
    """Find the human sentence in a decoded error body."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value:
        return _words(value[0])
    if isinstance(value, dict):
        for key in ("error", "message", "detail", "msg", "name", "code"):
            if said := value.get(key) or value.get(f"${key}"):
                return _words(said)
    return None


def failure(
    head: Head, message: str, agent: str, credential: str = CREDENTIAL
) -> errors.ServiceError:
    """Return the error for a status and the message that came with it.

    Args:
        head: the response's.
        message: what its body says.
        agent: the slug that was asked; empty where none was.
        credential: what to do where the token was not taken.
    """
    status = head.status
    said = f"{status}: {message}" if message else f"HTTP status {status} without a word"
    kind, advice = _kind(status, message.lower(), credential)
    if kind is errors.AgentNotFound and not agent:
        kind, advice = errors.BadRequest, ""  # something else was asked for
    if kind is errors.AgentNotFound and agent not in message:
        said += f" (agent {agent!r})"
    wait = seconds_of(head.headers.get("retry-after"))
    if kind is errors.RateLimited and wait is not None:
        advice = f"try again in {wait:.0f} s"
    return kind(said, status=status, advice=advice, retry_after=wait)


def _kind(status: int, message: str, credential: str) -> tuple[type[errors.ServiceError], str]:
    too_long = _TOO_LONG.search(message)
    names_agent = (
        not too_long
        and _AGENT.search(message)
        and any(
            word in message
            for word in ("exist", "found", "unknown", "invalid", "incorrect", "no such")
        )
    )
    if status in {401, 403}:
        return errors.Unauthorized, credential
    if status == 404 or (status == 400 and names_agent):
        return errors.AgentNotFound, "check the slug (the agent's settings, API) and the base URL"
    if status == 429:
        return errors.RateLimited, "try again later"
    if 300 <= status < 400:
        return errors.BadRequest, "a token does not follow a redirect; check SWIFTASK_BASE_URL"
    if status >= 500:
        return errors.ServiceUnavailable, "the service failed; try again later"
    return errors.BadRequest, SHORTER if too_long else ""


def seconds_of(retry_after: str | None, now: datetime | None = None) -> float | None:
    """Return what a Retry-After header says, in seconds; it is a number or a date."""
    said = (retry_after or "").strip()
    try:
        if said[:1].isdigit():
            return seconds if math.isfinite(seconds := float(said)) else None
        then = parsedate_to_datetime(said)
    except (ValueError, OverflowError):
        return None
    then = then if then.tzinfo is not None else then.replace(tzinfo=UTC)
    return max(0.0, (then - (now or datetime.now(UTC))).total_seconds())
