"""Hands the prompt of a cell over byte for byte.

Before it looks for magics, IPython takes what looks like a Python session's prompt (`>>>`,
`In [1]:`) off a cell's lines. So the call of our magic is written before that happens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

MAGIC = "%%swiftask"


def as_written(lines: list[str]) -> list[str]:
    """Return the cell as the call that IPython would make of it, with its body untouched."""
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    head = lines[first].strip() if lines else ""
    if head.split(None, 1)[:1] != [MAGIC] or head.endswith("?"):
        return lines
    body = "".join(lines[first + 1 :]) or "\n"  # of an empty one, IPython would not tell us
    line = head.removeprefix(MAGIC).strip()
    return [f"get_ipython().run_cell_magic('swiftask', {line!r}, {body!r})\n"]


# IPython asks transformers without side effects whether a cell that is being typed is complete;
# it knows what a cell magic needs, and would not know it of the call.
as_written.has_side_effects = True  # type: ignore[attr-defined]  # IPython's own mark


def register(shell: InteractiveShell) -> None:
    """Have our cells handed over as they are written."""
    transformers(shell).insert(0, as_written)


def unregister(shell: InteractiveShell) -> None:
    """Undo `register`."""
    kept = transformers(shell)
    kept[:] = [each for each in kept if each is not as_written]


def transformers(shell: InteractiveShell) -> list[Any]:
    """Return what the shell does to a cell first."""
    found: list[Any] = shell.input_transformers_cleanup
    return found
