"""The tree of a parsed answer, and functions that convert the tree to HTML for a cell.

A front end trusts the HTML in a cell's output. Therefore the tree has only a few allowed tags and
attributes. The allowed tags and attributes cannot run a script, load a file or change the page's
style. All text is escaped. This module does not import markdown_it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

TAGS = frozenset(
    "p h1 h2 h3 h4 h5 h6 blockquote pre code ul ol li table thead tbody tr th td"  # noqa: SIM905 - a list of words reads best as words
    " em strong s a br hr span".split()
)
MAX_URL = 2048  # characters

# A user name before the host is not allowed, because a user name can look like a host:
# https://bank.example@evil.example. Characters that end an HTML attribute are not allowed. A
# backslash is not allowed, because a browser reads a backslash as a slash.
_URL = re.compile(
    r"https?://(?:[a-z0-9_.\-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?(?:[/?#][^\s<>\"`\\^{|}]*)?"
    r"|mailto:[^\s<>\"`\\^{|}]+",
    re.ASCII | re.IGNORECASE,
)


class HTMLElement(NamedTuple):
    """One HTML element of a parsed answer.

    Attributes:
        tag: the name of the HTML tag.
        attrs: a dict that maps attribute names to values. The names are `href`, `start`, `align`,
            `lang` and `class`. Nodes of MathML have other attributes; see `mathml`.
        children: the child elements and texts.
    """

    tag: str
    attrs: Mapping[str, str | int] = {}
    children: "tuple[HTMLElement | str, ...]" = ()


def safe_href(url: str) -> str | None:
    """Return the URL if it is a plain http, https or mailto URL, otherwise `None`.

    Clicking a URL of these kinds cannot run a script.
    """
    fits = len(url) <= MAX_URL and url.isascii() and url.isprintable()
    return url if fits and _URL.fullmatch(url) else None


def text_content(nodes: "Iterable[HTMLElement | str]") -> str:
    """Return the text of nodes without tags, like `textContent` in the DOM."""
    return "".join(node if isinstance(node, str) else text_content(node.children) for node in nodes)


# JupyterLab draws all text in an output that looks like a formula, even prices. MathJax skips
# elements with the classes in NO_MATH. Inside these elements, MathJax processes only elements with
# the classes in _MATH. These are the formulas that the module `formulas` has found.
NO_MATH = "tex2jax_ignore mathjax_ignore"
_MATH = "tex2jax_process mathjax_process"

# The HTML tag for each token kind. A short tag needs half the bytes of a class. In an untrusted
# notebook, the front end removes the style sheet; keywords are still bold, and comments italic.
_CODE_TAGS = {"k": "b", "c": "i", "s": "tt", "n": "var", "f": "dfn", "b": "samp"}
# For each token kind: the name of JupyterLab's colour, and the colour for other front ends. Each
# colour is mixed with the surrounding text colour, so that it is readable in dark and light themes.
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
# Highlighted code may have this many characters of HTML per source character, plus the allowance.
# An answer that arrives all at once then produces at most four times its length.
MAX_PER_CHARACTER = 1.6
ALLOWANCE = 300

_VOID = frozenset(("br", "hr"))
_ALIGN = {"left": "l", "center": "m", "right": "r"}
_NEEDS_STYLE = re.compile(r" (?:class=\w|dir=)|</(?:b|i|tt|var|dfn|samp|pre)>")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_WITH_DIRECTION = frozenset(("p", "h1", "h2", "h3", "h4", "h5", "h6", "li", "td", "th"))


def render(nodes: Iterable[HTMLElement | str]) -> str:
    """Return nodes as HTML, one line for each top-level node."""
    return "".join(f"{_render_node(node)}\n" for node in nodes)


def preformatted(text: str) -> str:
    """Return text as an HTML `<pre>` element; the result is empty for an empty text."""
    return f"<pre>\n{escape(text)}</pre>\n" if text else ""


def code_block(text: str) -> str:
    """Return code as an HTML code block without highlighting.

    The function is used for a code block whose text is still arriving.
    """
    return f"<pre><code>{escape(text)}</code></pre>\n"


def wrap_text(text: str) -> str:
    """Return plain text, such as a prompt, in a `<div>` with the class `swiftask`.

    Line breaks are kept. Formulas are displayed as source text.
    """
    style = "white-space:pre-wrap;overflow-wrap:anywhere"
    return f'<div class="swiftask {NO_MATH}" style="{style}">{escape(text)}</div>'


def wrap(body: str, *, styled: bool = True) -> str:
    """Put HTML into a `<div>` with the class `swiftask`.

    The package's style sheet applies inside this `<div>`. MathJax draws only the formulas that this
    package has found.

    Args:
        body: HTML that functions of this module have returned.
        styled: whether to add the style sheet if the body needs it. One copy of the style sheet is
            enough for a whole page.
    """
    style = STYLE if styled and _NEEDS_STYLE.search(body) else ""
    return f'<div class="swiftask {NO_MATH}">{style}\n{body}</div>'


def escape(text: str) -> str:
    """Escape the characters `&`, `<` and `>` of a text for use between HTML tags."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _render_node(node: HTMLElement | str) -> str:
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
        # For an item with dir=auto, a browser looks only at children without a dir attribute.
        inside = inside.replace("<p dir=auto>", "<p>")
    return f"<{tag}{_attributes(node, inside)}>{inside}</{tag}>"


def _attributes(node: HTMLElement, inside: str) -> str:
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
    """Return code as HTML, with as much syntax highlighting as the size limit allows.

    If the HTML is too long, numbers lose their colour first. Next, builtins lose their colour, then
    functions, and finally all tokens.
    """
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
