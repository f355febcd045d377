"""What was used, as DataFrames: from the ledger, or from the notebooks themselves."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from swiftask_jupyter.catalogue import Agent
from swiftask_jupyter.usage.notebooks import NotebookWarning, usage_from_notebooks

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["NotebookWarning", "agents", "usage_from_notebooks"]


def agents(catalogue: tuple[Agent, ...], pattern: str) -> pd.DataFrame:
    """Return the agents whose slug or name has the pattern in it: `slug`, `name`, `chat`."""
    import pandas as pd

    wanted = pattern.lower() if any(mark in pattern for mark in "*?[") else f"*{pattern.lower()}*"
    found = [
        (agent.slug, agent.name, agent.chat)
        for agent in catalogue
        if fnmatchcase(agent.slug.lower(), wanted) or fnmatchcase(agent.name.lower(), wanted)
    ]
    frame = pd.DataFrame(found, columns=["slug", "name", "chat"])
    return frame.astype({"slug": "string", "name": "string", "chat": "boolean"})
