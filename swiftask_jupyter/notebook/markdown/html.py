"""The tree into which an answer is parsed, and the functions that write it as HTML for a cell.

A front end trusts the HTML in a cell's output. Therefore a node can only have a few tags and
attributes, none of which can run a script, load a file or change the page's style. All text is
escaped, and other tags and attributes are not written. This module does not import markdown_it.
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
    """One HTML element of a parsed answer: tag, attributes, children.

    `json.dumps` writes a node as a list of three items. The attributes are `href` (checked by
    `safe_href`), `start` (an integer), `align`, `lang` (the language of code) and `class` (`math`
    or `task`). Their values are set or checked by this package. Formulas that were converted to
    MathML have further attributes, see `mathml`.
    """

    tag: str
    attrs: Mapping[str, str | int] = {}
    children: "tuple[Node | str, ...]" = ()


def safe_href(url: str) -> str | None:
    """Return the URL if it is a plain http, https or mailto URL, otherwise `None`.

    A click on a URL that is returned cannot run a script.
    """
    fits = len(url) <= MAX_URL and url.isascii() and url.isprintable()
    return url if fits and _URL.fullmatch(url) else None


def text_content(nodes: "Iterable[Node | str]") -> str:
    """Return the text of nodes without their tags, like `textContent` in the DOM."""
    return "".join(node if isinstance(node, str) else text_content(node.children) for node in nodes)


# JupyterLab typesets everything in an output that looks like a formula, prices included. MathJax 2
# and 3 (nbviewer's too) skip elements with the first two classes and process elements with the
# second two inside them, so only the formulas that `formulas` has found are typeset.
NO_MATH = "tex2jax_ignore mathjax_ignore"
_MATH = "tex2jax_process mathjax_process"

# One short tag per token kind instead of a class, which halves the bytes. In an untrusted notebook,
# where the front end removes the style sheet, keywords are still bold and comments italic.
_CODE_TAGS = {"k": "b", "c": "i", "s": "tt", "n": "var", "f": "dfn", "b": "samp"}
# JupyterLab's colours where it defines them, otherwise (VS Code, nbviewer) the given colours. Each
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


def render(nodes: Iterable[Node | str]) -> str:
    """Return nodes as HTML, one line for each top-level node."""
    return "".join(f"{_render_node(node)}\n" for node in nodes)


def preformatted(text: str) -> str:
    """Return text as a `<pre>` element, without parsing it as Markdown; empty for empty text."""
    return f"<pre>\n{escape(text)}</pre>\n" if text else ""


def code_block(text: str) -> str:
    """Return code as an HTML code block without highlighting.

    It is used for a code block whose text is still streaming in.
    """
    return f"<pre><code>{escape(text)}</code></pre>\n"


def wrap_text(text: str) -> str:
    """Return text that is not Markdown, such as a prompt, in the root `<div>` of this package.

    Line breaks are kept, and formulas are displayed as their source.
    """
    style = "white-space:pre-wrap;overflow-wrap:anywhere"
    return f'<div class="swiftask {NO_MATH}" style="{style}">{escape(text)}</div>'


def wrap(body: str, *, styled: bool = True) -> str:
    """Return HTML in the root `<div>` of this package.

    The style sheet of this package applies within this element, and MathJax processes nothing in it
    except the formulas that this package has found.

    Args:
        body: HTML that was returned by functions of this module.
        styled: whether to add the style sheet if the body needs it. The style sheet applies to the
            whole page, so it can be omitted next to another output that has it.
    """
    style = STYLE if styled and _NEEDS_STYLE.search(body) else ""
    return f'<div class="swiftask {NO_MATH}">{style}\n{body}</div>'


def escape(text: str) -> str:
    """Escape the characters `&`, `<` and `>` of a text, for use between HTML tags."""
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
    """Return code as HTML, with as much syntax highlighting as the size limit allows.

    If the HTML would be too long, numbers lose their colour first, then builtins, functions and
    finally all other tokens.
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
