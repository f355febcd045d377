"""The public catalogue: GET /public/bots, without a key."""

from .handler import DialectHandler, Route
from .state import SandboxState


def routes(room: SandboxState) -> list[Route]:
    """Where the catalogue is found."""
    return [(r"/public/bots", CatalogueHandler, {"room": room})]


class CatalogueHandler(DialectHandler):
    """A bare array; `isChatLMM` is spelt so by the service (measured)."""

    async def get(self) -> None:
        """Lists this sandbox's agents."""
        if await self.misbehave(self.fault()):
            return
        agents = [each for each in self.room.agents.items() if each[1].listed]
        self.give([{"slug": s, "name": a.name or s, "isChatLMM": a.chat} for s, a in agents])
