"""Reads the options of `Swiftask.purge` and `%swiftask purge`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from swiftask_jupyter.conversation.session import Session
from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.options import PurgeOptions, check_known
from swiftask_jupyter.usage.query import parse_since


def purge_scope(
    options: Mapping[str, Any], names: Sequence[str], session: Callable[[str], Session]
) -> dict[str, Any]:
    """Convert the options of `Swiftask.purge` to keyword arguments for `Erasure.erase`.

    Args:
        options: a dict that maps the names of the options to their values.
        names: the names of the notebook's conversations.
        session: returns the conversation with a given name.

    Raises:
        ConfigurationError: not exactly one option is given, a value is invalid, or the conversation
            does not exist.
    """
    check_known(options, PurgeOptions)
    given = {name: value for name, value in options.items() if value not in (None, False, "")}
    if len(given) != 1:
        raise ConfigurationError(
            "purge takes exactly one of session, before and everything",
            advice='such as purge(session="main"), purge(before="30d") or purge(everything=True)',
        )
    [(name, value)] = given.items()
    if name == "session":
        if not isinstance(value, str):
            raise ConfigurationError("session must be the name of a conversation, or an id")
        return {"session": _session_id(value, names, session)}
    if name == "before":
        return {"before": parse_since(value)}
    if value is not True:
        raise ConfigurationError("everything must be True", advice="purge(everything=True)")
    return {}


def _session_id(name: str, names: Sequence[str], session: Callable[[str], Session]) -> str:
    """Return the id of the session that the user named by a name or by an id.

    Args:
        name: the name of a conversation in this notebook, or the id of any session of the user.
        names: the names of the notebook's conversations.
        session: returns the conversation with a given name.

    Raises:
        ConfigurationError: there is no such session.
    """
    if name in names:
        return session(name).id
    if session(names[-1]).runtime.ledger.erasure.has_session(name):
        return name
    there_is = ", ".join(dict.fromkeys(names))
    raise ConfigurationError(f"no conversation {name!r}", advice=f"there is: {there_is}")
