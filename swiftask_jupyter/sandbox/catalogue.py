"""Serve the public catalogue of agents: GET /public/bots, which needs no token."""

from .handler import DialectHandler, Route
from .state import SandboxState


def routes(state: SandboxState) -> list[Route]:
    """Return the tornado route for GET /public/bots."""
    return [(r"/public/bots", CatalogueHandler, {"state": state})]


class CatalogueHandler(DialectHandler):
    """Tornado request handler for GET /public/bots, which sends the agents as a JSON array.

    The key `isChatLMM` is spelled as on the real service.
    """

    async def get(self) -> None:
        """Send the `slug`, `name` and `isChatLMM` of each agent whose `listed` is True."""
        if await self.respond_fault(self.take_fault()):
            return
        self.respond_json(
            [
                {"slug": slug, "name": agent.name or slug, "isChatLMM": agent.chat}
                for slug, agent in self.state.agents.items()
                if agent.listed
            ]
        )
