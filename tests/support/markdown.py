"""Functions for the tests of the Markdown renderer."""

from swiftask_jupyter.notebook.markdown.document import to_html
from swiftask_jupyter.notebook.markdown.html import STYLE, HTMLElement

ROOT_START = '<div class="swiftask tex2jax_ignore mathjax_ignore">\n'
LINK_ATTRIBUTES = ' target=_blank rel="noopener noreferrer nofollow"'
PARAGRAPH = "The **quick** brown fox, `code` and [a link](https://example.com) jump over it.\n\n"


def body_html(text):
    """Return the HTML of an answer without its root element and style sheet."""
    html = to_html(text).replace(STYLE, "")
    assert html.startswith(ROOT_START)
    assert html.endswith("</div>")
    return html[len(ROOT_START) : -len("</div>")]


def whole_tree(document):
    """Return all nodes of a document so far, settled and open."""
    return [node for block in document.blocks() for node in block] + document.open_nodes()


def depth(nodes):
    """Return how deep the nodes are nested."""
    return max(
        (1 + depth(node.children) for node in nodes if isinstance(node, HTMLElement)), default=0
    )
