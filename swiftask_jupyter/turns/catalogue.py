"""The catalogue of a service's public agents: `GET /public/bots`, which needs no token.

The catalogue is only a hint. Private agents of a workspace are not in it, so an agent that it does
not list can still be asked.
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

# How long a prompt waits for the catalogue, in seconds.
TIMEOUT_SECONDS = 3.0
# How long a prompt does not wait for a catalogue again after it could not be fetched.
RETRY_AFTER_SECONDS = 60.0


class Agent(Struct, frozen=True):
    """An agent of the catalogue.

    Attributes:
        slug: the name in a request, exactly as the platform spells it.
        name: the name for people.
        chat: whether it is a chat agent (`isChatLMM`), or `None` if the catalogue does not say.
    """

    slug: str
    name: str
    chat: bool | None


class Catalogue:
    """Fetches the catalogue of each service once.

    A `root` is the address of the service's public routes, such as `https://host/public`.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._tasks: dict[str, asyncio.Task[tuple[Agent, ...]]] = {}
        self._retry_at: dict[str, float] = {}

    async def agents(self, root: str) -> tuple[Agent, ...]:
        """Return the agents of a service; fetched on the first call, and again after a failure.

        Raises:
            SwiftaskError: the catalogue cannot be fetched.
        """
        task = self._tasks.get(root)
        if task is None or _must_refetch(task):
            task = self._tasks[root] = asyncio.ensure_future(self._fetch(root))
        return await asyncio.shield(task)  # others may be waiting for it when one caller gives up

    def fetched_agents(self, root: str) -> tuple[Agent, ...] | None:
        """Return the agents if they are fetched already, else `None`; callable from any thread."""
        task = self._tasks.get(root)
        if task is None or not task.done() or task.cancelled() or task.exception() is not None:
            return None
        return task.result()

    async def agents_if_available(self, root: str) -> tuple[Agent, ...]:
        """Return the agents, or an empty tuple if they cannot be fetched within 3 seconds.

        After a failure, it returns an empty tuple for one minute without asking the service.
        """
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
        """Tell whether the agent is a chat agent; `None` if the catalogue does not say in time."""
        agents = await self.agents_if_available(root)
        return next((agent.chat for agent in agents if agent.slug == slug), None)

    async def _fetch(self, root: str) -> tuple[Agent, ...]:
        request = Request("GET", f"{root}/bots", {"Accept": "application/json"})
        head, body = await self._transport.fetch(request)
        if head.status != 200:
            raise SwiftaskError(f"the catalogue answered {head.status}")
        try:
            return tuple(_parse_agents(msgspec.json.decode(body)))
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            raise SwiftaskError("the catalogue is not JSON") from None


def _must_refetch(task: asyncio.Task[Any]) -> bool:
    """Tell whether a fetch failed, or belongs to a loop that was closed."""
    if task.get_loop() is not asyncio.get_running_loop():
        return True
    return task.done() and (task.cancelled() or task.exception() is not None)


def _parse_agents(value: Any) -> list[Agent]:
    """Parse the list, which services return bare or under `data`; skip entries without a slug."""
    entries = value.get("data") if isinstance(value, dict) else value
    agents = []
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and isinstance(slug := entry.get("slug"), str) and slug:
            chat, name = entry.get("isChatLMM"), entry.get("name")
            agents.append(
                Agent(
                    slug,
                    name if isinstance(name, str) else slug,
                    chat if isinstance(chat, bool) else None,
                )
            )
    return agents
