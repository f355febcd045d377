"""`%swiftask COMMAND`: what surrounds the asking."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING

from IPython.core.error import StdinNotImplementedError, UsageError

from swiftask_jupyter.notebook.arguments import closest, words
from swiftask_jupyter.notebook.commands import sandbox as sandboxed
from swiftask_jupyter.notebook.commands import session as conversations
from swiftask_jupyter.notebook.commands import usage as spending
from swiftask_jupyter.support.sanitize import in_line
from swiftask_jupyter.support.structs import replace
from swiftask_jupyter.support.wording import quantity

if TYPE_CHECKING:
    import pandas as pd

    from swiftask_jupyter.notebook.magics import SwiftaskMagics

HELP = f"""\
%%swiftask [AGENT …] [-a FILE] [-o KEY=VALUE] [-c CONNECTION] [options] [NAME << | NAME =<<]
prompt, with {{{{name}}}}, {{{{name.attribute}}}}, {{{{name["key"]}}}}, {{{{number:.2f}}}} filled in

  AGENT            the agent's slug; default: SWIFTASK_AGENT_SLUG; several are compared
  -s, --session    the conversation of that name; default: this notebook's
  --fresh          send nothing of what was said before
  --last N         send only the last N turns of it
  --no-history     neither send nor remember anything
  --cache          show an earlier answer to the same question again
  --replay         tell a service that keeps the talk itself, and has not, what was said
  -c, --connection a connection of pyproject.toml or config.toml
  -a, --attach     a file, folder, pattern, URL or variable (DataFrame, figure); repeat it
  -o, --option     a field of the request, such as temperature=0; repeat it
  --docs           simple or advanced: how files are read (advanced where there are any)
  --system         a system message before the prompt
  -f, --format     md (default), text (as it came), json (fails where it is none) or code
  --timeout        the seconds the service may be silent (120)
  --no-stream      ask for the answer in one piece
  --stateless      ask /v1 not to keep the turn
  --dry-run        show what would be sent and what the last calls cost; nothing is sent
  --dialect        auto (default), openai, native, widget, chat or agencii
  --over FRAME     ask once for each row of a DataFrame; {{{{column}}}} is the row's; Swiftask.map
                   tells what -o KEY=VALUE may set: concurrency, files, retry, pilot, confirm, …
  --schema FIELDS  with --over: columns read out of each answer, "label: str, score: float"
  --raw            send the prompt as it stands, {{{{…}}}} included
  NAME <<          put the answer into a variable and show only its footer
  NAME =<<         put it into a variable and show it

%swiftask                  what is asked, where, and on whose behalf
%swiftask ask "…" [AGENT]  ask in one line
%swiftask chat [AGENT]     a chat panel, in the conversation that the cells go on with
%swiftask pin N            write turn N of the conversation as the next cell
%swiftask use AGENT        the agent to ask when a cell names none
%swiftask agents [PATTERN] the catalogue as a DataFrame
{spending.HELP}
{conversations.HELP}
%swiftask config           each setting and where it stands
%swiftask login            type a token in, unseen; kept in the keyring where there is one
%swiftask doctor           check settings, network, token, agent and streaming
%swiftask sandbox [off]    a local server to try it against: agents echo, lorem, slow, smollm2
%swiftask help             this

Settings: a cell's options > %config SwiftaskMagics > SWIFTASK_API_KEY, SWIFTASK_AGENT_SLUG,
SWIFTASK_BASE_URL, SWIFTASK_DIALECT > .env > [tool.swiftask] in pyproject.toml > your config.toml"""

HELP_WORDS = ("--help", "-h")


def run(magics: SwiftaskMagics, line: str) -> object:
    """Run a line magic: a word, then its own arguments.

    Raises:
        UsageError: there is no such command, or it takes no such arguments.
    """
    word, _, rest = line.strip().partition(" ")
    word = "help" if word in HELP_WORDS else word
    if word not in COMMANDS:
        raise UsageError(f"no command {word}; to ask: %%swiftask {word}{closest(word, COMMANDS)}")
    arguments = words(rest)
    if {*HELP_WORDS} & {*arguments}:
        word, arguments = "help", []
    command, least, most = COMMANDS[word]
    if not least <= len(arguments) <= most:
        some = quantity(most, "word")
        some = some if most == least else f"{least} to {some}" if least else f"at most {some}"
        takes = some if most else "nothing"
        raise UsageError(f"%swiftask {word} takes {takes}; see %swiftask help")
    return command(magics, *arguments)


def _help(_: SwiftaskMagics) -> None:
    print(HELP)


def _agents(magics: SwiftaskMagics, pattern: str = "") -> pd.DataFrame:
    return magics.client.agents(pattern)


def _ask(magics: SwiftaskMagics, text: str, agent: str = "") -> object:
    return magics.ask(shlex.quote(agent) if agent else "", text)


def _chat(magics: SwiftaskMagics, agent: str = "") -> None:
    from IPython.display import display

    from swiftask_jupyter.errors import ConfigurationError

    if not hasattr(magics.ipython, "kernel"):
        from swiftask_jupyter.notebook.panel.panel import INSTEAD, NO_NOTEBOOK

        raise ConfigurationError(NO_NOTEBOOK, advice=INSTEAD)
    from swiftask_jupyter.notebook.panel.panel import ChatPanel

    display(ChatPanel(magics.client, agent or None))


def _pin(magics: SwiftaskMagics, number: str) -> None:
    found = [each for each in magics.client.session().history() if str(each.number) == number]
    if not found:
        raise UsageError(f"no turn {number} in this conversation")
    said = found[-1]
    magics.ipython.set_next_input(f"%%swiftask {shlex.quote(said.agent)} --raw\n{said.prompt}")


def _use(magics: SwiftaskMagics, agent: str) -> None:
    if not agent.strip():
        raise UsageError("%swiftask use takes an agent's slug")
    magics.agent = ""  # what is said last counts, and %config hears only of what changes
    wanted = magics.client.wanted
    magics.client.wanted = replace(wanted, agent=agent, by={**wanted.by, "agent": "%swiftask use"})
    print(f"{in_line(agent)} answers where a cell names no agent")


def _status(magics: SwiftaskMagics) -> None:
    client = magics.client
    connection = client.connection()
    where = "the sandbox, at " if sandboxed.asked(magics) else ""
    rows = {
        "agent": connection.agent or "none named: %%swiftask my-agent",
        "dialect": connection.dialect,
        "sends to": where + connection.root(""),
        "token": "set" if connection.token else "none: try %swiftask sandbox",
        "notebook": client.place.notebook or "not known",
        "session": client.place.session,
        "ledger": str(client.store),
    }
    print("\n".join(f"{name:<9} {in_line(value)}" for name, value in rows.items()))


def _config(magics: SwiftaskMagics) -> None:
    from swiftask_jupyter.settings.connection import shown

    client = magics.client
    beside = (
        ("cache", client.means.cache, _origin("SWIFTASK_CACHE", magics.cache)),
        ("history_limit", str(magics.history_limit or "all"), _origin("", magics.history_limit)),
        ("nested", "on" if magics.nested else "off", _origin("", magics.nested)),
        ("store", str(client.store), _origin("SWIFTASK_STORE", "")),
    )
    for name, value, origin in (*shown(client.connection()), *beside):
        print(f"{name:<13} {in_line(value)}  ({in_line(origin)})")


def _origin(variable: str, configured: object) -> str:
    """Return where a setting stands that only `%config` and the environment know."""
    if configured:
        return "%config SwiftaskMagics"
    return f"{variable} in the environment" if os.environ.get(variable) else "default"


def _login(magics: SwiftaskMagics) -> None:
    if sandboxed.asked(magics):
        raise UsageError("the sandbox needs no token; for your own: %swiftask sandbox off, first")
    host = magics.client.connection().host
    token = _typed(f"token for {host}: ")
    if not token.strip():
        raise UsageError("no token was typed; nothing is changed")
    kept = magics.client.login(token)
    print(f"kept for {host}, {'in the keyring' if kept else 'until this kernel ends'}")
    origin = magics.client.connection().origins.get("token", "")
    if origin != "login":  # what is said more closely counts, and may be an old one
        print(f"but {origin} counts before it: unset that to use what you typed")


def _typed(prompt: str) -> str:
    """Return what the user types, unseen."""
    from getpass import getpass

    from swiftask_jupyter.errors import ConfigurationError, Interrupted

    try:
        return getpass(prompt)
    except (EOFError, StdinNotImplementedError):
        advice = "set SWIFTASK_API_KEY"
        raise ConfigurationError("nobody can type here", advice=advice) from None
    except KeyboardInterrupt:
        raise Interrupted("stopped; no token was typed, nothing is changed") from None


def _doctor(magics: SwiftaskMagics) -> None:
    from swiftask_jupyter.doctor import examine

    for finding in examine(magics.client):
        print(finding)


# Each with the fewest and the most words it takes.
COMMANDS: dict[str, tuple[Callable[..., object], int, int]] = {
    **conversations.COMMANDS,
    **spending.COMMANDS,
    "": (_status, 0, 0),
    "agents": (_agents, 0, 1),
    "ask": (_ask, 1, 2),
    "chat": (_chat, 0, 1),
    "config": (_config, 0, 0),
    "doctor": (_doctor, 0, 0),
    "help": (_help, 0, 0),
    "login": (_login, 0, 0),
    "pin": (_pin, 1, 1),
    "sandbox": (sandboxed.sandbox, 0, 1),
    "use": (_use, 1, 1),
}
