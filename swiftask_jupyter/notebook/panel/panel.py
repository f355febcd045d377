"""Where a panel can be shown, and what is said where it can't.

`ChatPanel`: a conversation with agents as a widget.

Python holds the state; a view (`panel.js`) shows it and says what the user does. Every call of a
view is answered, with one line of an error where there is one: what a widget's callback raises is
seen by nobody.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from anywidget import AnyWidget
from IPython.core.getipython import get_ipython

from swiftask_jupyter.conversation import transcript as transcripts
from swiftask_jupyter.errors import ConfigurationError, SwiftaskError
from swiftask_jupyter.notebook.identity import running_cell
from swiftask_jupyter.notebook.panel.agents import Agents
from swiftask_jupyter.notebook.panel.channel import Channel
from swiftask_jupyter.notebook.panel.chat import Chat, listens
from swiftask_jupyter.notebook.panel.exchange_view import ExchangeView
from swiftask_jupyter.notebook.panel.patches import prepare
from swiftask_jupyter.notebook.panel.switcher import ConversationSwitcher
from swiftask_jupyter.notebook.panel.totals import total
from swiftask_jupyter.notebook.panel.transcript import Transcript
from swiftask_jupyter.notebook.panel.uploads import Uploads
from swiftask_jupyter.support.sanitize import visible

if TYPE_CHECKING:
    from swiftask_jupyter.client import Swiftask

AGAIN = "ChatPanel(client) opens another"
CLOSED = "this chat panel is closed"
NO_NOTEBOOK = "a chat panel needs a notebook"
INSTEAD = "ask with %%swiftask"


def expect_client(client: Any) -> Swiftask:
    """Return the client, or refuse what is none before there is a widget.

    Raises:
        ConfigurationError: it is no client.
    """
    from swiftask_jupyter.client import Swiftask

    if not isinstance(client, Swiftask):
        given = "nothing" if client is None else type(client).__name__
        raise ConfigurationError(
            f"a chat panel takes a client, not {given}", advice="ChatPanel(Swiftask())"
        )
    return client


def obstacle(*, closed: bool) -> str:
    """Return in one line why a panel can't be shown here; empty if it can."""
    if closed:
        return f"{CLOSED}; {AGAIN}"
    shell = get_ipython()
    return "" if shell is None or hasattr(shell, "kernel") else f"{NO_NOTEBOOK}; {INSTEAD}"


def take_the_place(panel: Any, displayed: list[Any]) -> None:
    """Close the panels that an earlier run of this cell has shown: nobody sees them."""
    shell = get_ipython()
    panel.place = cell, run = (None, None) if shell is None else running_cell(shell)
    for old in tuple(displayed):
        if old is not panel and old.place[0] == cell and old.place[1] != run:
            old.close()
            panel.chats.take_over(old.chats)
    if cell is not None and panel not in displayed:
        displayed.append(panel)


PAGE = 30  # exchanges sent at once
PAGE_BYTES = 400_000  # of their texts, after which a page ends sooner

_HERE = Path(__file__).parent
_Call = dict[str, Any]


def _source(*names: str) -> str:
    return "\n".join((_HERE / name).read_text("utf-8") for name in names)


class ChatPanel(AnyWidget):
    """A chat with agents, in the cell that shows it.

    It goes on with a conversation of the notebook: what cells asked stands in it, and what is
    said in it is history for the next cell.

    Args:
        client: asks; its settings, conversations and ledger are the panel's.
        agent: the slug asked where none is chosen; default: the connection's.
        session: the conversation's name; default: the one that cells go on with.
        enter_sends: whether Enter sends and Shift+Enter breaks the line; else Ctrl+Enter sends.
        transcript: whether a readable copy stands beside the panel, which is saved with the
            notebook; the panel itself is not.

    Raises:
        ConfigurationError: that is no client.
    """

    _esm = _source(
        "tree.js", "clipboard.js", "lab.js", "exchange.js", "composer.js", "pace.js", "panel.js"
    )
    _css = _source("panel.css")
    _displayed: ClassVar[list[ChatPanel]] = []
    _closed = False

    def __init__(
        self,
        client: Swiftask | None = None,
        agent: str | None = None,
        *,
        session: str | None = None,
        enter_sends: bool = True,
        transcript: bool = True,
    ) -> None:
        self.client = client = expect_client(client)
        super().__init__()
        self.agent = agent
        self._enter_sends = enter_sends
        self._agents = Agents(client)
        self._uploads = Uploads()
        self._channel = Channel(self.send)
        self._twin = Transcript() if transcript else None
        self.chats = ConversationSwitcher(client, session, self._channel, self._ended)
        self.on_msg(self._heard)
        with suppress(AttributeError):
            # ipykernel 7.4 hands what a view says to the shell of what was last told to it, which
            # may be one that is busy; where it arrived is right.
            self.comm._reply_subshell_for = lambda _, default: default  # noqa: SLF001 - the only way

    @property
    def chat(self) -> Chat:
        """The conversation that is shown."""
        return self.chats.current

    def ask(self, text: str, agent: str | None = None, files: Iterable[Any] = ()) -> ExchangeView:
        """Ask, as if it had been typed into the panel; the answer streams into it.

        Raises:
            Refused: nothing was sent, and the message says why.
        """
        if self._closed:
            raise ConfigurationError(CLOSED, advice=AGAIN)
        shown = self.chat.ask(text, agent or self.agent, files)
        self._tell_state()
        return shown

    def stop(self) -> None:
        """Stop the answer that is coming; what has come is kept."""
        if (asked := self.chat.asked) is not None:
            asked.stop()

    def export(self, path: str | Path) -> Path:
        """Write the conversation to a `.md` or `.json` file, and return its path.

        Raises:
            ConfigurationError: the file's name or place won't do.
        """
        return self.chat.session.export(path)

    def switch(self, session: str | None) -> None:
        """Go on with another conversation of the notebook, or with a new one (`None`).

        What is asked in this one goes on.
        """
        self.chats.switch(session)
        self._ended()

    def close(self) -> None:
        """Stop what runs, and take the panel away."""
        if self in self._displayed:
            self._displayed.remove(self)
        self._closed = True
        if hasattr(self, "chats"):  # what was refused never had any
            self.chats.close()
        super().close()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if why := obstacle(closed=self._closed):
            display({"text/plain": why}, raw=True)
            return
        bundle = self._repr_mimebundle_()
        if bundle is not None:
            display(bundle[0], metadata=bundle[1], raw=True)
        take_the_place(self, self._displayed)
        if self._twin is not None:
            self._twin.show(self.chat.shown, self.chats.unseen())

    def _heard(self, _: object, call: _Call, buffers: list[Any]) -> None:
        """Do what a view asks for, and answer it."""
        self.chat.context = contextvars.copy_context()
        calls: dict[str, Callable[[_Call], _Call | None]] = {
            "hello": self._hello,
            "ask": self._ask,
            "retry": self._retry,
            "stop": lambda _: self.stop(),
            "rate": self._rate,
            "source": lambda call: {"text": self.chat.shown.find(call["key"]).reply.text},
            "export": self._export,
            "agent": self._choose,
            "agents": self._catalogue,
            "session": lambda call: self.switch(self.chats.named(call["name"])),
            "earlier": lambda call: self._page(call["key"]),
            "upload": lambda call: self._upload(call, buffers),
            "discard": lambda call: self._uploads.discard(call["file"]),
        }
        try:
            answer = calls[call["kind"]](call) or {}
        except SwiftaskError as error:
            answer = {"error": visible(str(error))}
        except Exception as error:  # noqa: BLE001 - painted, or nobody would ever see it
            answer = {"error": visible(f"{type(error).__name__}: {error}")}
        if call.get("kind") != "hello" or "error" in answer:
            self._channel.answer(call, **answer)

    def _hello(self, call: _Call) -> None:
        self.chat.refresh()
        with self._channel.lock:
            self._channel.answer(call, "snapshot", state=self._state(), **self._page(None))
        prepare()  # while the user types

    def _ask(self, call: _Call) -> None:
        agent = call["agent"] or self.agent
        files = self._uploads.find(call["files"])
        self.chat.ask(call["text"], agent, files, call["key"])
        self._uploads.discard(*call["files"])
        self._tell_state()

    def _retry(self, call: _Call) -> None:
        self.chat.again(call["key"], call.get("agent", ""))
        self._tell_state()

    def _rate(self, call: _Call) -> None:
        self.chat.rate(call["key"], liked=call["liked"], comment=call.get("comment"))

    def _export(self, _: _Call) -> _Call:
        session = self.chat.session
        return {"text": transcripts.as_markdown(session.history()), "name": f"{session.name}.md"}

    def _choose(self, call: _Call) -> None:
        self.agent = call["agent"] or None
        self._tell_state()

    def _catalogue(self, _: _Call) -> None:
        if self._agents.look():
            self._tell_state()

    def _upload(self, call: _Call, buffers: list[Any]) -> None:
        chunk = bytes(buffers[0]) if buffers else b""
        self._uploads.take(call["file"], call["name"], call["size"], call["at"], chunk)

    def _page(self, before: str | None) -> _Call:
        """Return the exchanges before a key, or the newest; as many as are sent at once."""
        with self._channel.lock:
            shown = self.chat.shown
            end = len(shown) if before is None else shown.index(shown.find(before))
            start, size = end, 0
            while start and end - start < PAGE and size < PAGE_BYTES:
                start -= 1
                size += len(shown[start].prompt) + len(shown[start].reply.text)
            return {"exchanges": [each.whole() for each in shown[start:end]], "earlier": start}

    def _ended(self, *, moved: bool = True) -> None:
        self._tell_state()
        if moved and self._twin is not None:
            self._twin.update(self.chat.shown, self.chats.unseen())

    def _tell_state(self) -> None:
        with self._channel.lock:
            self._channel.tell("state", state=self._state())

    def _state(self) -> _Call:
        asked = self.chat.asked
        return {
            "session": visible(self.chat.session.name),
            "place": f"{self.client.notebook}: {self.chat.session.name}",
            "sessions": [visible(name) for name in self.chats.names()],
            "agent": visible(self.agent or self.chat.agent()),
            "agents": self._agents.offered(),
            "busy": asked.shown.key if asked else None,
            "listens": listens(),
            "enter": self._enter_sends,
            "total": total(self.chat.session),
        }
