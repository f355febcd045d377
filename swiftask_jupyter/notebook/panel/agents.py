"""The agents that a panel offers in its agent field."""

from __future__ import annotations

from swiftask_jupyter.errors import ConnectionFailed, SwiftaskError
from swiftask_jupyter.notebook.panel.client import PanelClient
from swiftask_jupyter.support.sanitize import sanitize

TIMEOUT = 3.0  # seconds to wait for a catalogue

AgentList = list[dict[str, str]]  # the slug and the name of each agent


class AgentCatalogue:
    """The agents of each service that the client has used, loaded once per service.

    A service without a catalogue offers no agents, which is not an error: its agents answer all the
    same.
    """

    def __init__(self, client: PanelClient) -> None:
        self._client = client
        self._by_service: dict[str, AgentList] = {}
        self._last_loaded = ""

    def known(self) -> AgentList:
        """Return the agents of the current service; empty before `load`."""
        return self._by_service.get(self._service(), [])

    def load(self) -> bool:
        """Load the agents of the current service, unless they are known.

        Returns:
            Whether `known` may return something else than before.

        Raises:
            ConnectionFailed: the service cannot be reached; the next call tries again.
        """
        service = self._service()
        if not service or service in self._by_service:
            before, self._last_loaded = self._last_loaded, service
            return before != service
        try:
            found = self._client.connections.catalogue(TIMEOUT)
        except ConnectionFailed:
            raise
        except SwiftaskError:
            found = None
        self._last_loaded = service
        if found is None:
            self._by_service[service] = []
        elif found:  # also empty after a timeout: then the next call tries again
            self._by_service[service] = [
                {"slug": sanitize(each.slug), "name": sanitize(each.name)} for each in found
            ]
        return True

    def _service(self) -> str:
        """Return the base URL of the current service; empty if none is configured."""
        try:
            return self._client.connections.resolve().root("/public")
        except SwiftaskError:
            return ""
