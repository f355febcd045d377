"""The agents that a panel offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swiftask_jupyter.errors import ConnectionFailed, SwiftaskError
from swiftask_jupyter.support.sanitize import visible

if TYPE_CHECKING:
    from swiftask_jupyter.client import Swiftask

PATIENCE = 3.0  # seconds for the catalogue

Offered = list[dict[str, str]]


class Agents:
    """What is known of the catalogues of the services that the client has asked.

    A catalogue is advice: a service that has none offers nothing, and answers all the same.
    """

    def __init__(self, client: Swiftask) -> None:
        self._client = client
        self._offered: dict[str, Offered] = {}
        self._looked = ""

    def offered(self) -> Offered:
        """Return the agents of the service that is asked now, as far as they were looked for."""
        return self._offered.get(self._service(), [])

    def look(self) -> bool:
        """Ask the service for its agents, once; tell whether others may be offered now.

        Raises:
            ConnectionFailed: it can't be reached; it is asked again next time.
        """
        service = self._service()
        if not service or service in self._offered:
            before, self._looked = self._looked, service
            return before != service
        try:
            found = self._client.catalogue(PATIENCE)
        except ConnectionFailed:
            raise
        except SwiftaskError:
            found = None
        self._looked = service
        if found is None:
            self._offered[service] = []
        elif found:  # none come where the patience was not enough, too
            self._offered[service] = [
                {"slug": visible(each.slug), "name": visible(each.name)} for each in found
            ]
        return True

    def _service(self) -> str:
        try:
            return self._client.connection().root("/public")
        except SwiftaskError:
            return ""
