"""Whether a proxy may stand in between."""

from __future__ import annotations

import os
import sys


def named() -> tuple[tuple[str, str], ...]:
    """Return what the environment says of proxies now: a notebook may set them at any time."""
    return tuple(
        (name, value)
        for name, value in os.environ.items()
        if value and name.lower().endswith("_proxy")
    )


def may_be_proxied() -> bool:
    """Tell whether the environment, or the system, names any proxy.

    For which hosts it counts is httpx's to read, exceptions included: here a wrong yes costs a
    little time, and nothing else.
    """
    if any(name.lower() != "no_proxy" for name, _ in named()):
        return True
    if sys.platform in {"darwin", "win32"}:  # which have settings of their own
        from urllib.request import getproxies

        return bool(getproxies())
    return False
