"""Converts the error responses of services into the exceptions of this package."""

from __future__ import annotations

import html
import json
import re
from http import HTTPStatus
from typing import Any, NamedTuple

from swiftask_jupyter import errors
from swiftask_jupyter.protocols.http import ResponseHead
from swiftask_jupyter.protocols.limits import limit_error, requested_wait, wait_advice
from swiftask_jupyter.settings.secrets import Secret

MAX_MESSAGE_CHARS = 300  # the longest part of a service's message that an exception repeats
MAX_DEPTH = 5  # how many levels of JSON are searched for a reason: the body, and four in it
MAX_LINES = 100  # of a stream, in which the reason is searched
MAX_REASONS = 5  # of a list of errors, such as those of a validation
AUTH_ADVICE = "check the token (SWIFTASK_API_KEY)"
QUOTA_ADVICE = "check the credits and the plan of the account; waiting does not help"
TOO_LONG_ADVICE = "send less of the conversation: --last N or --fresh, or a history_limit"

PAGE_ADVICE = "a gateway sent this page; check SWIFTASK_BASE_URL, the network and the proxy"

# Names of keys are compared in lower case, without `$`, `_` and the like. The words of an error are
# under these keys; the most telling key comes first.
_WORDS = (
    "message", "msg", "errormessage", "errormsg", "errmsg", "statusmsg", "statusmessage",
    "defaultmessage", "faultstring", "errordescription", "detail", "description", "text", "title",
    "error", "raw", "err", "summary",
)  # fmt: skip
# Anything under these keys concerns the error, whatever the names of the keys in it.
_HOLDERS = frozenset(("message", "detail", "details", "errors", "error", "constraints", "issues",
                      "violations"))  # fmt: skip
_CODES = frozenset(("code", "type", "name", "status", "reason", "kind", "errorcode"))
# What an error repeats of the request, where its reason does not stand, or where help is offered.
_NOT_REASONS = frozenset(
    ("request", "ctx", "headers", "stack", "stacktrace", "trace", "traceback", "url",
     "loc", "param", "path", "instance", "field", "property", "links", "help", "hint", "choices",
     "usage", "failedgeneration", "locale", "providername", "model", "documentationurl")
)  # fmt: skip
_PHRASES = frozenset(each.phrase.lower() for each in HTTPStatus) | {
    "provider returned error", "validation failed", "validation error", "error", "exception",
    "http exception", "bad request exception", "request failed",
}  # fmt: skip
_PAGE = re.compile(
    r"\s*(<!--.*?-->\s*)*<(!doctype|html|head|body|title|h1|center|script|\?xml|error)\b",
    re.IGNORECASE | re.DOTALL,
)
_ANY_TAG = re.compile(r"<[^>]*>")
_INLINE_TAG = re.compile(
    r"</?(a|b|br|p|i|em|strong|code|pre|span|div|h[1-6]|ul|ol|li|hr|center)(\s[^>]*)?/?>",
    re.IGNORECASE,
)
_STREAM_FIELD = re.compile(r"(event: ?error\b|data:|error:(?= ?[{\[])) ?")

_NAMES_AGENT = re.compile(r"\b(slug|model|agent|bot)s?\b")
_UNKNOWN = ("exist", "found", "unknown", "invalid", "incorrect", "no such")
# The wording of llama.cpp's server and of OpenAI; other services' wording is not known.
_TOO_LONG = re.compile(r"context (size|length|window)|context_length_exceeded")


def error_message(body: bytes, token: Secret | None = None) -> str:
    """Return the reason in the body of an error response as one short text, the token masked.

    The body may be JSON of any shape (see `_reason`), a web page, whose title is returned, lines of
    a stream, or plain text. JSON without a reason is returned as it is. A text over
    `MAX_MESSAGE_CHARS` characters ends in `…`.
    """
    text = body.decode("utf-8-sig", "replace").strip()
    reasons = [_reason(text, MAX_DEPTH)]
    if _STREAM_FIELD.match(text):
        lines = [_STREAM_FIELD.sub("", line).strip() for line in text.splitlines()[:MAX_LINES]]
        reasons = [_reason(line, MAX_DEPTH) for line in lines if line != "[DONE]"]
    message = max(reasons, default=_Reason()).text or text
    if token:
        message = token.mask(message)  # before shortening, which could cut the token in two
    return message if len(message) <= MAX_MESSAGE_CHARS else message[: MAX_MESSAGE_CHARS - 1] + "…"


def is_page(body: bytes) -> bool:
    """Return whether a body is a web page or XML. Gateways send pages; agents' services do not."""
    return bool(_PAGE.match(body[:1000].decode("utf-8-sig", "replace")))


def page_title(text: str) -> str:
    """Return the title of a web page, or the message of an XML document; `""` if it has none.

    The result has no markup. A title without letters, such as `503`, is skipped, because the
    first heading then says more.
    """
    for tag in ("title", "message", "h1", "h2", "code", "p"):
        if found := re.search(rf"(?is)<{tag}\b[^>]*>(.*?)</{tag}\s*>", text):
            title = " ".join(html.unescape(_ANY_TAG.sub(" ", found[1])).split())
            if any(character.isalpha() for character in title):
                return title
    return ""


class _Reason(NamedTuple):
    """A reason that was found in an error, and how good it is: the greatest one is chosen.

    Attributes:
        rank: 0 for nothing; 1 for a code or the phrase of an HTTP status; 2 for a sentence under an
            unknown key; 3 for a word and 4 for a sentence under a key such as `message`.
        level: how deep it was found. The deepest reason is the closest to the cause.
        order: greater for a more telling key.
        text: the reason.
    """

    rank: int = 0
    level: int = 0
    order: int = 0
    text: str = ""


def _reason(value: Any, depth: int, key: str = "") -> _Reason:
    """Return the best reason in the decoded JSON of an error, down to `depth` levels of objects.

    Args:
        value: the decoded JSON. A text may contain JSON itself.
        depth: how many further levels of objects are read.
        key: the normalized name of the key under which the value was found; for a key that is not
            known, the key of the object around it if that is one of `_HOLDERS`, else `""`.
    """
    if isinstance(value, str):
        return _reason_in_text(value.strip(), depth, key)
    if isinstance(value, list):
        return _joined([_reason(each, depth, key) for each in value[:MAX_REASONS]], len(value))
    if not isinstance(value, dict) or depth <= 0:
        return _Reason()
    best = _Reason()
    for name, inner in value.items():
        normalized = re.sub(r"[^a-z]", "", name.lower())
        if normalized in _NOT_REASONS or (normalized == "input" and "loc" in value):
            continue
        known = normalized in _WORDS or normalized in _CODES or normalized in _HOLDERS
        found = _reason(inner, depth - 1, normalized if known else key * (key in _HOLDERS))
        if isinstance(inner, list) and not known and found.rank and name not in found.text:
            found = found._replace(text=f"{name}: {found.text}")  # {"field": ["is required"]}
        best = max(best, found)
    place = _place(value)
    if place and best.rank > 1 and place not in best.text:
        best = best._replace(text=f"{place}: {best.text}")
    return best


def _reason_in_text(text: str, depth: int, key: str) -> _Reason:
    """Return a text as a reason; if it is a page or contains JSON, the reason in it."""
    if _PAGE.match(text):
        return _Reason(4, MAX_DEPTH - depth, 0, page_title(text) or "a web page without a title")
    at = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=-1)
    if at >= 0 and text[-1:] in {"}", "]"} and depth > 0:
        try:
            inner = _reason(json.loads(text[at:]), depth)
        except (ValueError, RecursionError):
            inner = _Reason()
        if inner.rank > 1 or at == 0:
            return inner
    text = " ".join(_INLINE_TAG.sub("", text).split())
    level, is_sentence = MAX_DEPTH - depth, " " in text or not text.isascii()
    if not text:
        return _Reason()
    if key in _CODES or text.lower() in _PHRASES:
        return _Reason(1, level, 0, text)
    if key in _WORDS or key in _HOLDERS or depth == MAX_DEPTH:
        order = -_WORDS.index(key) if key in _WORDS else -len(_WORDS)
        return _Reason(3 + is_sentence, level, order, text)
    return _Reason(2, level, 0, text) if is_sentence else _Reason()


def _joined(reasons: list[_Reason], total: int) -> _Reason:
    """Return the best of the reasons in a list, with the texts of all that are equally good."""
    best = max(reasons, default=_Reason())
    texts = dict.fromkeys(each.text for each in reasons if each.rank == best.rank and each.text)
    more = f" (and {total - MAX_REASONS} more)" if total > MAX_REASONS and texts else ""
    return best._replace(text="; ".join(texts) + more)


def _place(value: dict[str, Any]) -> str:
    """Return the field of the request that an error names, such as `max_tokens`, or `""`."""
    for key in ("loc", "path", "field", "param", "property", "instancePath"):
        place = value.get(key)
        if isinstance(place, list):
            parts = [str(each) for each in place if isinstance(each, str | int)]
            return ".".join(parts[1:] if parts[:1] in (["body"], ["query"]) else parts)
        if isinstance(place, str) and place and key != "path":  # a text `path` is the URL's
            return place.strip("/")
    return ""


def has_embedded_error(body: Any) -> bool:
    """Return whether the decoded JSON of a response with a successful status contains an error.

    An answer has none of these: a filled `error` or `errors`; `"object": "error"`; `base_resp` with
    a code other than 0; `"success": false`; a status or a code of 400 or above beside a message.
    """
    if not isinstance(body, dict):
        return False
    if body.get("error") or body.get("$error") or body.get("choices"):
        return bool(body.get("error") or body.get("$error"))
    response, several = body.get("base_resp"), body.get("errors")
    return (
        bool(isinstance(response, dict) and response.get("status_code"))
        or bool(isinstance(several, list | dict) and several)
        or body.get("success") is False
        or "error" in (body.get("object"), body.get("type"))
        or _is_bare_error(body)
    )


def _is_bare_error(body: dict[str, Any]) -> bool:
    """Return whether an object is a message with a code of failure, or nothing but a `detail`."""
    if not any(isinstance(body.get(key), str | list) for key in ("message", "msg", "detail")):
        return False
    codes = (body.get(key) for key in ("code", "status", "statusCode", "status_code"))
    return body.keys() <= {"detail"} or any(_is_failure_code(code) for code in codes)


def _is_failure_code(code: Any) -> bool:
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) < 9:
        code = int(code)
    return isinstance(code, int) and not isinstance(code, bool) and code >= 400


def embedded_error(token: Secret, head: ResponseHead, body: bytes) -> errors.ServiceError:
    """Return the exception for an error message in the body of a response with status 200-299.

    Args:
        token: the token to mask in the message.
        head: the response's status and headers.
        body: the text that contains the error, such as one event of a stream.
    """
    text = body.decode("utf-8", "replace")
    reason = error_message(body, token) or "it does not say which"
    message = f"the service reported an error: {reason}"
    wait = requested_wait(ResponseHead(head.status, {}), text)  # the headers tell of the answer
    if (kind := limit_error(200, text, wait)) is None:
        return errors.ServiceError(message, status=head.status)
    advice = QUOTA_ADVICE if kind is errors.QuotaSpent else wait_advice(wait)
    return kind(message, status=head.status, advice=advice, retry_after=wait)


def no_stream(body: bytes, token: Secret) -> errors.StreamError:
    """Return the exception for a body that was announced as a stream, but contains no event.

    The message quotes the title of a web page, or the beginning of a text, with the token masked.
    """
    return errors.StreamError(
        f"the answer is no stream, but says: {error_message(body, token)}",
        advice="check SWIFTASK_BASE_URL and the proxy",
    )


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
    named = message.startswith(str(status))  # as the titles of gateways' pages do
    text = message if named else f"{status}: {message}"
    text = text if message else f"HTTP status {status} without a message"
    kind, advice = _classify(status, message.lower(), auth_advice)
    if kind is errors.AgentNotFound and not agent:
        kind, advice = errors.BadRequest, ""  # something other than an agent was not found
    if kind is errors.AgentNotFound and agent not in message:
        text += f" (agent {agent!r})"
    details = f"{message}\n{body.decode('utf-8', 'replace')}"
    wait = requested_wait(head, details) if status >= 400 else None
    if (limit := limit_error(status, details, wait)) is not None:
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
