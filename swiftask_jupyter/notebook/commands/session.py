"""The `%swiftask` commands for the conversation, such as `history`, `undo` and `export`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING

from IPython.core.error import UsageError

from swiftask_jupyter.answers.turn import Turn
from swiftask_jupyter.notebook.arguments import check_slug, suggestion
from swiftask_jupyter.notebook.commands import Command
from swiftask_jupyter.notebook.commands.privacy import turn_number
from swiftask_jupyter.notebook.context import NotebookContext
from swiftask_jupyter.options import CACHE_MODES
from swiftask_jupyter.support.sanitize import sanitize_line
from swiftask_jupyter.support.wording import quantity

if TYPE_CHECKING:
    import pandas as pd

NEW, ADOPT = "new", "adopt"
SHORT = 60  # characters of a text that a list shows
CACHE_WORDS = (*CACHE_MODES, "clear", "stats")


def _chat(context: NotebookContext, agent: str = "") -> None:
    from IPython.display import display

    from swiftask_jupyter.errors import ConfigurationError

    if agent:
        check_slug(agent)
    if not hasattr(context.shell, "kernel"):
        from swiftask_jupyter.notebook.panel.panel import NO_NOTEBOOK, USE_MAGIC

        raise ConfigurationError(NO_NOTEBOOK, advice=USE_MAGIC)
    from swiftask_jupyter.notebook.panel.panel import ChatPanel

    display(ChatPanel(context.client, agent or None))


def _session(context: NotebookContext, word: str = "", which: str = "") -> None:
    client = context.client
    if word == ADOPT:
        _adopt(context, which)
        return
    if which:
        raise UsageError("%swiftask session takes one name")
    known = client.sessions()
    if word == "list":
        for name in dict.fromkeys([*known, client.current]):
            print(f"{'*' if name == client.current else ' '} {sanitize_line(name)}")
        return
    if word == NEW:
        word = next(name for n in range(2, len(known) + 3) if (name := f"{NEW}-{n}") not in known)
    elif word.startswith("-"):
        raise UsageError(f"{word!r} is no name of a conversation")
    if word:
        client.current = word
    turns = len(client.session().history())
    print(f"{sanitize_line(client.current)}: {quantity(turns, 'turn')}")


def _adopt(context: NotebookContext, which: str) -> None:
    session = context.client.session()
    former = session.id
    adopted = session.adopt(which)
    turns = quantity(len(session.history()), "turn")
    of = f" of {adopted.notebook}" if adopted.notebook else ""
    print(
        f"{sanitize_line(session.name)} goes on with the conversation"
        f" {sanitize_line(adopted.name + of)}: {turns}"
    )
    print(f"to go back: %swiftask session adopt {sanitize_line(former)}")


def history_frame(turns: Iterable[Turn]) -> pd.DataFrame:
    """Return turns as a DataFrame, one row for each turn.

    A turn is a prompt with its answer. The columns are:

    - `number`, `agent`, `prompt` and `answer`;
    - `stale`: whether earlier turns have changed since the prompt was sent;
    - `surface`: where the prompt was written, such as `cell`, `panel` or `python`;
    - `at`: the time when the prompt was sent, in UTC;
    - `cell`: the id of the cell;
    - `turn`: the id of the turn.
    """
    import pandas as pd

    rows = [
        (each.number, each.agent, each.prompt, each.answer, each.stale, each.surface,
         each.at, each.cell, each.id)
        for each in turns
    ]  # fmt: skip
    names = ["number", "agent", "prompt", "answer", "stale", "surface", "at", "cell", "turn"]
    frame = pd.DataFrame(rows, columns=names)
    kinds = dict.fromkeys(("agent", "prompt", "answer", "surface", "cell", "turn"), "string")
    frame = frame.astype({**kinds, "number": "int64", "stale": "bool", "at": "float64"})
    frame["at"] = pd.to_datetime((frame["at"] * 1e6).round().astype("int64"), unit="us", utc=True)
    return frame


def _history(context: NotebookContext, *words: str) -> pd.DataFrame:
    turns = context.client.session().history()
    if words:
        found = re.fullmatch(r"-n ?(\d+)", " ".join(words))
        if not found:
            raise UsageError("%swiftask history takes -n and a number of turns")
        count = int(found[1])
        turns = turns[-count:] if count else []
    return history_frame(turns)


def _run(context: NotebookContext, word: str) -> None:
    if word != "stale":
        raise UsageError(f"%swiftask run {word}: only `run stale` is known")
    stale = [each for each in context.client.session().history() if each.stale]
    if not stale:
        print("no answer predates a change of the turns before it")
        return
    print("run these again, in this order; nothing was run:")
    for each in stale:
        print(f"  turn {each.number}  {sanitize_line(each.agent)}  {_short(each.prompt)}")


def _pin(context: NotebookContext, number: str) -> None:
    turns = context.client.session().history()
    found = [each for each in turns if str(each.number) == number]
    if not found:
        raise UsageError(f"no turn {number} in this conversation")
    turn = found[-1]
    context.shell.set_next_input(f"%%swiftask {shlex.quote(turn.agent)} --raw\n{turn.prompt}")


def _undo(context: NotebookContext) -> None:
    undone = context.client.session().undo()
    print(f"turn {undone.number} is taken back: {_short(undone.prompt)}")


def _forget(context: NotebookContext, number: str) -> None:
    forgotten = context.client.session().forget(turn_number(number))
    print(f"turn {forgotten.number} has left the conversation: {_short(forgotten.prompt)}")


def _reset(context: NotebookContext) -> None:
    count = context.client.session().reset()
    print(f"the conversation begins anew; left to the ledger: {quantity(count, 'turn')}")


def _pick(context: NotebookContext, which: str) -> None:
    picked = context.client.session().pick(int(which) if which.isdecimal() else which)
    agent, prompt = sanitize_line(picked.agent), _short(picked.prompt)
    print(f"turn {picked.number} of {agent} is in the conversation: {prompt}")


def _export(context: NotebookContext, file: str) -> None:
    print(f"written to {context.client.session().export(file)}")


def _import(context: NotebookContext, file: str) -> None:
    count = context.client.session().import_file(file)
    print(f"{quantity(count, 'turn')} of {file} added at the end of the conversation")


def _cache(context: NotebookContext, word: str = "") -> None:
    client = context.client
    if word and word not in CACHE_WORDS:
        allowed = ", ".join(CACHE_WORDS)
        raise UsageError(f"%swiftask cache takes {allowed}{suggestion(word, CACHE_WORDS)}")
    if word == "clear":
        client.session().runtime.ledger.history.mark("cleared", None)
        print("earlier answers are not shown again; the ledger keeps them")
        return
    if word and word != "stats":
        context.settings.cache = word
    answers, shown = client.session().runtime.ledger.history.replays()
    mode = context.client.runtime.cache  # reading `context.client` has applied the new setting
    print(f"cache {mode}; {quantity(answers, 'answer')} can be shown again, shown so far: {shown}")
    if not client.connections.keeps_texts():
        print("no texts are kept: no new answer can be shown again")


def _short(text: str) -> str:
    line = sanitize_line(text)
    return line if len(line) <= SHORT else line[: SHORT - 1] + "…"


COMMANDS = {
    "chat": Command(
        _chat, (("chat [AGENT]", "a chat panel in the conversation of the cells"),), 0, 1
    ),
    "session": Command(
        _session,
        (
            ("session [NAME]", "the conversation of the cells; NAME switches to another"),
            ("session list", "this notebook's conversations; `session new` begins one"),
            (
                "session adopt [NAME]",
                "go on with an earlier conversation: of NAME, of a session's id, or of before",
            ),
        ),
        0,
        2,
    ),
    "history": Command(
        _history, (("history [-n N]", "the turns of the conversation as a DataFrame"),), 0, 2
    ),
    "run": Command(
        _run,
        (("run stale", "list the cells whose answers predate an edit, in the order to run them"),),
        1,
        1,
    ),
    "pin": Command(_pin, (("pin N", "write turn N of the conversation as the next cell"),), 1, 1),
    "undo": Command(_undo, (("undo", "take the newest turn back"),)),
    "forget": Command(_forget, (("forget N", "take turn N out of the conversation"),), 1, 1),
    "reset": Command(_reset, (("reset", "begin the conversation anew; the ledger keeps it"),)),
    "pick": Command(
        _pick,
        (
            ("pick AGENT", "put the answer of AGENT, one of several compared, into it"),
            ("pick N", "the same with the answer that is turn N"),
        ),
        1,
        1,
    ),
    "export": Command(
        _export, (("export FILE", "write the conversation to FILE.md or FILE.json"),), 1, 1
    ),
    "import": Command(_import, (("import FILE", "add the turns of such a file"),), 1, 1),
    "cache": Command(
        _cache,
        (
            (
                "cache [on|off|strict|clear|stats]",
                "show earlier answers to the same request again",
            ),
        ),
        0,
        1,
    ),
}
