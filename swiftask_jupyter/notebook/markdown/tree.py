"""The tree that an answer is parsed into: a fixed set of tags that cannot run, fetch or restyle."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

TAGS = frozenset(
    "p h1 h2 h3 h4 h5 h6 blockquote pre code ul ol li table thead tbody tr th td"  # noqa: SIM905 - a list of words reads best as words
    " em strong s a br hr span".split()
)
MAX_URL = 2048  # characters

# One host, no user name before it (https://bank.example@evil.example), and no character that ends
# an HTML attribute or that a browser rewrites (it reads a backslash as a slash).
_URL = re.compile(
    r"https?://(?:[a-z0-9_.\-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?(?:[/?#][^\s<>\"`\\^{|}]*)?"
    r"|mailto:[^\s<>\"`\\^{|}]+",
    re.ASCII | re.IGNORECASE,
)


class Node(NamedTuple):
    """One element: tag, attributes, children. `json.dumps` makes it a list of three.

    The attributes are `href` (checked by `safe_href`), `start` (an integer), `align`, `lang` (of
    code) and `class` (`math` or `task`). Our code sets all of them; none is copied from the answer
    unchecked.
    """

    tag: str
    attrs: Mapping[str, str | int] = {}
    children: "tuple[Node | str, ...]" = ()


def safe_href(url: str) -> str | None:
    """Return the URL if it is plain http, https or mailto, so a click can do no harm; else None."""
    fits = len(url) <= MAX_URL and url.isascii() and url.isprintable()
    return url if fits and _URL.fullmatch(url) else None


def text_content(nodes: "Iterable[Node | str]") -> str:
    """Return the text of a tree without its tags, like `textContent` in the DOM."""
    return "".join(node if isinstance(node, str) else text_content(node.children) for node in nodes)
