"""Tab completion for the magics: commands, options, values of options, agents and variables."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from IPython.core.completer import SimpleCompletion, context_matcher

from swiftask_jupyter.errors import SwiftaskError
from swiftask_jupyter.notebook.context import NotebookContext

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext, SimpleMatcherResult
    from IPython.core.interactiveshell import InteractiveShell

CATALOGUE_TIMEOUT = 0.5  # seconds that Tab waits for the list of agents

_FIELD = re.compile(r"\{\{\s*(\w*)$")
_MARK = "_swiftask_completion"


def register(shell: InteractiveShell, context: NotebookContext) -> None:
    """Add a completion matcher for `%swiftask` and `%%swiftask` to the shell.

    Nothing happens if the shell has no completer.
    """

    @context_matcher()
    def complete(typed: CompletionContext) -> SimpleMatcherResult:
        fragment, found = _find(context, typed)
        return {
            "completions": [SimpleCompletion(text, type=kind) for text, kind in found],
            "suppress": bool(found),
            "matched_fragment": fragment,
        }

    setattr(complete, _MARK, True)
    _matchers(shell).append(complete)


def unregister(shell: InteractiveShell) -> None:
    """Remove the completion matcher that `register` added to the shell."""
    matchers = _matchers(shell)
    matchers[:] = [each for each in matchers if not hasattr(each, _MARK)]


def _matchers(shell: InteractiveShell) -> list[Any]:
    completer = shell.Completer
    return completer.custom_matchers if completer is not None else []


def _find(context: NotebookContext, typed: CompletionContext) -> tuple[str, list[tuple[str, str]]]:
    """Return the incomplete word at the cursor, and its possible completions.

    A completion is a pair of a word and a kind, such as `agent`; IPython shows both. The list is
    empty if nothing can be completed.
    """
    lines = typed.full_text.split("\n")
    # `cursor_position` is the column within the line, not the position in the whole text.
    line = lines[typed.cursor_line][: typed.cursor_position]
    first = next((number for number, each in enumerate(lines) if each.strip()), 0)
    in_cell = lines[first].lstrip().startswith("%%swiftask")
    if in_cell and typed.cursor_line > first:
        if not (field := _FIELD.search(line)):
            return "", []
        names = [name for name in context.names if not name.startswith("_")]
        return field[1], _starting(field[1], names, "variable")
    head, _, rest = line.lstrip().partition("swiftask")
    if head not in {"%", "%%"} or not rest.startswith(" "):
        return "", []
    *before, fragment = rest[1:].split(" ")
    before = [word for word in before if word]
    return fragment, _words(context, before, fragment, in_cell=in_cell)


def _words(
    context: NotebookContext, before: list[str], fragment: str, *, in_cell: bool
) -> list[tuple[str, str]]:
    """Return the completions of `fragment`, the incomplete last word on a magic line.

    `before` contains the words to the left of `fragment`. `in_cell` is true for a `%%swiftask` line
    and false for a `%swiftask` line. A completion is a pair of a word and a kind, such as `option`.
    """
    if not in_cell and not before:
        from swiftask_jupyter.notebook.commands.registry import COMMANDS

        return _starting(fragment, filter(None, COMMANDS), "command")
    last = before[-1] if before else ""
    if in_cell and (values := _option_values(context, last)):
        return _starting(fragment, *values)
    if in_cell and fragment.startswith("-"):
        from swiftask_jupyter.notebook.arguments import line_parser

        return _starting(fragment, line_parser().flags(), "option")
    if in_cell or (before[0] == "use" and len(before) == 1) or before[0] == "ask":
        return _starting(fragment, _slugs(context), "agent")
    return []


def _option_values(context: NotebookContext, flag: str) -> tuple[Iterable[str], str] | None:
    """Return the values that an option accepts, and the kind of the values, such as `dialect`.

    The result is `None` if `flag` belongs to no option, or if the option accepts any value.
    """
    from swiftask_jupyter.notebook.arguments import line_options

    found = [(name, option) for name, option in line_options().items() if flag in option.flags]
    if not found:
        return None
    [(name, option)] = found
    if name == "dialect":
        from swiftask_jupyter.turns.routing import dialect_choices

        return dialect_choices(), name
    if name == "connection":
        return _connections(context), name
    return (option.choices, name) if option.choices else None


def _connections(context: NotebookContext) -> Iterable[str]:
    try:
        return context.client.connections.sources.connection_names()
    except SwiftaskError:
        return ()  # a damaged file is reported by the next prompt, not while the user types


def _slugs(context: NotebookContext) -> list[str]:
    try:
        return [agent.slug for agent in context.client.connections.catalogue(CATALOGUE_TIMEOUT)]
    except SwiftaskError:
        return []  # a failed request or a wrong setting is not reported while the user types


def _starting(fragment: str, words: Iterable[str], kind: str) -> list[tuple[str, str]]:
    return [(word, kind) for word in sorted(words) if word.startswith(fragment)]
