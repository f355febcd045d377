"""Parses the first line of a `%%swiftask` cell. The prompt is in the lines below.

The form of the line is `[AGENT …] [options] [NAME << | NAME =<<] [# comment]`. The module
`swiftask_jupyter.options` declares the options.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable
from functools import cache
from itertools import pairwise
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

# Matches `NAME <<` or `NAME =<<` at the end of the magic line. In the prompt, `<<` is plain text.
_TARGET = re.compile(r"(?:^|\s)(?P<name>\S+?)\s*(?P<shown>=?)<<\s*$")

# The last `"` of a line always closes, even after a backslash: `"C:\my dir\"`.
_ESCAPED = r'\\"(?=[^"]*")'
_INSIDE = rf'(?>{_ESCAPED}|[^"])*'
_QUOTED = re.compile(rf""""({_INSIDE})"|'([^']*)'""")
_WORD = re.compile(rf"""(?>[^\s"']|"{_INSIDE}"|'[^']*')+""")

# What the slug of an agent or the id of a model may be, on any service: `gemini-pro-with-search`,
# `org/model:tag`, `@cf/meta/llama`, `hf.co/org/model`, `/models/a.gguf`, `C:\models\a.gguf`.
SLUG = re.compile(r"(?=.*[^\W_])(?!.*(?:://|[:\\]$))[\w@/.~][\w@/.~:+\\-]*")
# An option that would be taken for a missing one if its value were empty.
_NEVER_EMPTY = ("session", "over", "schema")


class MagicLine(NamedTuple):
    """The parsed first line of a `%%swiftask` cell.

    Attributes:
        agents: the slugs of the agents on the line; empty if the line contains no agent.
        options: a dict that maps the Python name of each option on the line to the option's value.
        target: the name of the variable before `<<` or `=<<`; `None` without `<<`.
        shown: whether the cell shows the text of the answer; false only for `NAME <<`.
    """

    agents: list[str]
    options: dict[str, Any]
    target: str | None
    shown: bool


class _Once(argparse.Action):
    """An argparse action that stores the value of an option, and refuses a second value."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: object,
        flag: str | None = None,
    ) -> None:  # fmt: skip
        if getattr(namespace, self.dest) is not None:
            raise UsageError(f"{parser.prog}{flag} is given twice; leave one of them out")
        setattr(namespace, self.dest, values)


class LineParser(argparse.ArgumentParser):
    """An argparse parser for the words of a magic line.

    An invalid line raises a one-line `UsageError`; the process does not exit.
    """

    def error(self, message: str) -> NoReturn:
        """Raise a `UsageError`; argparse calls this method for an invalid line.

        For an unknown option, the error suggests a similar option.

        Args:
            message: argparse's description of the problem.
        """
        if found := re.search(r"unrecognized arguments: (\S+)", message):
            word = found[1]
            kind = "option" if word.startswith("-") else "argument"
            hint = _cell_hint(word) if "--option" in self.flags() else ""
            hint = hint or suggestion(word.partition("=")[0], self.flags())
            raise UsageError(f"{self.prog}unknown {kind} {word}{hint}")
        raise UsageError(f"{self.prog}{message}; see %swiftask help")

    def flags(self) -> list[str]:
        """Return all flags that the parser accepts, such as `-c` and `--connection`."""
        return [flag for action in self._actions for flag in action.option_strings]

    def add_option(self, name: str, option: Option) -> None:
        """Add an option to the parser.

        If a line does not contain the option, the parsed value of the option is `None`.

        Args:
            name: the attribute name of the option in the result of `parse_args`.
            option: the description of the option, such as its flags and its allowed values.
        """
        how: dict[str, Any]
        if option.const is not None and option.metavar:
            how = {"nargs": "?", "const": option.const, "metavar": option.metavar}
        elif option.const is not None:
            how = {"action": "store_const", "const": option.const}
        else:
            how = {"type": option.parse, "metavar": option.metavar or None}
            how["choices"] = option.choices or None
            how["action"] = "append" if option.repeats else _Once
        self.add_argument(*option.flags, dest=name, default=None, **how)


@cache
def line_options() -> dict[str, Option]:
    """Return a dict that maps the Python name of each `%%swiftask` option to its description.

    Only options with a flag are included. Options for all cells come first. Options that only work
    with `--over` come last.
    """
    cell, batch = options_of(CellOptions), options_of(BatchOptions)
    listed = cell | {name: option for name, option in batch.items() if name not in cell}
    return {name: option for name, option in listed.items() if option.flags}


@cache
def line_parser() -> LineParser:
    """Return the parser for the agents and options on a `%%swiftask` line.

    The parser does not accept `NAME <<`. Therefore `parse_line` first removes `NAME <<` from the
    line.
    """
    parser = LineParser(prog="", add_help=False)
    parser.add_argument("agents", nargs="*")
    for name, option in line_options().items():
        parser.add_option(name, option)
    return parser


def parse_line(line: str) -> MagicLine:
    """Parse the first line of a cell into agents, options and target variable.

    Args:
        line: the text after `%%swiftask`.

    Raises:
        UsageError: an option, the target or an agent is invalid. For example, an option is unknown
            or given twice, the target is no variable name, or a word can't be a slug.
    """
    line = without_comment(line)
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
    _check_flags(words)
    given = vars(line_parser().parse_args(words))
    agents = given.pop("agents")
    options = {name: value for name, value in given.items() if value is not None}
    for name in _NEVER_EMPTY:
        if not options.get(name, name).strip():
            raise UsageError(f"{line_options()[name].flags[0]} is empty; leave it out")
    for word in agents:
        check_slug(word)
    return MagicLine(agents, options, target, shown)


def _check_flags(words: list[str]) -> None:
    """Raise an error for flags that argparse would misunderstand.

    Args:
        words: the words of the line.

    Raises:
        UsageError: a long flag has only one hyphen, such as `-session`, or the word after `-o` has
            no `=`.
    """
    long_flags = {*line_parser().flags()}
    for word in words:
        flag = f"-{word.partition('=')[0]}"
        if flag.startswith("--") and flag in long_flags:
            raise UsageError(f"write {flag}, with two hyphens")
    for flag, word in pairwise(words):
        if flag in line_options()["fields"].flags and "=" not in word:
            raise UsageError(f"{flag} {word} has no value; write {flag} {word}=VALUE")


def check_slug(word: str) -> None:
    """Raise an error if a word can't be the slug of an agent of any service.

    Raises:
        UsageError: the word can't be a slug. The message suggests what to write instead.
    """
    if not SLUG.fullmatch(word):
        from swiftask_jupyter.notebook.agent_words import explain

        raise UsageError(explain(word))


def without_comment(line: str) -> str:
    """Return a line without the comment at its end.

    A comment begins at the first word with a `#` at its start.
    """
    if "#" in line:
        for word in _WORD.finditer(line):
            if word[0].startswith("#"):
                return line[: word.start()]
    return line


def split_words(line: str) -> list[str]:
    r"""Split a line into words at spaces, and remove the quotes around quoted parts.

    The function is similar to `shlex.split`. A backslash is an ordinary character, so that Windows
    paths work. There is one exception: `\"` inside double quotes means a literal `"` if another `"`
    follows in the line.

    Raises:
        UsageError: a closing quote is missing.
    """
    if _WORD.sub("", line).strip():
        raise UsageError("the line can't be read: no closing quotation")
    return [_QUOTED.sub(_unquoted, word) for word in _WORD.findall(line)]


def _unquoted(found: re.Match[str]) -> str:
    return found[2] if found[1] is None else found[1].replace('\\"', '"')


def request_options(line: MagicLine, kind: Any, **refused: str) -> dict[str, Any]:
    """Return the options of a line as a dict of keyword arguments for a method.

    The dict contains only the options that `kind` lists, and the request fields from
    `-o NAME=VALUE`.

    Args:
        line: the parsed line.
        kind: the `TypedDict` that lists the options of the method, such as `AskOptions`.
        refused: additional names that `-o` must not set. Each value is advice for the error
            message.

    Raises:
        PromptError: the argument of an `-o` is not `NAME=VALUE`, or `-o` must not set NAME.
    """
    given = {name: line.options[name] for name in line.options if name in kind.__annotations__}
    words = given.pop("fields", ())
    return parse_fields(words, _refused_fields(kind) | refused) | given


def _refused_fields(kind: Any) -> dict[str, str]:
    """Return a dict with the names that `-o` must not set; each value is advice for the user.

    The names are `agent`, `text`, the internal parameters, and most options with a flag, such as
    `--fresh`.
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
    """Return a dict that maps the NAME of each `-o NAME=VALUE` to the VALUE.

    Each VALUE is parsed as JSON. A VALUE such as `high`, which is not JSON, is kept as a string.

    Args:
        words: the arguments of all `-o` options, such as `temperature=0`.
        refused: a dict that maps each NAME that must not be set to advice for the user.

    Raises:
        PromptError: an argument is not `NAME=VALUE`, a NAME is refused or given twice, or a VALUE
            begins with `[` or `{` but is not valid JSON.
    """
    fields: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if name in fields:
            raise PromptError(f"-o {name} is given twice", advice="leave one of them out")
        if not name.isidentifier() or not equals:
            raise PromptError(f"-o {word} names no field", advice="write -o temperature=0")
        if advice := refused.get(name):
            raise PromptError(f"-o {name} is no field of a request", advice=advice)
        try:
            fields[name] = json.loads(value)
        except ValueError:
            if value[:1] in {"{", "["}:  # JSON, but `split_words` has removed its quotes
                raise PromptError(
                    f"-o {name}={value} is no JSON",
                    advice=f"put it in single quotes: -o '{name}=…'",
                ) from None
            fields[name] = value
    return fields


def _cell_hint(word: str) -> str:
    """Return advice on an unknown word of a `%%swiftask` line; empty if there is no advice.

    Raises:
        UsageError: the word has the place of an agent, but can't be a slug.
    """
    if not re.match(r"--?[^\W\d]", word):
        check_slug(word)
        return "; name the agents side by side, before the options"
    name, _, value = word.lstrip("-").replace("-", "_").partition("=")
    if name in {"agent", "model"}:
        return "; name the agent without an option: %%swiftask AGENT"
    option = {**options_of(CellOptions), **options_of(BatchOptions)}.get(name)
    return f"; write -o {name}={value or 'VALUE'}" if option and not option.flags else ""


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return the end of an error message about an unknown word.

    The returned text suggests the most similar word of `known`. If no known word is similar, the
    returned text suggests `%swiftask help`.
    """
    return f"; {did_you_mean(word, known, otherwise='see %swiftask help', cutoff=0.5)}"
