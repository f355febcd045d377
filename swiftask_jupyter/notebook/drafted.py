"""What `--dry-run` gives a cell: one draft or several, shown or in a variable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from swiftask_jupyter.drafts import Draft

if TYPE_CHECKING:
    from swiftask_jupyter.notebook.arguments import Line


class Drafts(list[Draft]):
    """Several drafts, shown one below the other."""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002, FBT001 - IPython's
        printer.text("\n\n".join(str(draft) for draft in self))


def drafted(drafts: list[Draft], line: Line, names: dict[str, Any]) -> Draft | Drafts | None:
    """Return what the cell ends with; put it into the line's variable, if that names one."""
    result = Drafts(drafts) if len(drafts) > 1 else drafts[0]
    if line.target is not None:
        names[line.target] = result
    return result if line.shown else None
