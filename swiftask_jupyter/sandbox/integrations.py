"""The integrations of `/get_completion`: each agent has one that answers in JSON, one in text."""

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Integration:
    """One agent as `/get_completion` knows it, and whether it answers in plain text or JSON."""

    slug: str
    text_only: bool


def derived_id(*parts: str) -> str:
    """Return an id of 20 letters and digits, as the documents show; equal for equal parts."""
    digest = hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).digest()
    return base64.b64encode(digest, b"xy").decode()[:20]


def integration_id(slug: str, *, text_only: bool) -> str:
    """Return the id of an agent's integration; not secret, and the same in every sandbox."""
    return derived_id("integration", "text" if text_only else "json", slug)


def integrations_for(slugs: Iterable[str]) -> dict[str, Integration]:
    """Return both integrations of each agent, by id."""
    both = [Integration(slug, text_only) for slug in slugs for text_only in (False, True)]
    return {integration_id(each.slug, text_only=each.text_only): each for each in both}
