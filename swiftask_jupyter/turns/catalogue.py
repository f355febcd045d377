"""The catalogue of a service's public agents: `GET /public/bots`, which needs no token.

The catalogue is incomplete: it does not list the private agents of a workspace. So a prompt may be
sent to an agent that is not in the catalogue.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec

from swiftask_jupyter.errors import SwiftaskError
from swiftask_jupyter.protocols.http import Request
from swiftask_jupyter.support.structs import Struct
from swiftask_jupyter.transport.client import Transport

# How many seconds a prompt waits for the catalogue.
TIMEOUT_SECONDS = 3.0
# For how many seconds after a failure prompts do not wait for the catalogue.
RETRY_AFTER_SECONDS = 60.0


class CatalogueAgent(Struct, frozen=True):
    """One agent that the catalogue lists.

    Attributes:
        slug: the agent's identifier in requests, exactly as the platform spells it.
        name: the agent's name to show to users.
        chat: whether the agent is a chat agent (field `isChatLMM`); `None` if the catalogue does
            not contain this field.
    """

    slug: str
    name: str
    chat: bool | None


class Catalogue:
    """Fetches the catalogue of each service and keeps it in memory.

    The argument `root` of the methods is the URL of a service's public routes, such as
    `https://host/public`.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._tasks: dict[str, asyncio.Task[tuple[CatalogueAgent, ...]]] = {}
        self._retry_at: dict[str, float] = {}

    async def agents(self, root: str) -> tuple[CatalogueAgent, ...]:
        """Return the public agents of a service.

        The first call fetches the agents. A later call fetches them again if the last fetch failed.

        Raises:
            SwiftaskError: the catalogue cannot be fetched.
        """
        task = self._tasks.get(root)
        if task is None or _must_refetch(task):
            task = self._tasks[root] = asyncio.ensure_future(self._fetch(root))
        return await asyncio.shield(task)  # other callers may be waiting too

    def fetched_agents(self, root: str) -> tuple[CatalogueAgent, ...] | None:
        """Return the public agents of a service if they are in memory, otherwise `None`.

        No request is sent. May be called on any thread.
        """
        task = self._tasks.get(root)
        if task is None or not task.done() or task.cancelled() or task.exception() is not None:
            return None
        return task.result()

    async def agents_if_available(self, root: str) -> tuple[CatalogueAgent, ...]:
        """Return the public agents, or an empty tuple if they cannot be fetched within 3 seconds.

        After a failure or a timeout, no request is sent for one minute. During this minute, the
        result is an empty tuple, unless a fetch has succeeded after the timeout.
        """
        if (fetched := self.fetched_agents(root)) is not None:
            return fetched  # perhaps after an earlier caller had stopped waiting
        now = time.monotonic()
        if now < self._retry_at.get(root, now):
            return ()
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await self.agents(root)
        except (TimeoutError, SwiftaskError):
            self._retry_at[root] = now + RETRY_AFTER_SECONDS
            return ()

    async def is_chat_agent(self, root: str, slug: str) -> bool | None:
        """Return whether an agent is a chat agent, according to the catalogue.

        Return `None` if the catalogue does not list the agent, does not say whether it is a chat
        agent, or cannot be fetched in time.
        """
        agents = await self.agents_if_available(root)
        return next((agent.chat for agent in agents if agent.slug == slug), None)

    async def _fetch(self, root: str) -> tuple[CatalogueAgent, ...]:
        request = Request("GET", f"{root}/bots", {"Accept": "application/json"})
        head, body = await self._transport.fetch(request)
        if head.status != 200:
            raise SwiftaskError(f"the catalogue answered {head.status}")
        try:
            return tuple(_parse_agents(msgspec.json.decode(body)))
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            raise SwiftaskError("the catalogue is not JSON") from None


def _must_refetch(task: asyncio.Task[Any]) -> bool:
    """Return whether the task of the last fetch is unusable, so that a new fetch is needed.

    A task is unusable if it failed, was cancelled, or belongs to another event loop.
    """
    if task.get_loop() is not asyncio.get_running_loop():
        return True
    return task.done() and (task.cancelled() or task.exception() is not None)


def _parse_agents(value: Any) -> list[CatalogueAgent]:
    """Return the agents in the decoded response of the catalogue.

    The response is a list of agents, or an object with a list of agents under `data`. Entries
    without a slug are skipped.
    """
    entries = value.get("data") if isinstance(value, dict) else value
    agents = []
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and isinstance(slug := entry.get("slug"), str) and slug:
            chat, name = entry.get("isChatLMM"), entry.get("name")
            agents.append(
                CatalogueAgent(
                    slug,
                    name if isinstance(name, str) else slug,
                    chat if isinstance(chat, bool) else None,
                )
            )
    return agents
