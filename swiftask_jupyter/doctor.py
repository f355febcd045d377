"""The command `doctor`: checks settings, ledger, network, token, agent and streaming."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlsplit

from swiftask_jupyter.answers.turn import has_text
from swiftask_jupyter.client import Swiftask
from swiftask_jupyter.errors import ConfigurationError, ConnectionFailed, SwiftaskError
from swiftask_jupyter.settings.connection import OPENAI_ROOT, SWIFTASK_ROOT, Connection, is_loopback
from swiftask_jupyter.support.sanitize import sanitize_line
from swiftask_jupyter.support.structs import Struct
from swiftask_jupyter.support.wording import quantity

QUESTION = "Count from 1 to 30 in words, one a line."


class Finding(Struct, frozen=True):
    """The result of one check of the command `doctor`.

    Attributes:
        ok: whether the check passed; `None` for information that is neither right nor wrong.
        subject: the name of the check.
        text: the result. After a failure, the text also says how to correct the problem.
    """

    ok: bool | None
    subject: str
    text: str

    def __str__(self) -> str:
        mark = {True: "ok  ", False: "FAIL", None: "    "}[self.ok]
        return f"{mark} {self.subject:<11} {sanitize_line(self.text)}"


def diagnose(client: Swiftask) -> Iterator[Finding]:
    """Run all checks, and yield the result of each check as soon as it is known.

    Invalid settings end the checks. To check the token, the agent and streaming, one short question
    is sent to the agent. This call is billed and recorded like any other call.
    """
    try:
        connection = client.connections.resolve()
    except ConfigurationError as error:
        yield Finding(ok=False, subject="settings", text=str(error))
        return
    for name, value, origin in describe_settings(connection):
        yield Finding(ok=None, subject=name, text=f"{value}  ({origin})")
    yield _check_ledger(client)
    yield Finding(ok=None, subject="proxy", text=describe_proxy(connection.root("/v1")))
    yield _check_catalogue(client, connection)
    if connection.token and connection.agent:
        yield from _check_answer(client)
    else:
        missing = "token" if not connection.token else "agent"
        text = f"not asked: no {missing}; see above for where it can be set"
        yield Finding(ok=False, subject="answer", text=text)


def describe_proxy(url: str) -> str:
    """Return the host and port of the proxy for requests to a URL, without the proxy's password.

    If requests go directly to the server, return a text that begins with `none`.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host):
        return "none: loopback is asked directly"
    if urllib.request.proxy_bypass(host):
        return f"none: NO_PROXY names {host}"
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy:
        return "none"
    try:
        named = urlsplit(proxy if "//" in proxy else f"//{proxy}")
        named.port  # noqa: B018 - reading an invalid port raises
    except ValueError:
        return "set to what is no address; see HTTPS_PROXY, HTTP_PROXY and ALL_PROXY"
    return f"{named.hostname}:{named.port}" if named.port else str(named.hostname)


def _check_ledger(client: Swiftask) -> Finding:
    try:
        count = int(client.usage("status", sandbox=True)["calls"].sum())
    except SwiftaskError as error:
        return Finding(ok=False, subject="ledger", text=str(error))
    return Finding(ok=True, subject="ledger", text=f"{client.store}, {quantity(count, 'call')}")


def _check_catalogue(client: Swiftask, connection: Connection) -> Finding:
    start = time.perf_counter()
    try:
        agents = client.connections.catalogue()
    except ConnectionFailed as error:
        return Finding(ok=False, subject="catalogue", text=str(error))
    except SwiftaskError as error:  # not every service has a catalogue
        text = f"{error}; agents can be asked without one"
        return Finding(ok=None, subject="catalogue", text=text)
    seconds = time.perf_counter() - start
    text = f"{len(agents)} agents in {seconds:.2f} s"
    if (slug := connection.agent) and all(agent.slug != slug for agent in agents):
        text += f"; {slug} is not among them, as private agents are not"
    return Finding(ok=True, subject="catalogue", text=text)


def _check_answer(client: Swiftask) -> Iterator[Finding]:
    """Ask the agent one question; yield a finding about the answer and one about streaming.

    After an error, yield only a finding with the error.
    """
    arrivals: list[float] = []
    try:
        stream = client.stream(QUESTION, cache="off")  # raises if the ledger is unusable
        arrivals.extend(time.perf_counter() for each in stream.batches() if has_text(each or ()))
    except SwiftaskError as error:
        yield Finding(ok=False, subject="answer", text=str(error))
        return
    reply = stream.reply
    first = reply.first_token_seconds
    text = f"{reply.agent} by {reply.dialect}, {reply.seconds:.2f} s"
    yield Finding(ok=bool(reply.text.strip() or reply.files), subject="answer", text=text)
    no_stream_reason = next((each for each in reply.remarks if "streams" in each), None)
    if not reply.streams:
        yield Finding(ok=None, subject="streaming", text=f"{reply.dialect} does not stream")
    elif len(arrivals) > 1:
        spread = arrivals[-1] - arrivals[0]
        text = f"first text after {first:.2f} s, then {len(arrivals)} pieces in {spread:.2f} s"
        yield Finding(ok=True, subject="streaming", text=text)
    elif no_stream_reason:
        yield Finding(ok=None, subject="streaming", text=no_stream_reason)
    else:
        text, here = (
            "the whole answer came in one piece",
            is_loopback(client.connections.resolve().host),
        )
        text += "" if here else ": a proxy may be holding it back"
        yield Finding(ok=None if here else False, subject="streaming", text=text)


def describe_settings(connection: Connection) -> Iterator[tuple[str, str, str]]:
    """Yield three texts for each setting: name, value and origin.

    The origin says where the setting was set. For the token, the value is only `set` or `none`.
    """
    values = {
        "connection": connection.name or "default",
        "base_url": connection.base_url or f"{SWIFTASK_ROOT}, {OPENAI_ROOT}/v1",
        "token": "set" if connection.token else "none",
        "agent": connection.agent or "none",
        "dialect": connection.dialect,
    }
    for name, value in values.items():
        yield name, value, connection.origins.get(name, "default")
