"""The commands of `%swiftask`, one module for each topic, and the class `Command`."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Command(NamedTuple):
    """The description of one command of `%swiftask`.

    Attributes:
        run: the function that runs the command. Its arguments are the `NotebookContext` and the
            words after the command's name.
        usage: the lines of the help text about the command. Each line is a pair: the syntax and an
            explanation.
        least: the minimum number of words after the command's name.
        most: the maximum number of words after the command's name.
    """

    run: Callable[..., object]
    usage: tuple[tuple[str, str], ...]
    least: int = 0
    most: int = 0
