"""Refuses a word on a `%%swiftask` line that is no agent, and suggests what to write instead."""

from __future__ import annotations

import mimetypes
import re
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from IPython.core.error import UsageError

from swiftask_jupyter.errors import ConfigurationError, StoreError
from swiftask_jupyter.notebook.context import NotebookContext
from swiftask_jupyter.options import BatchOptions, CellOptions, Option, options_of
from swiftask_jupyter.support.sanitize import sanitize_line
from swiftask_jupyter.support.suggest import closest, did_you_mean

_PATH = re.compile(r"[/~]|\.{1,2}/|[A-Za-z]:\\|.*\\")

PROMPT_HINT = 'the prompt goes below the line, or in one line: %swiftask ask "…"'
TARGET_HINT = "to put the answer into a variable, end the line with NAME <<"
MOST = 60  # characters of a word that a message repeats
FAULT_AGENTS = "fault-"  # agents of the sandbox that its catalogue does not list


_QUOTES = "\N{LEFT SINGLE QUOTATION MARK}-\N{DOUBLE HIGH-REVERSED-9 QUOTATION MARK}«»"
_INVISIBLE = "\N{SOFT HYPHEN}\N{ZERO WIDTH SPACE}-\N{RIGHT-TO-LEFT MARK}\N{WORD JOINER}\ufeff"
_DASHES = "-\N{HYPHEN}-\N{HORIZONTAL BAR}\N{MINUS SIGN}"
# What a word that can't be a slug looks like, and what to write instead; the first match counts.
_HINTS = tuple(
    (re.compile(pattern, re.DOTALL), hint)
    for pattern, hint in (
        (r"\s*", "leave the empty quotes out"),
        (rf".*[{_INVISIBLE}].*", "it holds an invisible character; type it again"),
        (rf".*[{_QUOTES}].*", 'write straight quotes: "…"'),
        (r"[-=<>|:]+|[<>|=].*|->.*|.*[<>|]", TARGET_HINT),
        (r".*\\", "the line can't go on below; write all options in one line"),
        (r"[^=\s]+://\S*", "to attach it: -a {word}"),
        (r"[^=\s]*\{.*|\$\S*", "the line takes no variables; write the slug itself"),
        (r"[^=\s]*[,;&+][^=\s]*", "separate agents by spaces"),
    )
)
_PLAIN = re.compile(r"[\w.:/-]+")
_ASSIGNMENT = re.compile(r"([^\W\d][\w-]*)[=:]+(.*)")
_OPTION = re.compile(rf"[{_DASHES}]+([^\W\d][\w-]*).*")


def explain(word: str) -> str:
    """Return a one-line error message for a word that can't be an agent's slug.

    The message says what to write instead of the word.
    """
    shown = word if len(word) <= MOST else f"{word[: MOST - 1]}…"
    return sanitize_line(f"{shown!r} is no agent; {_hint(word)}")


def _hint(word: str) -> str:
    plain = unicodedata.normalize("NFKC", word)
    for pattern, hint in _HINTS:
        if pattern.fullmatch(word):
            return hint.format(word=word)
    if plain != word:  # full-width characters
        return f"did you mean {plain}?" if _PLAIN.fullmatch(plain) else _hint(plain)
    if found := _OPTION.fullmatch(word):
        flag = f"--{found[1]}"
        flags = [each for option in _all_options().values() for each in option.flags]
        return f"write {closest(flag, flags) or flag}, with two hyphens"
    if found := _ASSIGNMENT.fullmatch(word):
        name = found[1].replace("-", "_")
        if "=" in word or name in _all_options():
            return _option_hint(name, found[2])
    return PROMPT_HINT


def _all_options() -> dict[str, Option]:
    return {**options_of(BatchOptions), **options_of(CellOptions)}


def _option_hint(name: str, value: str) -> str:
    """Return a text that tells the user how to write an option on a `%%swiftask` line.

    Args:
        name: the name of the option.
        value: the value that the user has written; may be empty.
    """
    if name in {"agent", "model"}:
        return f"name it alone: %%swiftask {value or 'AGENT'}"
    option = _all_options().get(name)
    if option is None or not option.flags:
        return f"a field of the request is written -o {name}={value or 'VALUE'}"
    if option.const is not None:
        return f"write {option.flags[0]}"
    return f"write {option.flags[0]} {value or option.metavar}"


def check_agents(context: NotebookContext, agents: list[str], options: dict[str, Any]) -> None:
    """Raise an error if a word is no known agent and was probably meant as something else.

    An unknown word is refused in two cases: the line also names a known agent, or the word looks
    like another thing, such as the name of a file. A word is a known agent if the service's
    catalogue contains the word, or if the agent has answered before. If the service has no
    catalogue, no word is refused.

    Args:
        context: the shell and its client.
        agents: the words of the line that stand for agents.
        options: the options of the line.

    Raises:
        UsageError: a word is refused. The message suggests what to write instead.
    """
    client = context.client
    fetch = "dry_run" not in options and client.runtime.cache != "strict"
    named = {name: options.get(name) for name in ("connection", "dialect")}
    try:
        slugs, target = client.connections.known_slugs(**named, fetch=fetch)
    except ConfigurationError:
        return  # reported when the prompt is prepared
    if not slugs:
        return
    words = [*dict.fromkeys(agents)]
    sandbox = target.is_sandbox
    unknown = [
        word
        for word in words
        if word not in slugs and not _has_answered(context, word, sandbox=sandbox)
    ]
    if sandbox:
        unknown = [word for word in unknown if not word.startswith(FAULT_AGENTS)]
    for word in unknown:
        meaning = next(_meanings(context, word, slugs))
        if meaning.certain or len(words) > 1:
            raise UsageError(f"no agent {word} in the catalogue; {meaning.hint}")


def _has_answered(context: NotebookContext, agent: str, *, sandbox: bool) -> bool:
    with suppress(StoreError):  # then nobody can say
        return bool(context.client.runtime.ledger.turns.costs(agent, 1, sandbox=sandbox))
    return True


class _Meaning(NamedTuple):
    """A possible meaning of a word that is no known agent.

    Attributes:
        hint: what to write instead of the word.
        certain: `True` refuses the word even if the line names no known agent.
    """

    hint: str
    certain: bool = False


def _meanings(context: NotebookContext, word: str, slugs: set[str]) -> Iterator[_Meaning]:
    """Yield the possible meanings of a word that is no known agent, the likeliest meaning first.

    Args:
        context: the shell and its client.
        word: the word.
        slugs: the slugs of the known agents.
    """
    plain = unicodedata.normalize("NFKC", word)
    if (cased := closest(plain, slugs, cutoff=1)) is not None:
        yield _Meaning(f"did you mean {cased}?", certain=True)
    value = context.names.get(word)
    if hasattr(value, "columns"):
        yield _Meaning(f"for each row: --over {word}; as a file: -a {word}", certain=True)
    if _is_file(word):
        yield _Meaning(f"to attach it: -a {word}", certain=True)
    client, name = context.client, word.replace("-", "_")
    if (option := _all_options().get(name)) is not None and option.const is not False:
        yield _Meaning(_option_hint(name, ""))
    if word in client.connections.sources.connection_names():
        yield _Meaning(f"for the connection of that name: -c {word}")
    with suppress(StoreError):
        if word in client.sessions():
            yield _Meaning(f"for the conversation of that name: -s {word}")
    if word in context.names:
        yield _Meaning(f"to put the answer into the variable: {word} <<")
    private = f"{PROMPT_HINT}; a private agent: ask it alone once"
    yield _Meaning(did_you_mean(word, slugs, otherwise=private))


def _is_file(word: str) -> bool:
    """Return whether a word looks like a path or like a file name, such as `data.csv`."""
    if _PATH.match(word):
        return True
    try:
        return "." in word and (Path(word).is_file() or bool(mimetypes.guess_type(word)[0]))
    except (OSError, ValueError):
        return False
