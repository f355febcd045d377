"""Changes that turn the tree of an answer, as a view has it, into the current tree.

A view keeps the tree that it was sent last. While the answer streams, it gets a few operations
instead of the whole tree. An operation is a list; `path` is the child index at each depth:

    ["+", path, text]        append text to the text node
    ["~", path, drop, text]  remove the last `drop` UTF-16 code units of the text node, append text
    ["i", path, nodes]       append nodes to the children
    ["d", path, keep]        remove the children after the first `keep`
    ["r", path, node]        replace the node
    ["h", path, runs]        highlight the code: gap, length, kind, gap, length, kind, …

A node is a string, or a list of the tag, the attributes (if it has any) and the children.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from swiftask_jupyter.notebook.markdown.document import Document, to_tree
from swiftask_jupyter.notebook.markdown.html import Node
from swiftask_jupyter.notebook.markdown.mathml import to_mathml

Path = tuple[int, ...]
Child = Node | str
Operation = list[Any]


class GrowingTree:
    """The tree of an answer that grows, and the state of it that the views have."""

    def __init__(self) -> None:
        self._document = Document()
        self._blocks: list[list[Node]] = []  # settled blocks that were sent
        self._node_count = 0  # nodes in them
        self._open: list[Node] = []  # nodes after them that were sent and may still change

    @classmethod
    def of(cls, text: str) -> GrowingTree:
        """Return the tree of a finished answer."""
        tree = cls()
        tree._blocks = [to_tree(text)]
        return tree

    def feed(self, text: str) -> None:
        """Append the next piece of the answer."""
        self._document.feed(text)

    def changes(self) -> list[Operation]:
        """Return what has changed since the last call; the caller must send it to all views."""
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
        """Return the last changes: no more text will come."""
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

    def append(self, nodes: list[Node]) -> list[Operation]:
        """Add nodes below a finished answer and return the operation for the views."""
        self._blocks.append(nodes)
        return [["i", (), [encode(node) for node in nodes]]] if nodes else []

    def encoded(self) -> list[Any]:
        """Return the whole tree in the views' state, for a view that has none yet."""
        settled = [encode(node, highlight=True) for block in self._blocks for node in block]
        return settled + [encode(node) for node in self._open]


def preload() -> None:
    """Import the parser and the highlighter, which takes longer than parsing a short answer."""
    GrowingTree.of("```python\n```").encoded()


def diff(
    old: Sequence[Child],
    new: Sequence[Child],
    path: Path,
    offset: int = 0,
    *,
    in_place: bool = False,
) -> Iterator[Operation]:
    """Yield operations that turn the children `old` into `new`.

    It is fast for text that grows at its end: only the first child that differs is compared in
    depth, and what follows it is sent again.

    Args:
        old: the children that the view has.
        new: the children that it should have.
        path: the path of their parent.
        offset: the number of the parent's children before them.
        in_place: whether the parent has children after them; then each child that differs is
            changed or replaced by itself.
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
    """Return a node in the form in which it is sent; formulas become MathML.

    Args:
        node: the node.
        highlight: whether to add highlighting to code, as the attribute `runs`.
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
    """Return the length of a text in UTF-16 code units, in which JavaScript counts."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _change_in_place(old: Child, new: Child, path: Path) -> list[Operation] | None:
    """Return operations that change `old` into `new`; `None` if it must be replaced."""
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
    """Return the length of the common prefix, by binary search: a loop would be slow in Python."""
    low, high = 0, min(len(old), len(new))
    while low < high:
        middle = (low + high + 1) // 2
        if new.startswith(old[:middle]):
            low = middle
        else:
            high = middle - 1
    return low


def _is_formula(node: Node) -> bool:
    return node.attrs.get("class") == "math"


def _highlighting(node: Node, path: Path) -> Iterator[Operation]:
    """Yield operations that highlight all code in a settled node."""
    if runs := _highlight_runs(node):
        yield ["h", path, runs]
    if node.tag in ("p", "table"):
        return  # these cannot contain a code block
    for number, child in enumerate(node.children):
        if isinstance(child, Node):
            yield from _highlighting(child, (*path, number))


def _highlight_runs(node: Node) -> list[int | str]:
    """Return the flat list of a code node's runs: gap, length, kind, …; lengths in UTF-16 units."""
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
