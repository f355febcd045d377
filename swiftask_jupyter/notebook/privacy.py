"""The privacy report: what is sent where, what is kept where and how long, and how to erase it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from textwrap import wrap

from swiftask_jupyter.client import Swiftask
from swiftask_jupyter.errors import ConfigurationError, StoreError
from swiftask_jupyter.ledger.opening import outbox_of
from swiftask_jupyter.settings.connection import (
    OPENAI_ROOT,
    SWIFTASK_ROOT,
    Connection,
    is_unencrypted,
)
from swiftask_jupyter.settings.login import KEYRING_SERVICE
from swiftask_jupyter.support.sanitize import sanitize_line
from swiftask_jupyter.support.wording import quantity

WIDTH = 98
COLUMN = 13  # where the sentences begin

HOW_TO_ERASE = {
    "a turn": "%swiftask purge N",
    "a session": "%swiftask purge --session [NAME]; swiftask.purge(session=NAME)",
    "a period": "%swiftask purge --before 30d --yes; swiftask.purge(before=…)",
    "all": (
        "%swiftask purge --all --yes; swiftask.purge(everything=True). A purge erases prompts,"
        " answers, errors and comments. It keeps the counts (time, agent, cost), paths"
        " of notebooks and names of conversations; to erase those, close every kernel and delete"
        " the ledger's file"
    ),
    "notebook": "clear the outputs and the cells, save, and delete .ipynb_checkpoints",
}


def describe(client: Swiftask, input_history: Path | None = None) -> Iterator[str]:
    """Yield the lines of the privacy report. The report contains the user's present settings.

    Args:
        client: the client with the settings, the ledger and the notebook.
        input_history: the path of the file in which IPython keeps the source of each cell; `None`
            if IPython keeps no sources.
    """
    yield "Sent"
    try:
        connection = client.connections.resolve()
    except ConfigurationError as error:
        yield from _row("nothing", str(error))
    else:
        for name, text in _sent(client, connection).items():
            yield from _row(name, text)
    yield ""
    yield "Kept on this machine"
    for name, text in _kept(client, input_history).items():
        yield from _row(name, text)
    yield ""
    yield "To erase"
    for name, text in HOW_TO_ERASE.items():
        yield from _row(name, text)


def _row(name: str, text: str) -> Iterator[str]:
    margin = " " * COLUMN
    first = f"  {name}".ljust(COLUMN - 1) + " "
    yield from wrap(
        sanitize_line(text), WIDTH, initial_indent=first, subsequent_indent=margin,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _sent(client: Swiftask, connection: Connection) -> dict[str, str]:
    """Return a dict that maps headings of the report to texts about what is sent.

    The headings are `to`, `token`, `prompt`, `files`, `besides` and `then`.
    """
    origin = connection.origins.get("base_url", "the documented addresses")
    roots = connection.base_url or f"{OPENAI_ROOT} and {SWIFTASK_ROOT}"
    if connection.is_sandbox:
        roots += ", a sandbox on this machine: nothing leaves it"
    return {
        "to": f"{roots} ({origin}); agent: {connection.agent or 'the one that a prompt names'}",
        "token": _token(connection),
        "prompt": f"your text, {_history(client)}",
        "files": (
            "those that you attach (-a, files=, the panel's paper clip), to the service or to the"
            " storage address that it names"
        ),
        "besides": (
            "the list of public agents is fetched from the service without your token; ratings in"
            " the panel are sent by the dialect widget alone"
        ),
        "then": (
            "what was sent stays with the service, by its own rules, and is not erased from here"
            " (dialect widget: swiftask.widget.delete_conversation; openai: --stateless asks it to"
            " store nothing)"
        ),
    }


def _token(connection: Connection) -> str:
    if not connection.token:
        return "none"
    how = "encrypted"
    if connection.base_url is not None and is_unencrypted(connection.base_url):
        how = "NOT encrypted, which allow_http in your config.toml allows"
    elif (connection.base_url or "").lower().startswith("http:"):
        how = "on this machine"
    return f"set ({connection.origins.get('token', 'default')}); sent to {connection.host}, {how}"


def _history(client: Swiftask) -> str:
    """Return a phrase that says which earlier turns are sent together with a prompt."""
    if not client.connections.keeps_texts():
        return "and no earlier turn that was asked since texts are not kept"
    try:
        count = len(client.session().history())
    except StoreError as error:
        return f"without earlier turns: {error}"
    return (
        "with the earlier turns of the same conversation that were said at the same service"
        f" ({client.current} holds {quantity(count, 'turn')} now); --fresh, --no-history and"
        " --last N send fewer. Single questions, comparisons and rows of a batch are sent alone"
    )


def _kept(client: Swiftask, input_history: Path | None) -> dict[str, str]:
    """Return a dict that maps headings of the report to texts about what is kept.

    Each text says where some data is kept, and for how long. One heading is `ledger`.
    """
    kept = {"texts": _texts(client), "ledger": _ledger(client)}
    if (outbox := outbox_of(client.runtime.ledger.store)) is not None:
        kept["outbox"] = (
            f"{outbox.path}: {quantity(outbox.count(), 'transaction')} with what could not be"
            " written to the server yet; kept until it can be reached"
        )
    kept["notebook"] = (
        f"{client.notebook or 'the notebook'}: prompts in its cells; answers, errors, records of"
        " turns and the panel's transcript in its outputs (transcript=False: none). JupyterLab"
        " keeps a copy in .ipynb_checkpoints. Until you clear and save it"
    )
    if input_history is not None:
        kept["IPython"] = (
            f"{input_history}: the source of each cell, prompts included, until you delete it"
            " (c.HistoryManager.enabled = False in IPython's configuration: none)"
        )
    kept["token"] = _stored_token(client)
    kept["memory"] = "answers in variables and Out[n], and the panel, until the kernel ends"
    return kept


def _texts(client: Swiftask) -> str:
    if origin := client.connections.no_texts_origin():
        return (
            f"not kept ({origin}): new rows of the ledger have counts and no prompt, answer, error"
            " or comment. So a prompt is sent without the turns before it, the cache has no new"
            " answers, and a batch can't be resumed. What was kept before stays: purge it"
        )
    return (
        "kept; %config SwiftaskMagics.keep_texts = False, SWIFTASK_KEEP_TEXTS=0, or keep_texts ="
        " false in your config.toml keeps none"
    )


def _ledger(client: Swiftask) -> str:
    store = client.runtime.ledger.store
    try:
        turns, kept, oldest = client.runtime.ledger.erasure.kept()
    except StoreError as error:
        return str(error)
    since = f", the oldest of {datetime.fromtimestamp(oldest).date()}" if oldest else ""  # noqa: DTZ006 - the user's day
    held = (
        f"{quantity(turns, 'turn')} of yours, {kept} with prompt and answer{since}; with ratings,"
        " comments, paths of notebooks and names of conversations, until you erase them"
    )
    return f"{store}, {_readers(store.path)}: {held}"


def _readers(path: Path | None) -> str:
    """Return a phrase that says who can read the ledger.

    Args:
        path: the path of the ledger's file; `None` if the ledger is on a server.
    """
    if path is None:
        return "a server: whoever has its password can read it"
    if os.name == "posix" and path.stat().st_mode & 0o077:
        return f"which others on this machine can read (chmod 600 {path})"
    return "readable by you alone"


def _stored_token(client: Swiftask) -> str:
    try:
        stored, host = client.connections.stored_login()
    except ConfigurationError as error:
        return str(error)
    if not stored:
        return "none is stored by %swiftask login for this address"
    return (
        f"of %swiftask login, in the system's keyring or, without one, until the kernel ends;"
        f" to erase: python -m keyring del {KEYRING_SERVICE} {host}"
    )
