"""`%swiftask` commands for the conversation: what it holds, and what is taken out or put in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from IPython.core.error import UsageError

from swiftask_jupyter.conversation.rules import Exchange
from swiftask_jupyter.notebook.arguments import closest
from swiftask_jupyter.support.sanitize import in_line
from swiftask_jupyter.support.wording import quantity

if TYPE_CHECKING:
    import pandas as pd

    from swiftask_jupyter.notebook.magics import SwiftaskMagics

NEW = "new"
WORDS = 60  # characters of a text that a list shows
CACHE = ("on", "off", "strict", "clear", "stats")

HELP = """\
%swiftask session [NAME]   the conversation that cells go on with; NAME changes it
%swiftask session list     this notebook's conversations; `session new` begins one
%swiftask history [-n N]   what the conversation holds, as a DataFrame
%swiftask run stale        the cells whose answers predate an edit, in the order to run them
%swiftask undo             take the newest turn back
%swiftask forget N         take turn N out of the conversation
%swiftask purge N          erase the texts of turn N from the ledger
%swiftask reset            begin the conversation anew; the ledger keeps it
%swiftask pick AGENT       put AGENT's answer, one of several compared, into the conversation
%swiftask pick N           the same with the answer that is turn N
%swiftask export FILE      write the conversation to FILE.md or FILE.json
%swiftask import FILE      add the turns of such a file
%swiftask cache [on|off|strict|clear|stats]  show earlier answers to the same question again
%swiftask client           the client, for Python: swiftask = %swiftask client"""


def _client(magics: SwiftaskMagics) -> object:
    return magics.client


def _session(magics: SwiftaskMagics, word: str = "") -> None:
    client = magics.client
    known = client.sessions()
    if word == "list":
        for name in dict.fromkeys([*known, client.current]):
            print(f"{'*' if name == client.current else ' '} {in_line(name)}")
        return
    if word == NEW:
        word = next(name for n in range(2, len(known) + 3) if (name := f"{NEW}-{n}") not in known)
    elif word.startswith("-"):
        raise UsageError(f"{word!r} is no name of a conversation")
    if word:
        client.current = word
    held = len(client.session().history())
    print(f"{in_line(client.current)}: {quantity(held, 'turn')}")


def history_frame(held: Iterable[Exchange]) -> pd.DataFrame:
    """Return the turns of a conversation, one a row, in its order.

    Columns: `number`, `agent`, `prompt`, `answer`, `stale` (whether something else stands before
    it now), `surface`, `at` (UTC), `cell` and `turn` (ids).
    """
    import pandas as pd

    rows = [
        (each.number, each.agent, each.prompt, each.answer, each.stale, each.surface,
         each.at, each.cell, each.turn)
        for each in held
    ]  # fmt: skip
    names = ["number", "agent", "prompt", "answer", "stale", "surface", "at", "cell", "turn"]
    frame = pd.DataFrame(rows, columns=names)
    kinds = dict.fromkeys(("agent", "prompt", "answer", "surface", "cell", "turn"), "string")
    frame = frame.astype({**kinds, "number": "int64", "stale": "bool", "at": "float64"})
    frame["at"] = pd.to_datetime((frame["at"] * 1e6).round().astype("int64"), unit="us", utc=True)
    return frame


def _history(magics: SwiftaskMagics, *words: str) -> pd.DataFrame:
    held = magics.client.session().history()
    if words:
        found = re.fullmatch(r"-n ?(\d+)", " ".join(words))
        if not found:
            raise UsageError("%swiftask history takes -n and a number of turns")
        count = int(found[1])
        held = held[-count:] if count else []
    return history_frame(held)


def _run(magics: SwiftaskMagics, word: str) -> None:
    if word != "stale":
        raise UsageError(f"%swiftask run {word}: only `run stale` is known")
    stale = [each for each in magics.client.session().history() if each.stale]
    if not stale:
        print("no answer predates what stands before it")
        return
    print("run these again, in this order; nothing was run:")
    for each in stale:
        print(f"  turn {each.number}  {in_line(each.agent)}  {_short(each.prompt)}")


def _undo(magics: SwiftaskMagics) -> None:
    gone = magics.client.session().undo()
    print(f"turn {gone.number} is taken back: {_short(gone.prompt)}")


def _forget(magics: SwiftaskMagics, number: str) -> None:
    gone = magics.client.session().forget(_number(number))
    print(f"turn {gone.number} has left the conversation: {_short(gone.prompt)}")


def _purge(magics: SwiftaskMagics, number: str) -> None:
    session = magics.client.session()
    count = session.purge(_number(number))
    print(
        f"erased from the ledger: the texts of {quantity(count, 'turn')}; clear the cell and save"
    )
    print("to erase them from the notebook; what was sent stays with the service and in copies of")
    print("the ledger")
    for remark in session.ledger.database.remarks():
        print(remark)


def _reset(magics: SwiftaskMagics) -> None:
    count = magics.client.session().reset()
    print(f"the conversation begins anew; left to the ledger: {quantity(count, 'turn')}")


def _pick(magics: SwiftaskMagics, which: str) -> None:
    chosen = magics.client.session().pick(int(which) if which.isdecimal() else which)
    agent, prompt = in_line(chosen.agent), _short(chosen.prompt)
    print(f"turn {chosen.number} of {agent} is in the conversation: {prompt}")


def _export(magics: SwiftaskMagics, file: str) -> None:
    print(f"written to {magics.client.session().export(file)}")


def _import(magics: SwiftaskMagics, file: str) -> None:
    count = magics.client.session().read(file)
    print(f"{quantity(count, 'turn')} of {file} added at the end of the conversation")


def _cache(magics: SwiftaskMagics, word: str = "") -> None:
    client = magics.client
    if word and word not in CACHE:
        raise UsageError(f"%swiftask cache takes {', '.join(CACHE)}{closest(word, CACHE)}")
    if word == "clear":
        client.session().ledger.history.mark("cleared", None)
        print("earlier answers are not shown again; the ledger keeps them")
        return
    if word and word != "stats":
        magics.cache = word
    answers, shown = client.session().ledger.history.replays()
    state = magics.client.means.cache
    print(f"cache {state}; {quantity(answers, 'answer')} can be shown again, shown so far: {shown}")


def _number(word: str) -> int:
    if not word.isdecimal():
        raise UsageError(f"{word!r} is no turn's number; a footer and %swiftask history name it")
    return int(word)


def _short(text: str) -> str:
    line = in_line(text)
    return line if len(line) <= WORDS else line[: WORDS - 1] + "…"


# Each with the fewest and the most words it takes.
COMMANDS: dict[str, tuple[Callable[..., object], int, int]] = {
    "cache": (_cache, 0, 1),
    "client": (_client, 0, 0),
    "export": (_export, 1, 1),
    "forget": (_forget, 1, 1),
    "history": (_history, 0, 2),
    "import": (_import, 1, 1),
    "pick": (_pick, 1, 1),
    "purge": (_purge, 1, 1),
    "reset": (_reset, 0, 0),
    "run": (_run, 1, 1),
    "session": (_session, 0, 1),
    "undo": (_undo, 0, 0),
}
