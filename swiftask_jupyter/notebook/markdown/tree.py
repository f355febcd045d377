"""The tree an answer becomes: a handful of tags that can't run, fetch or restyle anything."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

TAGS = frozenset(
    "p h1 h2 h3 h4 h5 h6 blockquote pre code ul ol li table thead tbody tr th td"  # noqa: SIM905 - a list of words reads best as words
    " em strong s a br hr span".split()
)
LONGEST_URL = 2048

# One host, no user name in front of it (https://bank.example@evil.example), no character that
# ends an attribute or that a browser would read as another one (a backslash as a slash).
_URL = re.compile(
    r"https?://(?:[a-z0-9_.\-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?(?:[/?#][^\s<>\"`\\^{|}]*)?"
    r"|mailto:[^\s<>\"`\\^{|}]+",
    re.ASCII | re.IGNORECASE,
)


class Node(NamedTuple):
    """A tag, what is known about it, and what is in it; JSON makes it a list of three.

    The attributes are `href`, `start`, `align`, `lang` (of code) and `class` (`math`, `task`),
    each written by us: `href` is a checked address, `start` a number.
    """

    tag: str
    attrs: Mapping[str, str | int] = {}
    children: "tuple[Node | str, ...]" = ()


def safe_href(url: str) -> str | None:
    """The address if a click on it can do nothing but open a page or a letter."""
    fits = len(url) <= LONGEST_URL and url.isascii() and url.isprintable()
    return url if fits and _URL.fullmatch(url) else None


def words(nodes: "Iterable[Node | str]") -> str:
    """The text of a tree, without its tags."""
    return "".join(node if isinstance(node, str) else words(node.children) for node in nodes)
