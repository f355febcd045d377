"""The tree that an answer is parsed into, and how it is written as HTML for a cell.

A node has one of a few tags and attributes, so that nothing in the tree can run, load or restyle
anything. A cell's HTML is trusted by the front end: all text is escaped, and only the tags and
attributes of the tree are written. Nothing here imports markdown_it.
"""

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


# JupyterLab typesets everything in an output that looks like a formula, prices included. MathJax 2
# and 3 (nbviewer's too) skip elements with the first two classes and process elements with the
# second two inside them, so only the formulas that we found are typeset.
NO_MATH = "tex2jax_ignore mathjax_ignore"
_MATH = "tex2jax_process mathjax_process"

# One short tag per token kind instead of a class, which halves the bytes. In an untrusted notebook,
# where our style is removed, keywords are still bold and comments italic.
_CODE_TAGS = {"k": "b", "c": "i", "s": "tt", "n": "var", "f": "dfn", "b": "samp"}
# JupyterLab's colours where it defines them, otherwise (VS Code, nbviewer) ours. Each is mixed with
# the surrounding text colour, which makes it light in a dark theme and dark in a light one.
_COLOURS = {
    "k": ("keyword", "#494"),
    "s": ("string", "#e66"),
    "c": ("comment", "#488"),
    "n": ("number", "#494"),
    "f": ("def", "#77f"),
    "b": ("builtin", "#494"),
}
STYLE = (
    f"<style>.swiftask pre :is({','.join(_CODE_TAGS.values())}){{font:inherit}}"
    + "".join(
        f".swiftask pre {_CODE_TAGS[name]}{{color:color-mix(in srgb,"
        f"var(--jp-mirror-editor-{variable}-color,{colour}) 60%,currentColor)}}"
        for name, (variable, colour) in _COLOURS.items()
    )
    + ".swiftask.swiftask pre{margin:0 0 1em;padding:.5em .8em;border-radius:3px;"
    + "word-break:normal;overflow-wrap:anywhere;"
    + "background:color-mix(in srgb,currentColor 5%,transparent)}"
    + ".swiftask.swiftask pre code{background:none}"
    + ".swiftask .task{list-style:none}"
    # JupyterLab aligns all paragraphs to the left.
    + ".swiftask :is([dir],[dir] p){text-align:start}"
    + ".swiftask table .l{text-align:left}"
    + ".swiftask table .m{text-align:center}"
    + ".swiftask table .r{text-align:right}"
    + "</style>"
)
# Highlighted code may have this many characters of HTML per source character, plus the allowance:
# an answer in one burst then costs at most four times its length.
MAX_PER_CHARACTER = 1.6
ALLOWANCE = 300

_VOID = frozenset(("br", "hr"))
_ALIGN = {"left": "l", "center": "m", "right": "r"}
_NEEDS_STYLE = re.compile(r" (?:class=\w|dir=)|</(?:b|i|tt|var|dfn|samp|pre)>")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_WITH_DIRECTION = frozenset(("p", "h1", "h2", "h3", "h4", "h5", "h6", "li", "td", "th"))


def render(nodes: Iterable[Node | str]) -> str:
    """Render nodes as HTML, one line for each top-level node."""
    return "".join(f"{_render_node(node)}\n" for node in nodes)


def preformatted(text: str) -> str:
    """Render text unparsed, in a `<pre>` element."""
    return f"<pre>\n{escape(text)}</pre>\n" if text else ""


def code_block(text: str) -> str:
    """Render code without highlighting, as an open code block is shown while it grows."""
    return f"<pre><code>{escape(text)}</code></pre>\n"


def wrap_text(text: str) -> str:
    """Return unparsed text in the root element, with line breaks kept and formulas as source."""
    style = "white-space:pre-wrap;overflow-wrap:anywhere"
    return f'<div class="swiftask {NO_MATH}" style="{style}">{escape(text)}</div>'


def wrap(body: str, *, styled: bool = True) -> str:
    """Put rendered HTML into the root element, to which our style applies and which MathJax skips.

    Args:
        body: HTML from this module.
        styled: whether to add the style sheet if the body needs it. A style sheet applies to the
            whole page, so a second display next to one that has it can go without.
    """
    style = STYLE if styled and _NEEDS_STYLE.search(body) else ""
    return f'<div class="swiftask {NO_MATH}">{style}\n{body}</div>'


def escape(text: str) -> str:
    """Escape text for use between HTML tags."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _render_node(node: Node | str) -> str:
    if isinstance(node, str):
        return escape(node)
    tag = node.tag
    if tag not in TAGS:
        raise ValueError(f"no such tag in a tree: {tag!r}")
    if tag in _VOID:
        return f"<{tag}>"
    if tag == "code" and node.attrs.get("lang"):
        inside = _highlighted(str(node.children[0]), str(node.attrs["lang"]))
    else:
        inside = "".join(map(_render_node, node.children))
    if tag == "li":
        # dir=auto on an item looks at its text, but skips children that have a dir of their own.
        inside = inside.replace("<p dir=auto>", "<p>")
    return f"<{tag}{_attributes(node, inside)}>{inside}</{tag}>"


def _attributes(node: Node, inside: str) -> str:
    match node.tag, node.attrs:
        case "a", {"href": str(url)} if href := safe_href(url):
            href = escape(href).replace('"', "&quot;")
            return f' href="{href}" target=_blank rel="noopener noreferrer nofollow"'
        case "ol", {"start": int(start)}:
            written = f" start={start}"
        case "td" | "th", {"align": str(align)} if align in _ALIGN:
            written = f" class={_ALIGN[align]}"
        case "span", {"class": "math"}:
            return f' class="{_MATH}"'
        case "li", {"class": "task"}:
            written = " class=task"
        case _:
            written = ""
    if node.tag in _WITH_DIRECTION and not inside.isascii() and _RIGHT_TO_LEFT.search(inside):
        written += " dir=auto"
    return written


def _highlighted(text: str, lang: str) -> str:
    """Render code with as many highlighted token kinds as the size limit allows."""
    from swiftask_jupyter.notebook.markdown.highlight import drop_kinds, highlight

    pieces = highlight(text, lang)
    for dropped in ("", "n", "nb", "nbf"):
        pieces = drop_kinds(pieces, dropped) if dropped else pieces
        written = "".join(
            f"<{tag}>{escape(piece)}</{tag}>" if (tag := _CODE_TAGS.get(name)) else escape(piece)
            for name, piece in pieces
        )
        if len(written) <= MAX_PER_CHARACTER * len(text) + ALLOWANCE:
            return written
    return escape(text)
