"""Hand the text of a `%%swiftask` cell over unchanged.

Before IPython looks for magics, it strips what looks like the prompt of a Python session (`>>>`,
`In [1]:`) from the lines of a cell. So our cells are turned into the call of the magic earlier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

MAGIC = "%%swiftask"


def keep_body(lines: list[str]) -> list[str]:
    """Return a `%%swiftask` cell as the call that IPython would make of it, its body unchanged.

    Any other cell is returned as it is.
    """
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    head = lines[first].strip() if lines else ""
    if head.split(None, 1)[:1] != [MAGIC] or head.endswith("?"):
        return lines
    body = "".join(lines[first + 1 :]) or "\n"  # IPython does not call a magic with an empty body
    line = head.removeprefix(MAGIC).strip()
    return [f"get_ipython().run_cell_magic('swiftask', {line!r}, {body!r})\n"]


# IPython runs the transforms that lack this mark on a cell that is still being typed, to see if
# it is complete. It knows when a cell magic is complete, and would not know it of the call.
keep_body.has_side_effects = True  # type: ignore[attr-defined]  # IPython's own mark


def register(shell: InteractiveShell) -> None:
    """Add the transform in front of IPython's own."""
    cleanup_transforms(shell).insert(0, keep_body)


def unregister(shell: InteractiveShell) -> None:
    """Undo `register`."""
    transforms = cleanup_transforms(shell)
    transforms[:] = [each for each in transforms if each is not keep_body]


def cleanup_transforms(shell: InteractiveShell) -> list[Any]:
    """Return the shell's list of the transforms that a cell goes through first."""
    transforms: list[Any] = shell.input_transformers_cleanup
    return transforms
