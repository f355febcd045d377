"""The options of `%%swiftask`, in the order in which its help lists them.

Reads a magic line: `[AGENT] [options] [NAME << | NAME =<<]`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from keyword import iskeyword
from typing import TYPE_CHECKING, Any, NamedTuple

from IPython.core.error import UsageError
from IPython.core.magic_arguments import argument

from swiftask_jupyter.errors import PromptError

if TYPE_CHECKING:
    from collections.abc import Callable

# How an answer may be shown, see `notebook.forms`.
FORMS = ("md", "text", "json", "code")

_OPTIONS = (
    argument("agent", nargs="*", help="the agent's slug, or several to compare"),
    argument("-s", "--session", help="the conversation of that name"),
    argument("--fresh", action="store_true", help="send nothing of what was said before"),
    argument("--no-history", action="store_true", help="neither send nor remember anything"),
    argument("--last", type=int, help="send only so many turns of what was said before"),
    argument("--cache", action="store_true", help="show an earlier answer to the same again"),
    argument("--replay", action="store_true", help="tell a service the talk it has not kept"),
    argument("--dialect", help="auto, openai, native, widget, chat, agencii, or a package's"),
    argument("-c", "--connection", help="a connection of pyproject.toml or config.toml"),
    argument("-a", "--attach", action="append", default=[], help="a file, URL or variable"),
    argument("-o", "--option", action="append", default=[], help="a request's field: KEY=VALUE"),
    argument("--docs", choices=["simple", "advanced"], help="how files are read"),
    argument("--system", help="a system message before the prompt"),
    argument("-f", "--format", choices=FORMS, default="md", help="how the answer is shown"),
    argument("--timeout", type=float, help="the seconds the service may be silent; default: 120"),
    argument("--no-stream", action="store_true", help="ask for the answer in one piece"),
    argument("--stateless", action="store_true", help="ask /v1 not to keep the turn"),
    argument("--dry-run", action="store_true", help="show what would be sent, and send nothing"),
    argument("--over", help="ask once for each row of this DataFrame; {{column}} is the row's"),
    argument("--schema", help='columns read out of each answer: "label: str, score: float"'),
    argument("--raw", action="store_true", help="send the prompt as it stands, {{…}} included"),
)


def takes_options(magic: Callable[..., Any]) -> Callable[..., Any]:
    """Declare the options of a magic; stands below `@magic_arguments()`."""
    for option in reversed(_OPTIONS):
        magic = option(magic)
    return magic


def for_client(options: Any) -> dict[str, Any]:
    """Return what the options say, by the names that `Swiftask.ask` has for it."""
    said = {
        "dialect": options.dialect,
        "connection": options.connection,
        "system": options.system,
        "documentAnalysisMode": options.docs and options.docs.upper(),
        "timeout": options.timeout,
        "stream": False if options.no_stream else None,
        "stateless": options.stateless or None,
    }
    return {name: value for name, value in said.items() if value is not None}


# What asking takes itself and no field of a service is called, with what says it in a cell.
TAKEN = {
    "agent": "name the agent on the line: %%swiftask AGENT",
    "text": "the prompt stands below the line",
    "cache": "write --cache",
    "fresh": "write --fresh",
    "history": "write --no-history",
    "last": "write --last N",
    "replay": "write --replay",
    **dict.fromkeys(("aside", "needs_token", "self", "slot", "surface"), "leave it out"),
}

# `<<` counts only as the last token of the magic line: a prompt may hold any number of them.
_TARGET = re.compile(r"(?:^|\s)(?P<name>\S+?)\s*(?P<shown>=?)<<\s*$")

# A quote that no other follows closes, though a backslash stands before it: `"C:\my dir\"`.
_ESCAPED = r'\\"(?=[^"]*")'
_INSIDE = rf'(?>{_ESCAPED}|[^"])*'
_QUOTED = re.compile(rf""""({_INSIDE})"|'([^']*)'""")
_WORD = re.compile(rf"""(?>[^\s"']|"{_INSIDE}"|'[^']*')+""")


class MagicLine(NamedTuple):
    """What a magic line says.

    Attributes:
        options: the parsed arguments.
        target: the variable that takes the answer; `None` if none is named.
        shown: whether the answer is shown in the cell.
    """

    options: Any
    target: str | None
    shown: bool


def parse(magic: Callable[..., Any], line: str) -> MagicLine:
    """Parse a magic line by the arguments that the magic declares.

    Raises:
        UsageError: an option is unknown (the closest one is named), or the target is no name.
    """
    target, shown = None, True
    if found := _TARGET.search(line):
        target, shown = found["name"], bool(found["shown"])
        if not target.isidentifier() or iskeyword(target):
            raise UsageError(f"{target!r} can't take the answer: it is not a variable's name")
        line = line[: found.start()]
    elif line.rstrip().endswith("<<"):
        raise UsageError("'<<' needs a variable's name before it: answer <<")
    parser: Any = magic.parser  # type: ignore[attr-defined]  # put there by @magic_arguments
    if {"<<", "=<<"} & {*(said := words(line))}:
        raise UsageError("'NAME <<' stands at the end of the line")
    try:
        return MagicLine(parser.parse_args(said), target, shown)
    except UsageError as error:
        raise UsageError(_explained(str(error), parser)) from None


def words(line: str) -> list[str]:
    """Split a line as a shell does, but for backslashes, which stand in Windows' paths.

    Within double quotes, one before a quote means that the quote does not close.

    Raises:
        UsageError: a quote is not closed.
    """
    if _WORD.sub("", line).strip():
        raise UsageError("the line can't be read: no closing quotation")
    return [_QUOTED.sub(_unquoted, word) for word in _WORD.findall(line)]


def _unquoted(found: re.Match[str]) -> str:
    return found[2] if found[1] is None else found[1].replace('\\"', '"')


def fields(options: Iterable[str], **taken: str) -> dict[str, Any]:
    """Return what `-o KEY=VALUE` says; a value that is JSON is what it says, else a text.

    Args:
        options: the words behind each `-o`.
        taken: further parameters of ours, each with what says it in a cell.

    Raises:
        PromptError: there is no key or no value, or the key is a parameter of ours.
    """
    found: dict[str, Any] = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not key.isidentifier() or not equals:
            raise PromptError(f"-o {option} names no field", advice="write -o temperature=0")
        if advice := (TAKEN | taken).get(key):
            raise PromptError(f"-o {key} is no field of a request", advice=advice)
        try:
            found[key] = json.loads(value)
        except ValueError:
            if value[:1] in {"{", "["}:  # the line's own quotes are not part of what they hold
                raise PromptError(
                    f"-o {key}={value} is no JSON", advice=f"put it in single quotes: -o '{key}=…'"
                ) from None
            found[key] = value
    return found


def _explained(message: str, parser: Any) -> str:
    """Name the closest option where one is unknown."""
    if not (found := re.search(r"unrecognized arguments: (\S+)", message)):
        return message
    word = found[1]
    kind = "option" if word.startswith("-") else "argument"
    return f"unknown {kind} {word}{closest(word.partition('=')[0], options_of(parser))}"


def options_of(parser: Any) -> list[str]:
    """Return the options that an argparse parser takes."""
    return [name for action in parser._actions for name in action.option_strings]  # noqa: SLF001 - argparse lists its options nowhere else


def closest(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean …?` for the nearest known word, or nothing."""
    import difflib

    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else "; see %swiftask help"
