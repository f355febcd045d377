"""What `/get_completion` knows the agents by: an integration for JSON and one for plain text."""

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Integration:
    """One agent, and how its answers are written."""

    slug: str
    text_only: bool


def made_up(*of: str) -> str:
    """An id of 20 letters and digits as the documents print them; the same for the same words."""
    digest = hashlib.sha256("\0".join(of).encode(errors="surrogatepass")).digest()
    return base64.b64encode(digest, b"xy").decode()[:20]


def integration_id(slug: str, *, text_only: bool) -> str:
    """The id of this agent's integration: no secret, and the same in every sandbox."""
    return made_up("integration", "text" if text_only else "json", slug)


def integrations_of(slugs: Iterable[str]) -> dict[str, Integration]:
    """The two integrations of every agent, by their ids."""
    both = [Integration(slug, text_only) for slug in slugs for text_only in (False, True)]
    return {integration_id(each.slug, text_only=each.text_only): each for each in both}
