"""The commands `%swiftask`, `config`, `login`, `doctor` and `client`.

`%swiftask` without a command's name shows the status. `config` shows the settings. `login` stores a
token. `doctor` checks the settings and the connection. `client` returns the client.
"""

from __future__ import annotations

import os

from IPython.core.error import StdinNotImplementedError, UsageError

from swiftask_jupyter.notebook.commands import Command
from swiftask_jupyter.notebook.commands.sandbox import is_asked
from swiftask_jupyter.notebook.context import NotebookContext
from swiftask_jupyter.support.sanitize import sanitize_line


def _status(context: NotebookContext) -> None:
    client = context.client
    connection = client.connections.resolve()
    where = "the sandbox, at " if is_asked(context) else ""
    rows = {
        "agent": connection.agent or "none named: %%swiftask my-agent",
        "dialect": connection.dialect,
        "sends to": where + connection.root(""),
        "token": "set" if connection.token else "none: try %swiftask sandbox",
        "notebook": client.notebook or "not known",
        "session": client.session().id,
        "ledger": str(client.store),
    }
    print("\n".join(f"{name:<9} {sanitize_line(value)}" for name, value in rows.items()))


def _config(context: NotebookContext) -> None:
    from swiftask_jupyter.doctor import describe_settings

    client, settings = context.client, context.settings
    limit, no_texts = settings.history_limit, client.connections.no_texts_origin()
    others = (
        ("cache", client.runtime.cache, _origin("SWIFTASK_CACHE", settings.cache)),
        ("history_limit", str(limit or "all"), _origin("", limit)),
        (
            "share_history",
            "on" if settings.share_history else "off",
            _origin("", settings.share_history),
        ),
        ("keep_texts", "off" if no_texts else "on", no_texts or "default"),
        ("nested", "on" if settings.nested else "off", _origin("", settings.nested)),
        ("store", str(client.store), _origin("SWIFTASK_STORE", "")),
    )
    for name, value, origin in (*describe_settings(client.connections.resolve()), *others):
        print(f"{name:<13} {sanitize_line(value)}  ({sanitize_line(origin)})")


def _origin(variable: str, configured: object) -> str:
    """Return the origin of a setting's value as text, such as `default`.

    The function is only for settings that no file can set.

    Args:
        variable: the environment variable of the setting; empty for a setting without one.
        configured: the value from `%config`; a false value means that `%config` set no value.
    """
    if configured:
        return "%config SwiftaskMagics"
    return f"{variable} in the environment" if os.environ.get(variable) else "default"


def _login(context: NotebookContext) -> None:
    if is_asked(context):
        raise UsageError("the sandbox needs no token; for your own: %swiftask sandbox off, first")
    host = context.client.connections.login_host()
    token = _read_token(f"token for {host}: ")
    if not token.strip():
        raise UsageError("no token was typed; nothing is changed")
    in_keyring = context.client.connections.login(token)
    print(f"kept for {host}, {'in the keyring' if in_keyring else 'until this kernel ends'}")
    origin = context.client.connections.resolve().origins.get("token", "")
    if origin != "login":  # a token from a source of higher precedence, maybe an old one
        print(f"but {origin} counts before it: unset that to use what you typed")


def _read_token(prompt: str) -> str:
    """Ask the user for a token without showing the typed characters, and return the token.

    Raises:
        ConfigurationError: the front end can't ask the user for input.
        Interrupted: the user interrupted the input.
    """
    from getpass import getpass

    from swiftask_jupyter.errors import ConfigurationError, Interrupted

    try:
        return getpass(prompt)
    except (EOFError, StdinNotImplementedError):
        advice = "set SWIFTASK_API_KEY"
        raise ConfigurationError("nobody can type here", advice=advice) from None
    except KeyboardInterrupt:
        raise Interrupted("stopped; no token was typed, nothing is changed") from None


def _doctor(context: NotebookContext) -> None:
    from swiftask_jupyter.doctor import diagnose

    for finding in diagnose(context.client):
        print(finding)


def _client(context: NotebookContext) -> object:
    return context.client


STATUS = Command(_status, (("", "which agent is asked, where, and with which token"),))
COMMANDS = {
    "config": Command(_config, (("config", "each setting and where its value comes from"),)),
    "login": Command(
        _login, (("login", "type a token in, unseen; kept in the keyring if there is one"),)
    ),
    "doctor": Command(
        _doctor, (("doctor", "check settings, network, token, agent and streaming"),)
    ),
    "client": Command(
        _client, (("client", "the client, for Python: swiftask = %swiftask client"),)
    ),
}
