"""The public catalogue of agents: GET /public/bots, without a token."""

from .handler import DialectHandler, Route
from .state import SandboxState


def routes(state: SandboxState) -> list[Route]:
    """Return the route of the catalogue."""
    return [(r"/public/bots", CatalogueHandler, {"state": state})]


class CatalogueHandler(DialectHandler):
    """Lists the agents as a JSON array; the service spells its key `isChatLMM` (measured)."""

    async def get(self) -> None:
        """Send the slug, name and kind of each listed agent."""
        if await self.respond_fault(self.take_fault()):
            return
        self.respond_json(
            [
                {"slug": slug, "name": agent.name or slug, "isChatLMM": agent.chat}
                for slug, agent in self.state.agents.items()
                if agent.listed
            ]
        )
