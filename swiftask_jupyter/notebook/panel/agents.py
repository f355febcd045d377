"""The list of agents from which the user can choose in a chat panel."""

from __future__ import annotations

from swiftask_jupyter.errors import ConnectionFailed, SwiftaskError
from swiftask_jupyter.notebook.panel.client import PanelClient
from swiftask_jupyter.support.sanitize import sanitize

TIMEOUT = 3.0  # seconds to wait for a catalogue

AgentList = list[dict[str, str]]  # the slug and the name of each agent


class AgentChoices:
    """The agents of each service that a client has used, kept in memory.

    The agents of a service are requested once. If a service does not list its agents, the list is
    empty. The user can still ask an agent that is not in the list.
    """

    def __init__(self, client: PanelClient) -> None:
        self._client = client
        self._by_service: dict[str, AgentList] = {}
        self._last_loaded = ""

    def known(self) -> AgentList:
        """Return the agents of the current service; the list is empty before `load` is called."""
        return self._by_service.get(self._service(), [])

    def load(self) -> bool:
        """Load the agents of the current service, unless the agents are already in memory.

        After a timeout, nothing is stored, and the next call of `load` tries again.

        Returns:
            Whether the result of `known` may have changed since the previous call of `load`.

        Raises:
            ConnectionFailed: the service cannot be reached. The next call of `load` tries again.
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
        elif found:  # empty after a timeout: store nothing, so that the next call tries again
            self._by_service[service] = [
                {"slug": sanitize(each.slug), "name": sanitize(each.name)} for each in found
            ]
        return True

    def _service(self) -> str:
        """Return the URL that identifies the current service; empty if no service is configured."""
        try:
            return self._client.connections.resolve().root("/public")
        except SwiftaskError:
            return ""
