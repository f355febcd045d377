"""The part of the `Swiftask` client's interface that a chat panel uses."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from swiftask_jupyter.conversation.session import Session
from swiftask_jupyter.turns.connections import Connections
from swiftask_jupyter.widget_api import WidgetAPI


@runtime_checkable
class PanelClient(Protocol):
    """The attributes and methods of a `Swiftask` client that a chat panel uses.

    Attributes:
        connections: the client's connection settings and network access.
    """

    connections: Connections

    def session(self, name: str | None = None) -> Session:
        """Return the session (conversation) with a name.

        The name `None` stands for the session that `%%swiftask` cells use.
        """

    @property
    def widget(self) -> WidgetAPI:
        """The HTTP routes of Swiftask's chat widget; one of the routes receives ratings."""

    @property
    def notebook(self) -> str | None:
        """The path of the notebook; `None` outside of a notebook."""
