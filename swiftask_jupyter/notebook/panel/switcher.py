"""The conversations that a chat panel has opened: one is displayed, the others are hidden."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from swiftask_jupyter.errors import StoreError
from swiftask_jupyter.notebook.panel.channel import Channel
from swiftask_jupyter.notebook.panel.chat import PanelConversation
from swiftask_jupyter.notebook.panel.client import PanelClient
from swiftask_jupyter.notebook.panel.exchange_view import ExchangeView
from swiftask_jupyter.support.sanitize import sanitize


class OpenConversations:
    """The conversations that one chat panel has opened.

    Exactly one conversation is displayed. Answers in the hidden conversations continue to stream in
    the background.

    Args:
        client: the Swiftask client that sends the questions.
        session: the name of the session (conversation) to display first; `None` for the session
            that `%%swiftask` cells use.
        channel: the channel that sends updates to the views, the panel's displays in the browser.
        on_change: the function that is called when a conversation or a setting may have changed.

    Attributes:
        current: the conversation that is displayed.
        opened: a dict that maps the session name of each opened conversation to its
            `PanelConversation`.
    """

    def __init__(
        self,
        client: PanelClient,
        session: str | None,
        channel: Channel,
        on_change: Callable[..., None],
    ) -> None:
        self._client = client
        self._channel = channel
        self._on_change = on_change
        self.opened: dict[str, PanelConversation] = {}
        self._stored_names: list[str] = []
        self.current = self.open(session)
        self.current.show()

    def open(self, name: str | None) -> PanelConversation:
        """Return the `PanelConversation` of a session, with the newest history.

        The first call for a session creates the `PanelConversation`. The panel does not display the
        session yet. The name `None` stands for the session that `%%swiftask` cells use.
        """
        name = self._client.session(name).name
        if (chat := self.opened.get(name)) is not None:
            chat.refresh()
            return chat
        channel = self._channel.for_conversation()
        chat = self.opened[name] = PanelConversation(self._client, name, channel, self._on_change)
        return chat

    def names(self) -> list[str]:
        """Return the names of the notebook's sessions, including the sessions opened in this panel.

        The names are read from the ledger, the database of all turns. If the ledger cannot be read,
        the names from the last successful read are returned.
        """
        session = self.current.session
        with suppress(StoreError):  # the total line shows this error
            self._stored_names = session.log.names()
        opened = tuple(self.opened)  # a copy, because another thread may open a session now
        return [*self._stored_names, *(name for name in opened if name not in self._stored_names)]

    def resolve(self, shown_name: str | None) -> str | None:
        """Return the real name of the session that a view displays as `shown_name`.

        A view displays visible marks instead of hidden characters in a name. An unknown name is
        returned unchanged.
        """
        return next((name for name in self.names() if sanitize(name) == shown_name), shown_name)

    def switch(self, name: str | None) -> None:
        """Display the conversation of another session.

        The name `None` starts a new session.
        """
        if name is None:
            names = self.names()
            name = next(new for n in range(2, len(names) + 3) if (new := f"chat-{n}") not in names)
        chat = self.open(name)
        with self._channel.lock:
            self.current.hide()
            self.current = chat
            chat.show()
            self._channel.broadcast("reload")

    def hidden_exchanges(self) -> list[ExchangeView]:
        """Return the exchanges of all opened conversations that are not displayed.

        An exchange is one question with its answer.
        """
        others = (chat for chat in tuple(self.opened.values()) if chat is not self.current)
        return [each for chat in others for each in tuple(chat.exchanges)]

    def take_over(self, old: OpenConversations) -> None:
        """Copy the opened conversations of a closed panel into this panel."""
        for name, chat in old.opened.items():
            self.open(name).take_over(chat)
        self._channel.broadcast("reload")  # for views that already had a snapshot

    def close(self) -> None:
        """Stop the answers to this panel's questions, and stop watching the opened sessions."""
        self._channel.closed.set()
        for chat in self.opened.values():
            chat.close()
