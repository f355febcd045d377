"""Define integrations, through which requests to `/get_completion` address an agent.

Each agent has two integrations, each with its own id: one responds in JSON, the other in plain
text.
"""

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Integration:
    """An access point to one agent in one response format, for requests to `/get_completion`.

    `text_only` is True if the response is plain text, and False if it is JSON.
    """

    slug: str
    text_only: bool


def derived_id(*parts: str) -> str:
    """Return an id of 20 letters and digits that is a hash of the given strings.

    Equal strings always give the same id. The format is that of the ids in the documentation.
    """
    digest = hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).digest()
    return base64.b64encode(digest, b"xy").decode()[:20]


def integration_id(slug: str, *, text_only: bool) -> str:
    """Return the id of one of an agent's two integrations.

    The id is not secret. It depends only on the arguments, so it is the same in every sandbox.
    """
    return derived_id("integration", "text" if text_only else "json", slug)


def integrations_for(slugs: Iterable[str]) -> dict[str, Integration]:
    """Return a dict with the two integrations of each agent, keyed by the integration's id."""
    both = [Integration(slug, text_only) for slug in slugs for text_only in (False, True)]
    return {integration_id(each.slug, text_only=each.text_only): each for each in both}
