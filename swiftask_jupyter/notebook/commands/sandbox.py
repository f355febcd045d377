"""`%swiftask sandbox`: ask the local server, until `off`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from IPython.core.error import UsageError

if TYPE_CHECKING:
    from swiftask_jupyter.notebook.magics import SwiftaskMagics

SAID = "%swiftask sandbox"


def sandbox(magics: SwiftaskMagics, word: str = "") -> None:
    """Start the sandbox, if none runs, and ask it from now on; with `off`, end it.

    Raises:
        UsageError: it is another word.
        ConfigurationError: what the sandbox needs is not installed.
    """
    if word not in {"", "off"}:
        raise UsageError(f"sandbox takes off or nothing, not {word!r}")
    if word:
        _end(magics)
    else:
        _begin(magics)


def asked(magics: SwiftaskMagics) -> bool:
    """Tell whether it is the sandbox that is asked where a cell names nothing else."""
    return magics.client.wanted.by.get("base_url") == SAID


def _begin(magics: SwiftaskMagics) -> None:
    from swiftask_jupyter.errors import ConfigurationError
    from swiftask_jupyter.notebook.magics import CHOICES
    from swiftask_jupyter.sandbox.model import missing
    from swiftask_jupyter.sandbox.server import Sandbox
    from swiftask_jupyter.settings.connection import ConnectionOverrides

    if magics.sandbox is None:
        try:
            magics.sandbox = Sandbox().start()
        except ModuleNotFoundError as error:
            raise ConfigurationError(str(error)) from None
    box, reason = magics.sandbox, missing()
    agent = "lorem" if reason else "smollm2"
    for name in CHOICES:
        setattr(magics, name, "")  # what is said last counts, and %config hears only of changes
    by = dict.fromkeys(("base_url", "token", "agent", "dialect"), SAID)
    magics.client.wanted = ConnectionOverrides(box.url, box.token, agent, "auto", by=by)
    magics.client.warm()
    print(f"sandbox at {box.url}; {agent} answers where a cell names no agent, echo and slow too")
    if reason:
        print(f"no real model: {reason}")


def _end(magics: SwiftaskMagics) -> None:
    from swiftask_jupyter.settings.connection import ConnectionOverrides

    if magics.sandbox is None:
        raise UsageError("no sandbox runs here")
    if asked(magics):  # else something else was said since
        magics.client.wanted = ConnectionOverrides()
    magics.sandbox.stop()
    magics.sandbox = None
    print("the sandbox has ended; what the environment and your files say counts again")
