"""`doctor`: is everything there that an answer needs, and does it really stream?"""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlsplit

from swiftask_jupyter.answers.reply import has_text
from swiftask_jupyter.client import Swiftask
from swiftask_jupyter.errors import ConfigurationError, ConnectionFailed, SwiftaskError
from swiftask_jupyter.settings.addresses import is_loopback
from swiftask_jupyter.settings.connection import Connection, shown
from swiftask_jupyter.support.sanitize import in_line
from swiftask_jupyter.support.structs import Struct
from swiftask_jupyter.support.wording import quantity

QUESTION = "Count from 1 to 30 in words, one a line."


class Finding(Struct, frozen=True):
    """One thing looked at.

    Attributes:
        well: whether it is as it should be; `None` where that can't be told.
        about: what was looked at.
        says: what was found, and what to do.
    """

    well: bool | None
    about: str
    says: str

    def __str__(self) -> str:
        mark = {True: "ok  ", False: "FAIL", None: "    "}[self.well]
        return f"{mark} {self.about:<11} {in_line(self.says)}"


def examine(client: Swiftask) -> Iterator[Finding]:
    """Look at the settings, the ledger, the network, the token, the agent and the stream.

    The last three ask the agent one short question, which counts as any other call.
    """
    try:
        connection = client.connection()
    except ConfigurationError as error:
        yield Finding(well=False, about="settings", says=str(error))
        return
    for name, value, origin in shown(connection):
        yield Finding(well=None, about=name, says=f"{value}  ({origin})")
    yield _ledger(client)
    yield Finding(well=None, about="proxy", says=proxy_for(connection.root("/v1")))
    yield _network(client, connection)
    if connection.token and connection.agent:
        yield from _answer(client)
    else:
        missing = "token" if not connection.token else "agent"
        says = f"not asked: no {missing}; see above for where it can be set"
        yield Finding(well=False, about="answer", says=says)


def proxy_for(url: str) -> str:
    """Return which proxy requests to that address pass, in words, without its password."""
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
        named.port  # noqa: B018 - reading it is what fails
    except ValueError:
        return "set to what is no address; see HTTPS_PROXY, HTTP_PROXY and ALL_PROXY"
    return f"{named.hostname}:{named.port}" if named.port else str(named.hostname)


def _ledger(client: Swiftask) -> Finding:
    try:
        count = int(client.usage("status")["calls"].sum())
    except SwiftaskError as error:
        return Finding(well=False, about="ledger", says=str(error))
    return Finding(well=True, about="ledger", says=f"{client.store}, {quantity(count, 'call')}")


def _network(client: Swiftask, connection: Connection) -> Finding:
    start = time.perf_counter()
    try:
        agents = client.catalogue()
    except ConnectionFailed as error:
        return Finding(well=False, about="catalogue", says=str(error))
    except SwiftaskError as error:  # not every service has one
        says = f"{error}; agents can be asked without one"
        return Finding(well=None, about="catalogue", says=says)
    took = time.perf_counter() - start
    says = f"{len(agents)} agents in {took:.2f} s"
    if (slug := connection.agent) and all(agent.slug != slug for agent in agents):
        says += f"; {slug} is not among them, as private agents are not"
    return Finding(well=True, about="catalogue", says=says)


def _answer(client: Swiftask) -> Iterator[Finding]:
    """Ask once, and see how the answer comes."""
    arrivals: list[float] = []
    try:
        stream = client.stream(QUESTION, cache="off")  # a ledger that can't be used says so here
        arrivals.extend(time.perf_counter() for each in stream.batches() if has_text(each or ()))
    except SwiftaskError as error:
        yield Finding(well=False, about="answer", says=str(error))
        return
    reply = stream.reply
    first = reply.first_token_seconds
    says = f"{reply.agent} by {reply.dialect}, {reply.seconds:.2f} s"
    yield Finding(well=bool(reply.text.strip() or reply.files), about="answer", says=says)
    by_design = next((each for each in reply.remarks if "streams" in each), None)
    if not reply.streams:
        yield Finding(well=None, about="streaming", says=f"{reply.dialect} does not stream")
    elif len(arrivals) > 1:
        spread = arrivals[-1] - arrivals[0]
        says = f"first text after {first:.2f} s, then {len(arrivals)} pieces in {spread:.2f} s"
        yield Finding(well=True, about="streaming", says=says)
    elif by_design:
        yield Finding(well=None, about="streaming", says=by_design)
    else:
        says, here = "the whole answer came in one piece", is_loopback(client.connection().host)
        says += "" if here else ": a proxy may be holding it back"
        yield Finding(well=None if here else False, about="streaming", says=says)
