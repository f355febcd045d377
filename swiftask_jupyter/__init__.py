"""AI agents in Jupyter: prompts in cells, a chat panel, and a ledger of every call.

`%load_ext swiftask_jupyter` registers the magics `%%swiftask` and `%swiftask`. `Swiftask` is the
client class for scripts; the magics use it too. `Sandbox` is a local server, for trying this
package without the service. Each public name is imported from its module when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from swiftask_jupyter.answers.answer import Answer
    from swiftask_jupyter.answers.turn import Delta, Finish, Turn, Usage
    from swiftask_jupyter.client import Swiftask
    from swiftask_jupyter.conversation.running_turn import Stream
    from swiftask_jupyter.conversation.session import Session
    from swiftask_jupyter.notebook.compare import Comparison
    from swiftask_jupyter.notebook.panel.panel import ChatPanel
    from swiftask_jupyter.sandbox import Fault, Sandbox
    from swiftask_jupyter.turns.budget import Budget
    from swiftask_jupyter.turns.request_preview import RequestPreview
    from swiftask_jupyter.usage.notebooks import usage_from_notebooks

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "Budget",
    "ChatPanel",
    "Comparison",
    "Delta",
    "Fault",
    "Finish",
    "RequestPreview",
    "Sandbox",
    "Session",
    "Stream",
    "Swiftask",
    "Turn",
    "Usage",
    "errors",
    "load_ipython_extension",
    "unload_ipython_extension",
    "usage_from_notebooks",
]

_HOMES = {
    "Answer": "answers.answer",
    "Budget": "turns.budget",
    "ChatPanel": "notebook.panel.panel",
    "Comparison": "notebook.compare",
    "Delta": "answers.turn",
    "Fault": "sandbox",
    "Finish": "answers.turn",
    "RequestPreview": "turns.request_preview",
    "Sandbox": "sandbox",
    "Session": "conversation.session",
    "Stream": "conversation.running_turn",
    "Swiftask": "client",
    "Turn": "answers.turn",
    "Usage": "answers.turn",
    "usage_from_notebooks": "usage.notebooks",
}


def __getattr__(name: str) -> object:
    if name == "errors":
        return import_module(f"{__name__}.errors")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics; called by `%load_ext swiftask_jupyter`."""
    from swiftask_jupyter.notebook.magics import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Unregister the magics and close the client; called by `%unload_ext swiftask_jupyter`."""
    from swiftask_jupyter.notebook.magics import unload

    unload(shell)
