"""The conversations of a panel: one is shown, and those it showed before go on unseen."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from swiftask_jupyter.errors import StoreError
from swiftask_jupyter.notebook.panel.channel import Channel
from swiftask_jupyter.notebook.panel.chat import Chat
from swiftask_jupyter.notebook.panel.exchange_view import ExchangeView
from swiftask_jupyter.support.sanitize import visible

if TYPE_CHECKING:
    from swiftask_jupyter.client import Swiftask


class ConversationSwitcher:
    """The conversations of a client that one panel has shown.

    Args:
        client: asks.
        session: the name of the one shown first; `None` for the one that cells go on with.
        channel: tells the views.
        ended: called after each turn, and after a cell that may have changed something.

    Attributes:
        current: the one that is shown.
        known: all of them, by name.
    """

    def __init__(
        self, client: Swiftask, session: str | None, channel: Channel, ended: Callable[..., None]
    ) -> None:
        self._client = client
        self._channel = channel
        self._ended = ended
        self.known: dict[str, Chat] = {}
        self._names: list[str] = []
        self.current = self.at(session)
        self.current.show()

    def at(self, name: str | None) -> Chat:
        """Return the conversation of that name, with what is known of it."""
        name = self._client.session(name).name
        if (chat := self.known.get(name)) is not None:
            chat.refresh()
            return chat
        chat = self.known[name] = Chat(self._client, name, self._channel.part(), self._ended)
        return chat

    def names(self) -> list[str]:
        """Return the names of the notebook's conversations; the last known while none are told."""
        session = self.current.session
        with suppress(StoreError):  # the total says so
            self._names = session.ledger.sessions.names(session.place.notebook)
        known = tuple(self.known)  # another may be opened meanwhile
        return [*self._names, *(name for name in known if name not in self._names)]

    def named(self, told: str | None) -> str | None:
        """Return the name that a view has been told, which shows what can't be seen in it."""
        return next((name for name in self.names() if visible(name) == told), told)

    def switch(self, name: str | None) -> None:
        """Show another conversation, or a new one (`None`)."""
        if name is None:
            names = self.names()
            name = next(new for n in range(2, len(names) + 3) if (new := f"chat-{n}") not in names)
        chat = self.at(name)
        with self._channel.lock:
            self.current.hide()
            self.current = chat
            chat.show()
            self._channel.tell("stale")

    def unseen(self) -> list[ExchangeView]:
        """Return what stands in the conversations that are not shown."""
        others = (chat for chat in tuple(self.known.values()) if chat is not self.current)
        return [each for chat in others for each in tuple(chat.shown)]

    def take_over(self, old: ConversationSwitcher) -> None:
        """Show what an earlier panel does, which has been closed."""
        for name, chat in old.known.items():
            self.at(name).take_over(chat)
        self._channel.tell("stale")  # a view may have asked for all of it meanwhile

    def close(self) -> None:
        """Stop what runs, and look no more."""
        self._channel.closed.set()
        for chat in self.known.values():
            chat.close()
