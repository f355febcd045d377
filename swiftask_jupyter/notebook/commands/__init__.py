"""The commands of `%swiftask`, one module for each noun, and what they have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Command(NamedTuple):
    """One command of `%swiftask`.

    Attributes:
        run: does it; called with the `NotebookContext` and the words behind the command.
        usage: for the help: each way to write it, with what that does.
        least: the fewest words that it takes.
        most: the most words that it takes.
    """

    run: Callable[..., object]
    usage: tuple[tuple[str, str], ...]
    least: int = 0
    most: int = 0
