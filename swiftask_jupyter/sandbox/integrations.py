"""Define integrations of the `agencii` dialect.

An integration is a choice of one agent and one response format. A request to `/get_completion`
contains the id of an integration. Each agent has one integration for JSON and one for plain text.
"""

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Integration:
    """A choice of one agent and one response format, for requests to `/get_completion`.

    `slug` identifies the agent. `text_only` is True for plain text and False for JSON.
    """

    slug: str
    text_only: bool


def derived_id(*parts: str) -> str:
    """Return an id of 20 letters and digits, computed as a hash of the given strings.

    Equal strings always give the same id. The documentation shows ids of this format.
    """
    digest = hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).digest()
    return base64.b64encode(digest, b"xy").decode()[:20]


def integration_id(slug: str, *, text_only: bool) -> str:
    """Return the id of an agent's integration.

    The id is not secret. Equal arguments give the same id in every sandbox.

    Args:
        slug: the agent's slug.
        text_only: True for the integration for plain text, False for the integration for JSON.
    """
    return derived_id("integration", "text" if text_only else "json", slug)


def integrations_for(slugs: Iterable[str]) -> dict[str, Integration]:
    """Return a dict that maps integration ids to integrations.

    The dict contains two integrations for each agent in `slugs`.
    """
    both = [Integration(slug, text_only) for slug in slugs for text_only in (False, True)]
    return {integration_id(each.slug, text_only=each.text_only): each for each in both}
