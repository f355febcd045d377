"""Reads from a response how long to wait before the next request, and whether a quota is used up.

Services tell a wait in many ways: in the header `Retry-After` or `retry-after-ms`, in a header such
as `X-RateLimit-Reset-Requests`, in a field of the body such as `retryDelay`, or only in words. The
value is a number of seconds, a duration such as `1m30s`, a time in seconds or milliseconds since
1970, or a date.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from swiftask_jupyter.errors import QuotaSpent, RateLimited, ServiceError
from swiftask_jupyter.protocols.http import ResponseHead

# The statuses of a service that cannot take a request now. 520 to 529 are used by gateways.
BUSY_STATUSES = frozenset((503, *range(520, 530)))
# The statuses whose body may say that a quota is used up; 200 is an error inside an answer.
_QUOTA_STATUSES = frozenset((200, 400, 403, 429))
MAX_TEXT_CHARS = 8192  # the longest part of a body that is searched

_EPOCH_SECONDS, _EPOCH_MILLISECONDS = 1e9, 1e11  # a number above is a time and not a duration
_LONGEST_SECONDS = 100 * 366 * 86_400.0
_UNITS = {"ms": 0.001, "mil": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_PART = (
    r"(\d+(?:\.\d+)?)\s*"
    r"(milliseconds?|ms|minutes?|mins?|m|seconds?|secs?|s|hours?|hrs?|h|days?|d)(?![a-z])"
)
_DURATION = rf"{_PART}(?:[\s,]*(?:and\s+)?{_PART})*"
_ISO_DATE = r"\d{4}-\d\d-\d\d[t ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?(?:z|[+-]\d\d:?\d\d)?"
_WORDS = re.compile(
    rf"\b(?:again|retry|wait|reset|available|until)\w*(?:\s+[a-z]+){{0,4}}?\s+"
    rf"(?P<wait>{_DURATION}|{_ISO_DATE})"
)
_FIELD = re.compile(
    r'"(?P<name>retry_?delay|retry[_-]?after[_-]?(?:ms|s|secs|seconds)?|x-ratelimit-reset)"'
    r'\s*:\s*"?(?P<wait>[^",}]+)'
)
_RESET_HEADER = re.compile(r"rate-?limit.*reset")
_COMBINED = re.compile(r"\b(r|remaining|t|reset)=(\d+)")

_QUOTA_CODES = re.compile(
    r"insufficient_(user_)?quota|insufficient[_ ](credit|fund|balance)|exceeded_current_quota"
    r"|billing_(hard_limit|not_active)|credit balance is too low|(out of|not enough) credits"
    r"|no credits (left|remaining)|payment[_ ]required"
)
_QUOTA_WORDS = re.compile(r"billing|quota|\bcredits\b|subscription|spending limit")
_RATE_WORDS = re.compile(
    r"rate[_ -]?limit|too[_ -]?many[_ -]?requests|resource_?exhausted|overloaded|throttl"
    r'|"(code|status)"\s*:\s*"?(429|529)\b'
)
_PER_TIME = re.compile(r"rate[_ -]?limit|per[_ -]?(second|minute|hour|day)|\b[rt]p[md]\b")
_STATUS_402 = re.compile(r'"(code|status)"\s*:\s*"?402\b')


def parse_wait(value: str | None, now: datetime | None = None) -> float | None:
    """Return how many seconds to wait according to a value; `None` if it cannot be read.

    The value is a number of seconds, a duration such as `1m30s`, a time in seconds or milliseconds
    since 1970, or a date (RFC 9110, section 10.2.3, or ISO 8601). A time in the past gives 0.

    Args:
        value: the value of a header or of a field; `None` if it is missing.
        now: the time to compare a time with; default: the current time.
    """
    text = (value or "").strip()
    now = now or datetime.now(UTC)
    try:
        seconds = float(text) if text[:1].isdigit() else math.nan
    except ValueError:
        seconds = math.nan
    if not math.isnan(seconds):
        if not math.isfinite(seconds):
            return None
        if seconds >= _EPOCH_SECONDS:
            epoch = seconds / 1000 if seconds >= _EPOCH_MILLISECONDS else seconds
            return max(0.0, epoch - now.timestamp())
        return seconds
    if re.fullmatch(_DURATION, text.lower()):
        return _duration(text.lower())
    return _until(text, now)


def _duration(text: str) -> float:
    """Return the seconds of a duration such as `1m30s` or `1 hour and 5 minutes`."""
    return sum(
        float(number) * _UNITS.get(unit[:3] if unit.startswith("mil") else unit, _UNITS[unit[0]])
        for number, unit in re.findall(_PART, text)
    )


def _until(text: str, now: datetime) -> float | None:
    """Return the seconds from `now` until a date; `None` if the text is no date."""
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            date = parse(text)
            date = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
            return max(0.0, (date - now).total_seconds())
        except (ValueError, OverflowError, TypeError, IndexError):
            continue
    return None


def requested_wait(head: ResponseHead, text: str = "") -> float | None:
    """Return how many seconds a service asks to wait; `None` if the response does not say so.

    `Retry-After` comes before `X-RateLimit-Reset`, and all headers come before the text.

    Args:
        head: the status and the headers of a response that refuses a request.
        text: the body or the message of the response.
    """
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        if (wait := parse_wait(head.headers.get(name))) is not None:
            return wait / 1000
    if (wait := parse_wait(head.headers.get("retry-after"))) is not None:
        return wait
    spent, others = _resets(head.headers)
    if spent or others:
        return max(spent or others)
    return _wait_in_text(text[:MAX_TEXT_CHARS].lower())


def wait_after_answer(head: ResponseHead) -> float | None:
    """Return how many seconds to wait after an answer that used up the allowed requests.

    `None` means that the headers of the answer name no limit that is used up, or no time.

    Args:
        head: the status and the headers of a successful response.
    """
    spent, _ = _resets(head.headers)
    return max(spent) if spent else None


def _resets(headers: Mapping[str, str]) -> tuple[list[float], list[float]]:
    """Return the waits until limits are reset: those that are used up, and those that are not.

    A limit is used up if its header `remaining` is 0. If this header is missing, the limit belongs
    to the second list.
    """
    spent: list[float] = []
    others: list[float] = []
    for name, value in headers.items():
        if name == "ratelimit":  # all values in one header
            fields = dict(_COMBINED.findall(value.lower()))
            wait = parse_wait(fields.get("t", fields.get("reset")))
            remaining = fields.get("r", fields.get("remaining"))
        elif _RESET_HEADER.search(name):
            wait = parse_wait(value)
            wait = wait / 1000 if wait is not None and name.endswith("-ms") else wait
            base = name.removesuffix("-ms").replace("reset-after", "reset")
            remaining = headers.get(base.replace("reset", "remaining"), "")
        else:
            continue
        if wait is not None:
            (spent if _is_zero(remaining) else others).append(wait)
    if not spent and (wait := parse_wait(headers.get("retry-after"))) is not None:
        spent += [wait for name, value in headers.items() if _is_spent(name, value)]
    return spent, others


def _is_spent(name: str, value: str) -> bool:
    return "ratelimit-remaining" in name.replace("rate-limit", "ratelimit") and _is_zero(value)


def _is_zero(value: str | None) -> bool:
    try:
        return float(value or "") <= 0
    except ValueError:
        return False


def _wait_in_text(text: str) -> float | None:
    """Return the seconds to wait that a lower-case text names, in a JSON field or in words."""
    if (field := _FIELD.search(text)) and (wait := parse_wait(field["wait"])) is not None:
        return wait / 1000 if field["name"].endswith("ms") else wait
    if words := _WORDS.search(text):
        found = words["wait"]
        return parse_wait(found.upper() if re.match(_ISO_DATE, found) else found)
    return None


def limit_error(status: int, text: str, wait: float | None) -> type[ServiceError] | None:
    """Return `QuotaSpent` or `RateLimited` if an error tells one of them; otherwise `None`.

    Words about billing mean a used-up quota only if the service names no wait and no limit for a
    unit of time: some services mention their billing page in each rate limit. A code such as
    `insufficient_quota` always means a used-up quota.

    Args:
        status: the HTTP status; 200 for an error inside an answer.
        text: the message and the body of the response.
        wait: the seconds that the service asks to wait; `None` if it names no time.
    """
    text = text[:MAX_TEXT_CHARS].lower()
    if status == 402 or (status == 200 and _STATUS_402.search(text)):
        return QuotaSpent
    if status in _QUOTA_STATUSES and _QUOTA_CODES.search(text):
        return QuotaSpent
    if status == 429 and wait is None and _QUOTA_WORDS.search(text) and not _PER_TIME.search(text):
        return QuotaSpent
    is_rate_limit = status == 429 or (status == 200 and _RATE_WORDS.search(text))
    return RateLimited if is_rate_limit else None


def wait_advice(wait: float | None) -> str:
    """Return when to try again, as advice for the user; a wait over an hour gives a local time."""
    if wait is None:
        return "try again later"
    return f"try again in {wait:.0f} s" if wait <= 3600 else f"try again at {local_time(wait)}"


def local_time(wait: float) -> str:
    """Return the local date and time at which a wait of so many seconds ends."""
    ends = datetime.now(UTC) + timedelta(seconds=min(wait, _LONGEST_SECONDS))
    return f"{ends.astimezone():%Y-%m-%d %H:%M}"
