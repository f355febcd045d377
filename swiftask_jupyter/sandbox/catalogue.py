"""The public catalogue of agents: GET /public/bots, without a token."""

from .handler import DialectHandler, Route
from .state import SandboxState


def routes(state: SandboxState) -> list[Route]:
    """Return the route of GET /public/bots."""
    return [(r"/public/bots", CatalogueHandler, {"state": state})]


class CatalogueHandler(DialectHandler):
    """Handler of GET /public/bots: a JSON array; the key `isChatLMM` is spelt as measured."""

    async def get(self) -> None:
        """Respond with the slug, the name and `isChatLMM` of each listed agent."""
        if await self.respond_fault(self.take_fault()):
            return
        self.respond_json(
            [
                {"slug": slug, "name": agent.name or slug, "isChatLMM": agent.chat}
                for slug, agent in self.state.agents.items()
                if agent.listed
            ]
        )
