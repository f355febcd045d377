"""Run the commands `%swiftask sandbox` and `%swiftask sandbox off`.

`%swiftask sandbox` starts a local test server and makes cells send their prompts to this server.
`%swiftask sandbox off` stops the server.
"""

from __future__ import annotations

from IPython.core.error import UsageError

from swiftask_jupyter.notebook.commands import Command
from swiftask_jupyter.notebook.context import CONNECTION_SETTINGS, NotebookContext

ORIGIN = "%swiftask sandbox"  # the origin that is shown for settings made by this command


def _sandbox(context: NotebookContext, word: str = "") -> None:
    if word not in {"", "off"}:
        raise UsageError(f"sandbox takes off or nothing, not {word!r}")
    if word:
        _stop(context)
    else:
        _start(context)


def is_asked(context: NotebookContext) -> bool:
    """Return whether cells send their prompts to the sandbox, the local test server.

    The result applies to cells without the option `--connection`.
    """
    return context.client.connections.overrides.origins.get("base_url") == ORIGIN


def _start(context: NotebookContext) -> None:
    from swiftask_jupyter.errors import ConfigurationError
    from swiftask_jupyter.sandbox.model_weights import unmet_requirement
    from swiftask_jupyter.sandbox.server import Sandbox
    from swiftask_jupyter.settings.connection import ConnectionOverrides

    if context.sandbox is None:
        try:
            context.sandbox = Sandbox().start()
        except ModuleNotFoundError as error:
            raise ConfigurationError(str(error)) from None
    box, no_model = context.sandbox, unmet_requirement()
    agent = "lorem" if no_model else "smollm2"
    context.reset_settings(*CONNECTION_SETTINGS)
    origins = dict.fromkeys(("base_url", "token", "agent", "dialect"), ORIGIN)
    context.client.connections.overrides = ConnectionOverrides(
        box.url, box.token, agent, "auto", origins=origins
    )
    context.client.warm()
    print(f"sandbox at {box.url}; {agent} answers where a cell names no agent, echo and slow too")
    if no_model:
        print(f"no real model: {no_model}")


def _stop(context: NotebookContext) -> None:
    from swiftask_jupyter.settings.connection import ConnectionOverrides

    if context.sandbox is None:
        raise UsageError("no sandbox runs here")
    if is_asked(context):  # a later `%config` may have replaced the sandbox
        context.client.connections.overrides = ConnectionOverrides()
    context.sandbox.stop()
    context.sandbox = None
    print("the sandbox has ended; what the environment and your files say counts again")


COMMANDS = {
    "sandbox": Command(
        _sandbox,
        (("sandbox [off]", "a local server to try it with: agents echo, lorem, slow, smollm2"),),
        0,
        1,
    ),
}
