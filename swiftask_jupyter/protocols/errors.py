"""Converts the error responses of services into the exceptions of this package."""

from __future__ import annotations

import json
import re
from typing import Any

from swiftask_jupyter import errors
from swiftask_jupyter.protocols.http import ResponseHead
from swiftask_jupyter.protocols.limits import limit_error, requested_wait, wait_advice
from swiftask_jupyter.settings.secrets import Secret

MAX_MESSAGE_CHARS = 500  # the longest part of a service's message that an exception repeats
AUTH_ADVICE = "check the token (SWIFTASK_API_KEY)"
QUOTA_ADVICE = "check the credits and the plan of the account; waiting does not help"
TOO_LONG_ADVICE = "send less of the conversation: --last N or --fresh, or a history_limit"

_NAMES_AGENT = re.compile(r"\b(slug|model|agent|bot)s?\b")
_UNKNOWN = ("exist", "found", "unknown", "invalid", "incorrect", "no such")
# The wording of llama.cpp's server and of OpenAI; other services' wording is not known.
_TOO_LONG = re.compile(r"context (size|length|window)|context_length_exceeded")


def error_message(body: bytes, token: Secret | None = None) -> str:
    """Return the message in the body of an error response, with the token masked.

    In a JSON body, the message is searched under `error`, `message`, `detail` and a few other
    keys, also in nested objects. If the body contains no such key or is not JSON, the whole body
    is returned. The result has at most `MAX_MESSAGE_CHARS` characters.
    """
    text = body.decode("utf-8", "replace").strip()
    try:
        message = _find_message(json.loads(text))
    except (ValueError, RecursionError):
        message = None
    message = message or text
    if token:
        message = token.mask(message)  # before shortening, which could cut the token in two
    return message[:MAX_MESSAGE_CHARS]


def _find_message(value: Any) -> str | None:
    """Return the message in an error response's decoded JSON; `None` if there is no message."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value:
        return _find_message(value[0])
    if isinstance(value, dict):
        for key in ("error", "message", "detail", "msg", "name", "code"):
            if inner := value.get(key) or value.get(f"${key}"):
                return _find_message(inner)
    return None


def has_embedded_error(body: Any) -> bool:
    """Return whether the decoded JSON of a response with a successful status contains an error."""
    return isinstance(body, dict) and bool(body.get("error") or body.get("$error"))


def embedded_error(token: Secret, head: ResponseHead, body: bytes) -> errors.ServiceError:
    """Return the exception for an error message in the body of a response with status 200-299.

    Args:
        token: the token to mask in the message.
        head: the response's status and headers.
        body: the JSON text that contains the error, such as one event of a stream.
    """
    text = body.decode("utf-8", "replace")
    message = f"the service reported an error: {error_message(body, token)}"
    wait = requested_wait(ResponseHead(head.status, {}), text)  # the headers tell of the answer
    if (kind := limit_error(200, text, wait)) is None:
        return errors.ServiceError(message, status=head.status)
    advice = QUOTA_ADVICE if kind is errors.QuotaSpent else wait_advice(wait)
    return kind(message, status=head.status, advice=advice, retry_after=wait)


def error_for_status(
    head: ResponseHead,
    message: str,
    agent: str,
    auth_advice: str = AUTH_ADVICE,
    body: bytes = b"",
) -> errors.ServiceError:
    """Return the exception for a response whose status is 300 or above.

    Args:
        head: the response's status and headers; `Retry-After` and similar headers set the
            exception's `retry_after`.
        message: the message in the response's body; may be empty.
        agent: the slug of the agent in the request; empty for a request without an agent.
        auth_advice: what the user can do if the service rejects the token.
        body: the response's body, which may name a wait or a used-up quota outside the message.
    """
    status = head.status
    text = f"{status}: {message}" if message else f"HTTP status {status} without a message"
    kind, advice = _classify(status, message.lower(), auth_advice)
    if kind is errors.AgentNotFound and not agent:
        kind, advice = errors.BadRequest, ""  # something other than an agent was not found
    if kind is errors.AgentNotFound and agent not in message:
        text += f" (agent {agent!r})"
    told = f"{message}\n{body.decode('utf-8', 'replace')}"
    wait = requested_wait(head, told) if status >= 400 else None
    if (limit := limit_error(status, told, wait)) is not None:
        kind, advice = limit, wait_advice(wait)
        if kind is errors.QuotaSpent:
            advice = QUOTA_ADVICE
    return kind(text, status=status, advice=advice, retry_after=wait)


def _classify(status: int, message: str, auth_advice: str) -> tuple[type[errors.ServiceError], str]:
    """Return the class of the exception for an error response, and the advice for the user.

    Args:
        status: the response's status, 300 or above.
        message: the message in the response's body, in lower case.
        auth_advice: the advice to return if the service rejected the token.
    """
    too_long = _TOO_LONG.search(message)
    unknown_agent = (
        not too_long and _NAMES_AGENT.search(message) and any(word in message for word in _UNKNOWN)
    )
    if status in {401, 403}:
        return errors.Unauthorized, auth_advice
    if status == 404 or (status == 400 and unknown_agent):
        return errors.AgentNotFound, "check the slug (the agent's settings, API) and the base URL"
    if 300 <= status < 400:
        return errors.BadRequest, "a token does not follow a redirect; check SWIFTASK_BASE_URL"
    if status >= 500:
        return errors.ServiceUnavailable, "the service failed; try again later"
    return errors.BadRequest, TOO_LONG_ADVICE if too_long else ""
