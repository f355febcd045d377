"""The commands `%swiftask ask`, `%swiftask use` and `%swiftask agents`.

`ask` sends a prompt to an agent. `use` sets the default agent. `agents` lists the agents.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from IPython.core.error import UsageError

from swiftask_jupyter.notebook.arguments import check_slug
from swiftask_jupyter.notebook.commands import Command
from swiftask_jupyter.notebook.context import NotebookContext
from swiftask_jupyter.support.sanitize import sanitize_line
from swiftask_jupyter.support.structs import replace

if TYPE_CHECKING:
    import pandas as pd


def _ask(context: NotebookContext, text: str, agent: str = "") -> object:
    from swiftask_jupyter.notebook.ask import ask_cell

    return ask_cell(context, shlex.quote(agent) if agent else "", text)


def _use(context: NotebookContext, agent: str) -> None:
    if not agent.strip():
        raise UsageError("%swiftask use takes an agent's slug")
    check_slug(agent)
    context.reset_settings("agent")
    overrides = context.client.connections.overrides
    context.client.connections.overrides = replace(
        overrides, agent=agent, origins={**overrides.origins, "agent": "%swiftask use"}
    )
    print(f"{sanitize_line(agent)} answers where a cell names no agent")


def _agents(context: NotebookContext, pattern: str = "") -> pd.DataFrame:
    return context.client.agents(pattern)


COMMANDS = {
    "ask": Command(_ask, (('ask "…" [AGENT]', "ask in one line"),), 1, 2),
    "use": Command(_use, (("use AGENT", "the agent to ask when a cell names none"),), 1, 1),
    "agents": Command(_agents, (("agents [PATTERN]", "the catalogue as a DataFrame"),), 0, 1),
}
