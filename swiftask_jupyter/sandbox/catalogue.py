"""Serve the public catalogue of agents: GET /public/bots. No token is needed."""

from .handler import DialectHandler, Route
from .state import SandboxState


def routes(state: SandboxState) -> list[Route]:
    """Return the tornado route for GET /public/bots."""
    return [(r"/public/bots", CatalogueHandler, {"state": state})]


class CatalogueHandler(DialectHandler):
    """Tornado request handler that sends the catalogue of agents: GET /public/bots.

    The response is a JSON array with one object per agent. The spelling of the key `isChatLMM` is
    copied from the real service.
    """

    async def get(self) -> None:
        """Send the `slug`, `name` and `isChatLMM` of each agent that has `listed=True`."""
        if await self.respond_fault(self.take_fault()):
            return
        self.respond_json(
            [
                {"slug": slug, "name": agent.name or slug, "isChatLMM": agent.chat}
                for slug, agent in self.state.agents.items()
                if agent.listed
            ]
        )
