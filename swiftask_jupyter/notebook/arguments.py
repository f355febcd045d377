"""Read the line of `%%swiftask`: `[AGENT …] [options] [NAME << | NAME =<<]`.

The options are declared in `swiftask_jupyter.options`.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable
from functools import cache
from keyword import iskeyword
from typing import Any, NamedTuple, NoReturn

from IPython.core.error import UsageError

from swiftask_jupyter.errors import PromptError
from swiftask_jupyter.options import (
    INTERNAL,
    AskOptions,
    BatchOptions,
    CellOptions,
    Option,
    options_of,
)
from swiftask_jupyter.support.suggest import did_you_mean

# `<<` counts only at the end of the magic line: a prompt may hold any number of them.
_TARGET = re.compile(r"(?:^|\s)(?P<name>\S+?)\s*(?P<shown>=?)<<\s*$")

# A quote with no other quote after it closes, even behind a backslash: `"C:\my dir\"`.
_ESCAPED = r'\\"(?=[^"]*")'
_INSIDE = rf'(?>{_ESCAPED}|[^"])*'
_QUOTED = re.compile(rf""""({_INSIDE})"|'([^']*)'""")
_WORD = re.compile(rf"""(?>[^\s"']|"{_INSIDE}"|'[^']*')+""")


class MagicLine(NamedTuple):
    """What a magic line says.

    Attributes:
        agents: the slugs that it names; empty if the settings name the agent.
        options: the values of the options that it gives, by their names in Python.
        target: the variable that takes the answer, or `None`.
        shown: whether the answer is shown in the cell.
    """

    agents: list[str]
    options: dict[str, Any]
    target: str | None
    shown: bool


class LineParser(argparse.ArgumentParser):
    """An argparse parser for the words of a magic: an error raises one line and exits nothing."""

    def error(self, message: str) -> NoReturn:
        """Raise the message, with the nearest option if one is unknown."""
        if found := re.search(r"unrecognized arguments: (\S+)", message):
            word = found[1]
            kind = "option" if word.startswith("-") else "argument"
            hint = suggestion(word.partition("=")[0], self.flags())
            raise UsageError(f"{self.prog}unknown {kind} {word}{hint}")
        raise UsageError(f"{self.prog}{message}; see %swiftask help")

    def flags(self) -> list[str]:
        """Return every flag that the parser knows."""
        return [flag for action in self._actions for flag in action.option_strings]

    def add_option(self, name: str, option: Option) -> None:
        """Add the flags of an option; what the line does not give is `None` in the result."""
        if option.const is not None:
            how: dict[str, Any] = {"action": "store_const", "const": option.const}
        else:
            how = {"type": option.parse, "metavar": option.metavar or None}
            how["choices"] = option.choices or None
            how["action"] = "append" if option.repeats else "store"
        self.add_argument(*option.flags, dest=name, default=None, **how)


def line_options() -> dict[str, Option]:
    """Return the options that a line of `%%swiftask` takes, in the order in which help lists them.

    These are the options of a cell, and those of a batch that have a flag (with `--over`).
    """
    cell, batch = options_of(CellOptions), options_of(BatchOptions)
    listed = cell | {name: option for name, option in batch.items() if name not in cell}
    return {name: option for name, option in listed.items() if option.flags}


@cache
def line_parser() -> LineParser:
    """Return the parser of the line of `%%swiftask`."""
    parser = LineParser(prog="", add_help=False)
    parser.add_argument("agents", nargs="*")
    for name, option in line_options().items():
        parser.add_option(name, option)
    return parser


def parse_line(line: str) -> MagicLine:
    """Parse the line of `%%swiftask`.

    Raises:
        UsageError: an option is unknown or lacks its value, or the target is no variable's name.
    """
    target, shown = None, True
    if found := _TARGET.search(line):
        target, shown = found["name"], bool(found["shown"])
        if not target.isidentifier() or iskeyword(target):
            raise UsageError(f"{target!r} can't take the answer: it is not a variable's name")
        line = line[: found.start()]
    elif line.rstrip().endswith("<<"):
        raise UsageError("'<<' needs a variable's name before it: answer <<")
    words = split_words(line)
    if {"<<", "=<<"} & {*words}:
        raise UsageError("'NAME <<' belongs at the end of the line")
    given = vars(line_parser().parse_args(words))
    agents = given.pop("agents")
    options = {name: value for name, value in given.items() if value is not None}
    return MagicLine(agents, options, target, shown)


def split_words(line: str) -> list[str]:
    r"""Split a line into words as a shell does, but keep backslashes, for Windows' paths.

    Only between double quotes, `\"` is a quote that does not close.

    Raises:
        UsageError: a quote is not closed.
    """
    if _WORD.sub("", line).strip():
        raise UsageError("the line can't be read: no closing quotation")
    return [_QUOTED.sub(_unquoted, word) for word in _WORD.findall(line)]


def _unquoted(found: re.Match[str]) -> str:
    return found[2] if found[1] is None else found[1].replace('\\"', '"')


def request_options(line: MagicLine, kind: Any, **refused: str) -> dict[str, Any]:
    """Return the keywords that the line gives for a method, `-o NAME=VALUE` included.

    Args:
        line: the parsed line.
        kind: the `TypedDict` that lists the method's options.
        refused: further names that `-o` can't set, each with what to write instead.

    Raises:
        PromptError: an `-o` is malformed, or names what a flag or a parameter sets.
    """
    given = {name: line.options[name] for name in line.options if name in kind.__annotations__}
    words = given.pop("fields", ())
    return parse_fields(words, _refused_fields(kind) | refused) | given


def _refused_fields(kind: Any) -> dict[str, str]:
    """Return the names that `-o` can't set, each with what to write instead.

    These are parameters of the methods, and the options that only a cell's own flag may set.
    """
    refused = dict.fromkeys(INTERNAL, "leave it out")
    refused["agent"] = "name the agent on the line: %%swiftask AGENT"
    refused["text"] = "write the prompt below the line"
    listed = options_of(AskOptions) | options_of(kind)
    for name, option in listed.items():
        if option.flags and not option.by_row:
            refused[name] = f"write {option.flags[0]} {option.metavar}".rstrip()
    return refused


def parse_fields(words: Iterable[str], refused: dict[str, str]) -> dict[str, Any]:
    """Return the fields that `-o NAME=VALUE` gives; a value that is no JSON is a text.

    Args:
        words: the word behind each `-o`.
        refused: names that can't be set this way, each with what to write instead.

    Raises:
        PromptError: a word has no name or no value, or its name is refused.
    """
    fields: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name.isidentifier() or not equals:
            raise PromptError(f"-o {word} names no field", advice="write -o temperature=0")
        if advice := refused.get(name):
            raise PromptError(f"-o {name} is no field of a request", advice=advice)
        try:
            fields[name] = json.loads(value)
        except ValueError:
            if value[:1] in {"{", "["}:  # meant as JSON, whose quotes the line has taken
                raise PromptError(
                    f"-o {name}={value} is no JSON",
                    advice=f"put it in single quotes: -o '{name}=…'",
                ) from None
            fields[name] = value
    return fields


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return the end of an error line: the nearest known word, or where to find help."""
    return f"; {did_you_mean(word, known, otherwise='see %swiftask help', cutoff=0.5)}"
