"""Computes the operations that update a view's copy of an answer's tree.

A view is one display of the chat panel in the browser. Each view has a copy of the parsed answer,
which is a tree of nodes. While the answer streams, the kernel sends a few operations instead of the
whole tree. An operation is a list. `path` is the list of child indexes from the root of the tree to
a node:

    ["+", path, text]        append text to the text node
    ["~", path, drop, text]  remove the last `drop` UTF-16 code units of the text node, append text
    ["i", path, nodes]       append nodes to the children
    ["d", path, keep]        remove the children after the first `keep`
    ["r", path, node]        replace the node
    ["h", path, runs]        highlight the code; `runs` is as in `_highlight_runs`

A text node is sent as a string. Any other node is sent as a list: the tag, the attributes, and the
children. The attributes are left out if there are none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from swiftask_jupyter.notebook.markdown.document import StreamingMarkdown, to_tree
from swiftask_jupyter.notebook.markdown.html import HTMLElement
from swiftask_jupyter.notebook.markdown.mathml import to_mathml

Path = tuple[int, ...]
Child = HTMLElement | str
Operation = list[Any]


class GrowingTree:
    """The parsed tree of one streaming answer.

    The object remembers the part of the tree that was sent to the views, the displays in the
    browser. `changes` and `finish` return the operations that update the views.
    """

    def __init__(self) -> None:
        self._document = StreamingMarkdown()
        self._blocks: list[list[HTMLElement]] = []  # complete blocks that were sent to the views
        self._node_count = 0  # top-level nodes in these blocks
        self._open: list[HTMLElement] = []  # later nodes that were sent and may still change

    @classmethod
    def of(cls, text: str) -> GrowingTree:
        """Return the tree of a complete answer."""
        tree = cls()
        tree._blocks = [to_tree(text)]
        return tree

    def feed(self, text: str) -> None:
        """Append the next piece of the answer's text; `changes` will parse the piece."""
        self._document.feed(text)

    def changes(self) -> list[Operation]:
        """Return the operations that add all text since the previous call to the views.

        The caller must send the operations to all views, because a later call does not return them
        again.
        """
        new_blocks = self._document.blocks(len(self._blocks))
        open_nodes = self._document.open_nodes()
        settled = [node for block in new_blocks for node in block]
        operations = list(diff(self._open, [*settled, *open_nodes], (), self._node_count))
        for number, node in enumerate(settled):
            operations += _highlighting(node, (self._node_count + number,))
        self._blocks += new_blocks
        self._node_count += len(settled)
        self._open = open_nodes
        return operations

    def finish(self) -> list[Operation]:
        """End the answer, and return the last operations for the views.

        Text that refers to a link definition further below now becomes a link. After this call,
        `feed` raises `ValueError`.
        """
        self._document.finish()
        operations = self.changes()
        start = 0
        for number, block in enumerate(self._document.blocks()):
            sent = self._blocks[number]
            if sent is not block:  # a link definition at the end has turned text in it into links
                operations += diff(sent, block, (), start, in_place=len(sent) == len(block))
                for at, node in enumerate(block):
                    operations += _highlighting(node, (start + at,))
                self._blocks[number] = block
            start += len(block)
        return operations

    def append(self, nodes: list[HTMLElement]) -> list[Operation]:
        """Add nodes below a finished answer, and return the operations for the views.

        The result is an empty list if `nodes` is empty.
        """
        self._blocks.append(nodes)
        return [["i", (), [encode(node) for node in nodes]]] if nodes else []

    def encoded(self) -> list[Any]:
        """Return the whole tree as JSON values, for a view without a copy of the tree.

        Text that `changes` has not parsed yet is not included. The next operations add this text in
        all views.
        """
        settled = [encode(node, highlight=True) for block in self._blocks for node in block]
        return settled + [encode(node) for node in self._open]


def preload() -> None:
    """Import the Markdown parser and the syntax highlighter before an answer needs them."""
    GrowingTree.of("```python\n```").encoded()


def diff(
    old: Sequence[Child],
    new: Sequence[Child],
    path: Path,
    offset: int = 0,
    *,
    in_place: bool = False,
) -> Iterator[Operation]:
    """Yield the operations that change the child nodes `old` into the child nodes `new`.

    The function is fast for text that is appended at the end. It compares only the first different
    child recursively. The children after the first different child are deleted and sent again,
    unless `in_place` is true.

    Args:
        old: the child nodes that the views have.
        new: the child nodes that the views should have.
        path: the path of the parent node.
        offset: the number of children that the parent has before `old`.
        in_place: whether the parent has more children after `old`. Each different child is then
            changed or replaced separately.
    """
    at, both = 0, min(len(old), len(new))
    while at < both and (old[at] is new[at] or old[at] == new[at]):
        at += 1
    while at < both:
        child_path = (*path, offset + at)
        changes = _change_in_place(old[at], new[at], child_path)
        if changes is None and not in_place:
            break
        yield from changes or [["r", child_path, encode(new[at])]]
        at += 1
        if not in_place:
            break
    if at < len(old):
        yield ["d", path, offset + at]
    if at < len(new):
        yield ["i", path, [encode(node) for node in new[at:]]]


def encode(node: Child, *, highlight: bool = False) -> Any:
    """Convert a node to the JSON values that are sent to the views.

    Formulas become MathML. A formula that cannot be converted becomes a `code` node with the source
    of the formula.

    Args:
        node: the node.
        highlight: whether to add syntax highlighting to code nodes, as the attribute `runs`.
    """
    if isinstance(node, str):
        return node
    if _is_formula(node):
        math = to_mathml(str(node.children[0]))
        return encode(math) if math else ["code", *node.children]
    children = [encode(child, highlight=highlight) for child in node.children]
    attrs = dict(node.attrs)
    if highlight and (runs := _highlight_runs(node)):
        attrs["runs"] = runs  # type: ignore[assignment]  # read by the view only
    return [node.tag, attrs, *children] if attrs else [node.tag, *children]


def utf16_length(text: str) -> int:
    """Return the length of a text in JavaScript: the number of UTF-16 code units."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _change_in_place(old: Child, new: Child, path: Path) -> list[Operation] | None:
    """Return operations that change the node `old` into the node `new`.

    The result is `None` if the whole node must be replaced.
    """
    if isinstance(old, str) and isinstance(new, str):
        if new.startswith(old):
            return [["+", path, new[len(old) :]]]
        kept = _common_prefix(old, new)
        return [["~", path, utf16_length(old[kept:]), new[kept:]]]
    if isinstance(old, str) or isinstance(new, str):
        return None
    if old.tag != new.tag or old.attrs != new.attrs or _is_formula(new):
        return None
    return list(diff(old.children, new.children, path))


def _common_prefix(old: str, new: str) -> int:
    """Return the length of the common prefix of two texts.

    The search is binary, because a loop over all characters would be slow in Python.
    """
    low, high = 0, min(len(old), len(new))
    while low < high:
        middle = (low + high + 1) // 2
        if new.startswith(old[:middle]):
            low = middle
        else:
            high = middle - 1
    return low


def _is_formula(node: HTMLElement) -> bool:
    return node.attrs.get("class") == "math"


def _highlighting(node: HTMLElement, path: Path) -> Iterator[Operation]:
    """Yield the operations that highlight all code in a node.

    The text of the node must be final, because the operations contain positions in the text.
    """
    if runs := _highlight_runs(node):
        yield ["h", path, runs]
    if node.tag in ("p", "table"):
        return  # these cannot contain a code block
    for number, child in enumerate(node.children):
        if isinstance(child, HTMLElement):
            yield from _highlighting(child, (*path, number))


def _highlight_runs(node: HTMLElement) -> list[int | str]:
    """Return the highlighted parts of a code node as a flat list: gap, length, kind, gap, …

    The gap is the length of the plain text before a part. The length is the length of the part. The
    kind is a letter, such as `k` for a keyword. Lengths count UTF-16 code units. The list is empty
    for other nodes, and for code without a language.
    """
    if node.tag != "code" or not node.attrs.get("lang"):
        return []
    from swiftask_jupyter.notebook.markdown.highlight import highlight

    return list(_flatten(highlight(str(node.children[0]), str(node.attrs["lang"]))))


def _flatten(pieces: Iterable[tuple[str, str]]) -> Iterator[int | str]:
    gap = 0
    for kind, text in pieces:
        if kind:
            yield from (gap, utf16_length(text), kind)
            gap = 0
        else:
            gap += utf16_length(text)
