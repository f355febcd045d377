"""The tree written as HTML for a cell, where HTML is trusted and a script would run.

Every text is escaped, every tag is one of ours, and every attribute is written here.
"""

import re
from collections.abc import Iterable

from swiftask_jupyter.notebook.markdown.tree import TAGS, Node, safe_href

# JupyterLab typesets whatever in an output looks like a formula, prices included. Both
# generations of MathJax (and nbviewer's) leave the first pair of classes alone and look again
# inside the second, so that what is typeset is what we read as a formula, and nothing else.
NO_MATH = "tex2jax_ignore mathjax_ignore"
_MATH = "tex2jax_process mathjax_process"

# A short tag of its own for each kind of coloured code, which needs no class: half the bytes. Where
# our style is stripped (an untrusted notebook) keywords are bold and comments slanted all the same.
_CODE_TAGS = {"k": "b", "c": "i", "s": "tt", "n": "var", "f": "dfn", "b": "samp"}
# JupyterLab's own colours where it has set them, else (VS Code, nbviewer) ours; each is mixed with
# the colour of the text around it, which makes it light on dark and dark on light.
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
    # JupyterLab has all paragraphs begin on the left.
    + ".swiftask :is([dir],[dir] p){text-align:start}"
    + ".swiftask table .l{text-align:left}"
    + ".swiftask table .m{text-align:center}"
    + ".swiftask table .r{text-align:right}"
    + "</style>"
)
# How much HTML code may become: an answer in one burst costs at most four times its length.
MOST_PER_CHARACTER = 1.6
ALWAYS_ALLOWED = 300

_VOID = frozenset(("br", "hr"))
_ALIGN = {"left": "l", "center": "m", "right": "r"}
_STYLED = re.compile(r" (?:class=\w|dir=)|</(?:b|i|tt|var|dfn|samp|pre)>")
_READ_FROM_RIGHT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_WITH_DIRECTION = frozenset(("p", "h1", "h2", "h3", "h4", "h5", "h6", "li", "td", "th"))


def write(nodes: Iterable[Node | str]) -> str:
    """The nodes as HTML, a line for each of the outermost."""
    return "".join(f"{_written(node)}\n" for node in nodes)


def plain(text: str) -> str:
    """Text shown as it is."""
    return f"<pre>\n{escape(text)}</pre>\n" if text else ""


def code(text: str) -> str:
    """Code without colours, as it looks while it grows."""
    return f"<pre><code>{escape(text)}</code></pre>\n"


def running(text: str) -> str:
    """Text that is still being written, shown as it is; of its formulas too only the source."""
    style = "white-space:pre-wrap;overflow-wrap:anywhere"
    return f'<div class="swiftask {NO_MATH}" style="{style}">{escape(text)}</div>'


def wrap(body: str, *, styled: bool = True) -> str:
    """The body in the element our style is scoped to and MathJax passes by.

    A style is the whole page's: text beside a display that has brought it needs none of its own.
    """
    style = STYLE if styled and _STYLED.search(body) else ""
    return f'<div class="swiftask {NO_MATH}">{style}\n{body}</div>'


def escape(text: str) -> str:
    """The text as HTML text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _written(node: Node | str) -> str:
    if isinstance(node, str):
        return escape(node)
    tag = node.tag
    if tag not in TAGS:
        raise ValueError(f"no such tag in a tree: {tag!r}")
    if tag in _VOID:
        return f"<{tag}>"
    if tag == "code" and node.attrs.get("lang"):
        inside = _coloured(str(node.children[0]), str(node.attrs["lang"]))
    else:
        inside = "".join(map(_written, node.children))
    if tag == "li":  # goes by all of its text, which what has a direction of its own is no part of
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
    if node.tag in _WITH_DIRECTION and not inside.isascii() and _READ_FROM_RIGHT.search(inside):
        written += " dir=auto"
    return written


def _coloured(text: str, lang: str) -> str:
    """Code with as many of its colours as its size allows."""
    from swiftask_jupyter.notebook.markdown import highlight

    pieces = highlight.runs(text, lang)
    for left_out in ("", "n", "nb", "nbf"):
        pieces = highlight.without(pieces, left_out) if left_out else pieces
        written = "".join(
            f"<{tag}>{escape(piece)}</{tag}>" if (tag := _CODE_TAGS.get(name)) else escape(piece)
            for name, piece in pieces
        )
        if len(written) <= MOST_PER_CHARACTER * len(text) + ALWAYS_ALLOWED:
            return written
    return escape(text)
