"""What has changed in an answer's tree since a view last saw it.

A view holds the tree as it was. It is sent a few operations that make it what it is, never the
answer again; each is a list, and a path is the number of a child at each depth:

    ["+", path, text]        append the text to the text there
    ["~", path, drop, text]  take so many UTF-16 units off the end of the text there, then append
    ["i", path, nodes]       append the nodes to the children there
    ["d", path, keep]        keep only so many of the children there
    ["r", path, node]        put the node in the place of the one there
    ["h", path, runs]        colour the code there: gap, length, kind, gap, length, kind, …

A node is a text, or a list: its tag, its attributes where it has any, its children.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from swiftask_jupyter.notebook.markdown.document import Document, to_tree
from swiftask_jupyter.notebook.markdown.mathml import to_mathml
from swiftask_jupyter.notebook.markdown.tree import Node

Path = tuple[int, ...]
Child = Node | str
Operation = list[Any]


class Growth:
    """An answer as it grows, and how much of it the views have been told."""

    def __init__(self) -> None:
        self._document = Document()
        self._blocks: list[list[Node]] = []  # settled, as told
        self._before = 0  # nodes in them
        self._opened: list[Node] = []  # what stands below them, as told

    @classmethod
    def of(cls, text: str) -> Growth:
        """Return a finished answer."""
        growth = cls()
        growth._blocks = [to_tree(text)]
        return growth

    def feed(self, text: str) -> None:
        """Take the next piece of the answer."""
        self._document.feed(text)

    def changes(self) -> list[Operation]:
        """Return what has changed since the last call; from now on it counts as told."""
        fresh = self._document.blocks(len(self._blocks))
        opened = self._document.open_nodes()
        settled = [node for block in fresh for node in block]
        made = list(compare(self._opened, [*settled, *opened], (), self._before))
        for number, node in enumerate(settled):
            made += _colours(node, (self._before + number,))
        self._blocks += fresh
        self._before += len(settled)
        self._opened = opened
        return made

    def finish(self) -> list[Operation]:
        """Return the last changes: no more text will come."""
        self._document.finish()
        made = self.changes()
        start = 0
        for number, block in enumerate(self._document.blocks()):
            told = self._blocks[number]
            if told is not block:  # a definition below it has made links in it
                made += compare(told, block, (), start, whole=len(told) == len(block))
                for at, node in enumerate(block):
                    made += _colours(node, (start + at,))
                self._blocks[number] = block
            start += len(block)
        return made

    def add(self, nodes: list[Node]) -> list[Operation]:
        """Return what puts further blocks below a finished answer."""
        self._blocks.append(nodes)
        return [["i", (), [encode(node) for node in nodes]]] if nodes else []

    def whole(self) -> list[Any]:
        """Return the tree as the views know it."""
        settled = [encode(node, coloured=True) for block in self._blocks for node in block]
        return settled + [encode(node) for node in self._opened]


def prepare() -> None:
    """Load what reads and colours an answer: that takes longer than a short answer itself."""
    Growth.of("```python\n```").whole()


def compare(
    old: Sequence[Child], new: Sequence[Child], path: Path, offset: int = 0, *, whole: bool = False
) -> Iterator[Operation]:
    """Yield what makes the children there new; text grows at its end, so that is cheap.

    Args:
        old: what the view has.
        new: what it shall have.
        path: whose children they are.
        offset: how many children stand before them.
        whole: whether more children follow: each is replaced in its own place.
    """
    at, both = 0, min(len(old), len(new))
    while at < both and (old[at] is new[at] or old[at] == new[at]):
        at += 1
    while at < both:
        place = (*path, offset + at)
        inside = _inside(old[at], new[at], place)
        if inside is None and not whole:
            break
        yield from inside or [["r", place, encode(new[at])]]
        at += 1
        if not whole:
            break
    if at < len(old):
        yield ["d", path, offset + at]
    if at < len(new):
        yield ["i", path, [encode(node) for node in new[at:]]]


def encode(node: Child, *, coloured: bool = False) -> Any:
    """Return a node as it travels; of a formula, its MathML."""
    if isinstance(node, str):
        return node
    if _is_formula(node):
        made = to_mathml(str(node.children[0]))
        return encode(made) if made else ["code", *node.children]
    children = [encode(child, coloured=coloured) for child in node.children]
    attrs = dict(node.attrs)
    if coloured and (runs := _runs(node)):
        attrs["runs"] = runs  # type: ignore[assignment]  # only a view reads it
    return [node.tag, attrs, *children] if attrs else [node.tag, *children]


def units(text: str) -> int:
    """How long JavaScript finds a text."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _inside(old: Child, new: Child, path: Path) -> list[Operation] | None:
    """Return what makes a child the new one in its place; `None` if it must be replaced."""
    if isinstance(old, str) and isinstance(new, str):
        if new.startswith(old):
            return [["+", path, new[len(old) :]]]
        kept = _common(old, new)
        return [["~", path, units(old[kept:]), new[kept:]]]
    if isinstance(old, str) or isinstance(new, str):
        return None
    if old.tag != new.tag or old.attrs != new.attrs or _is_formula(new):
        return None
    return list(compare(old.children, new.children, path))


def _common(old: str, new: str) -> int:
    """How many characters two texts begin with alike, by halving: no character by character."""
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


def _colours(node: Node, path: Path) -> Iterator[Operation]:
    """Yield the colours of all code in a node that no longer changes."""
    if runs := _runs(node):
        yield ["h", path, runs]
    if node.tag in ("p", "table"):
        return  # neither holds a block of code
    for number, child in enumerate(node.children):
        if isinstance(child, Node):
            yield from _colours(child, (*path, number))


def _runs(node: Node) -> list[int | str]:
    if node.tag != "code" or not node.attrs.get("lang"):
        return []
    from swiftask_jupyter.notebook.markdown.highlight import highlight

    pieces = highlight(str(node.children[0]), str(node.attrs["lang"]))
    return list(_flat(pieces))


def _flat(pieces: Iterable[tuple[str, str]]) -> Iterator[int | str]:
    gap = 0
    for kind, text in pieces:
        if kind:
            yield from (gap, units(text), kind)
            gap = 0
        else:
            gap += units(text)
