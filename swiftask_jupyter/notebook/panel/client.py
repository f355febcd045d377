"""The interface of the Swiftask client that a chat panel uses."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from swiftask_jupyter.conversation.session import Session
from swiftask_jupyter.turns.connections import Connections
from swiftask_jupyter.widget_routes import WidgetRoutes


@runtime_checkable
class PanelClient(Protocol):
    """The attributes and methods of a `Swiftask` client that a chat panel uses.

    Attributes:
        connections: the client's settings, such as base URL and agent, and its network access.
    """

    connections: Connections

    def session(self, name: str | None = None) -> Session:
        """Return the session (conversation) of this name; `None`: the session that cells use."""

    @property
    def widget(self) -> WidgetRoutes:
        """The routes of Swiftask's embedded chat widget; the panel uses the feedback route."""

    @property
    def notebook(self) -> str | None:
        """The path of the notebook; `None` outside of a notebook."""
