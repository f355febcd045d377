"""Tab: commands, options, agents, connections, and the names a prompt can hold."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from IPython.core.completer import SimpleCompletion, context_matcher

from swiftask_jupyter.errors import SwiftaskError
from swiftask_jupyter.notebook.arguments import FORMS

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext, SimpleMatcherResult
    from IPython.core.interactiveshell import InteractiveShell

    from swiftask_jupyter.notebook.magics import SwiftaskMagics

PATIENCE = 0.5  # seconds that Tab waits for the catalogue

_FIELD = re.compile(r"\{\{\s*(\w*)$")
_MARK = "_swiftask_completion"


def register(shell: InteractiveShell, magics: SwiftaskMagics) -> None:
    """Add the matcher to the shell's own."""

    @context_matcher()
    def complete(context: CompletionContext) -> SimpleMatcherResult:
        fragment, found = _find(magics, context)
        return {
            "completions": [SimpleCompletion(text, type=kind) for text, kind in found],
            "suppress": bool(found),
            "matched_fragment": fragment,
        }

    setattr(complete, _MARK, True)
    _matchers(shell).append(complete)


def unregister(shell: InteractiveShell) -> None:
    """Undo `register`."""
    matchers = _matchers(shell)
    matchers[:] = [each for each in matchers if not hasattr(each, _MARK)]


def _matchers(shell: InteractiveShell) -> list[Any]:
    completer = shell.Completer
    return completer.custom_matchers if completer is not None else []


def _find(magics: SwiftaskMagics, context: CompletionContext) -> tuple[str, list[tuple[str, str]]]:
    """Return the piece of text to complete, and what it may become."""
    lines = context.full_text.split("\n")
    line = lines[context.cursor_line][: context.cursor_position]  # a column, by IPython's use of it
    first = next((number for number, each in enumerate(lines) if each.strip()), 0)
    in_cell = lines[first].lstrip().startswith("%%swiftask")
    if in_cell and context.cursor_line > first:
        if not (field := _FIELD.search(line)):
            return "", []
        names = [name for name in magics.ipython.user_ns if not name.startswith("_")]
        return field[1], _starting(field[1], names, "variable")
    head, _, rest = line.lstrip().partition("swiftask")
    if head not in {"%", "%%"} or not rest.startswith(" "):
        return "", []
    *before, fragment = rest[1:].split(" ")
    before = [word for word in before if word]
    return fragment, _words(magics, before, fragment, in_cell=in_cell)


def _words(
    magics: SwiftaskMagics, before: list[str], fragment: str, *, in_cell: bool
) -> list[tuple[str, str]]:
    from swiftask_jupyter.notebook.commands.general import COMMANDS

    if not in_cell and not before:
        return _starting(fragment, filter(None, COMMANDS), "command")
    last = before[-1] if before else ""
    if in_cell and (values := _values(magics, last)):
        return _starting(fragment, *values)
    if in_cell and fragment.startswith("-"):
        from swiftask_jupyter.notebook.arguments import options_of

        parser: Any = magics.swiftask.parser
        return _starting(fragment, options_of(parser), "option")
    if in_cell or (before[0] == "use" and len(before) == 1) or before[0] == "ask":
        return _starting(fragment, _slugs(magics), "agent")
    return []


def _values(magics: SwiftaskMagics, option: str) -> tuple[Iterable[str], str] | None:
    """Return what may stand behind an option, and what kind of thing that is."""
    if option == "--dialect":
        from swiftask_jupyter.turns.routing import choices

        return choices(), "dialect"
    if option in {"-c", "--connection"}:
        return magics.client.sources.connection_names(), "connection"
    return (FORMS, "form") if option in {"-f", "--format"} else None


def _slugs(magics: SwiftaskMagics) -> list[str]:
    try:
        return [agent.slug for agent in magics.client.catalogue(PATIENCE)]
    except SwiftaskError:
        return []  # Tab is not the place to hear of a wrong setting


def _starting(fragment: str, words: Iterable[str], kind: str) -> list[tuple[str, str]]:
    return [(word, kind) for word in sorted(words) if word.startswith(fragment)]
