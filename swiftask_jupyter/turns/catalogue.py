"""Which agents there are: `GET /public/bots`, which needs no key.

The list is advice. A workspace's private agents are not expected in it, so a slug that is not
there may still be asked.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec

from swiftask_jupyter.errors import SwiftaskError
from swiftask_jupyter.protocols.base import Request
from swiftask_jupyter.support.structs import Struct
from swiftask_jupyter.transport.client import Transport

# A prompt waits no longer than this to learn what kind of agent it asks.
PATIENCE = 3.0
PAUSE = 60.0  # seconds before a list that could not be had is asked for again


class Agent(Struct, frozen=True):
    """An agent of the catalogue.

    Attributes:
        slug: its name in a request, exactly as the platform spells it.
        name: its name for people.
        chat: whether it answers as a chat agent (`isChatLMM`); `None` where it isn't said.
    """

    slug: str
    name: str
    chat: bool | None


class Catalogue:
    """The agents of each service, fetched once."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._tasks: dict[str, asyncio.Task[tuple[Agent, ...]]] = {}
        self._missed: dict[str, float] = {}

    async def agents(self, root: str) -> tuple[Agent, ...]:
        """Return the agents of the service whose public routes begin there; cached.

        Raises:
            SwiftaskError: the list can't be had.
        """
        task = self._tasks.get(root)
        if task is None or _is_over(task):
            task = self._tasks[root] = asyncio.ensure_future(self._fetch(root))
        return await asyncio.shield(task)  # one prompt that gives up does not end it for all

    def known(self, root: str) -> tuple[Agent, ...] | None:
        """Return the agents if they have been fetched; may be called on any thread."""
        task = self._tasks.get(root)
        if task is None or not task.done() or task.cancelled() or task.exception() is not None:
            return None
        return task.result()

    async def chats(self, root: str, slug: str) -> bool | None:
        """Tell whether the agent is a chat agent; `None` where that can't be learnt soon."""
        return next((agent.chat for agent in await self.soon(root) if agent.slug == slug), None)

    async def soon(self, root: str) -> tuple[Agent, ...]:
        """Return the agents; none where they can't be had soon.

        A list that could not be had is not asked for again before each prompt.
        """
        now = time.monotonic()
        if now < self._missed.get(root, now):
            return ()
        try:
            async with asyncio.timeout(PATIENCE):
                return await self.agents(root)
        except (TimeoutError, SwiftaskError):
            self._missed[root] = now + PAUSE
            return ()

    async def _fetch(self, root: str) -> tuple[Agent, ...]:
        request = Request("GET", f"{root}/bots", {"Accept": "application/json"})
        head, body = await self._transport.fetch(request)
        if head.status != 200:
            raise SwiftaskError(f"the catalogue answered {head.status}")
        try:
            return tuple(_agents(msgspec.json.decode(body)))
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            raise SwiftaskError("the catalogue is not JSON") from None


def _is_over(task: asyncio.Task[Any]) -> bool:
    """Tell whether a fetch failed, or belongs to a loop that is gone: then it is made again."""
    if task.get_loop() is not asyncio.get_running_loop():
        return True
    return task.done() and (task.cancelled() or task.exception() is not None)


def _agents(value: Any) -> list[Agent]:
    """Read the list, which was seen bare and under `data`; what has no slug is passed over."""
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
