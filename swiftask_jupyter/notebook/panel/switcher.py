"""The conversations of a panel: one is shown, the others continue in the background."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from swiftask_jupyter.errors import StoreError
from swiftask_jupyter.notebook.panel.channel import Channel
from swiftask_jupyter.notebook.panel.chat import Chat
from swiftask_jupyter.notebook.panel.client import PanelClient
from swiftask_jupyter.notebook.panel.exchange_view import ExchangeView
from swiftask_jupyter.support.sanitize import sanitize


class ConversationSwitcher:
    """The conversations that one panel has opened.

    Args:
        client: sends the questions.
        session: the name of the session to show first; `None` for the one that cells use.
        channel: sends updates to the views.
        on_change: called after each turn, and after a cell that may have changed something.

    Attributes:
        current: the conversation that is shown.
        opened: all opened conversations, by session name.
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
        self.opened: dict[str, Chat] = {}
        self._stored_names: list[str] = []
        self.current = self.open(session)
        self.current.show()

    def open(self, name: str | None) -> Chat:
        """Return the conversation of a session, up to date; `None` for the session of cells."""
        name = self._client.session(name).name
        if (chat := self.opened.get(name)) is not None:
            chat.refresh()
            return chat
        channel = self._channel.for_conversation()
        chat = self.opened[name] = Chat(self._client, name, channel, self._on_change)
        return chat

    def names(self) -> list[str]:
        """Return the names of the notebook's sessions.

        While the ledger cannot be read, these are the names read last.
        """
        session = self.current.session
        with suppress(StoreError):  # the total line shows this error
            self._stored_names = session.log.names()
        opened = tuple(self.opened)  # a copy: another thread may open one meanwhile
        return [*self._stored_names, *(name for name in opened if name not in self._stored_names)]

    def resolve(self, shown_name: str | None) -> str | None:
        """Return the session name for a name in a view, where hidden characters are marked."""
        return next((name for name in self.names() if sanitize(name) == shown_name), shown_name)

    def switch(self, name: str | None) -> None:
        """Show the conversation of another session, or of a new one (`None`)."""
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
        """Return the exchanges of all opened conversations that are not shown."""
        others = (chat for chat in tuple(self.opened.values()) if chat is not self.current)
        return [each for chat in others for each in tuple(chat.exchanges)]

    def take_over(self, old: ConversationSwitcher) -> None:
        """Show what an earlier panel, now closed, has shown."""
        for name, chat in old.opened.items():
            self.open(name).take_over(chat)
        self._channel.broadcast("reload")  # a view may have had a snapshot before this

    def close(self) -> None:
        """Stop all answers and watch the sessions no more."""
        self._channel.closed.set()
        for chat in self.opened.values():
            chat.close()
