"""What a chat panel needs of the client that it belongs to."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from swiftask_jupyter.conversation.session import Session
from swiftask_jupyter.turns.connections import Connections
from swiftask_jupyter.widget_routes import WidgetRoutes


@runtime_checkable
class PanelClient(Protocol):
    """The part of `Swiftask` that a chat panel uses.

    Attributes:
        connections: the settings and the network.
    """

    connections: Connections

    def session(self, name: str | None = None) -> Session:
        """Return the conversation of that name; default: the one that cells continue."""

    @property
    def widget(self) -> WidgetRoutes:
        """The further routes of Swiftask's embedded chat: feedback."""

    @property
    def notebook(self) -> str | None:
        """The notebook's path; `None` outside of a notebook."""
