"""The class `ChatPanel`, a Jupyter widget for a chat with agents, and its helper functions.

The kernel holds the state of the panel. Each display of the widget in the browser is a view
(`panel.js`). A view draws the state and sends a request for each action of the user. The module
`channel` describes the messages.

Each request gets a response. If a request fails, the response contains a one-line error. The user
would not see an exception from a widget's callback.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from anywidget import AnyWidget
from IPython.core.getipython import get_ipython

from swiftask_jupyter.conversation import transcript as transcripts
from swiftask_jupyter.errors import ConfigurationError, SwiftaskError
from swiftask_jupyter.notebook.identity import running_cell
from swiftask_jupyter.notebook.panel.agents import AgentChoices
from swiftask_jupyter.notebook.panel.channel import Channel
from swiftask_jupyter.notebook.panel.chat import PanelConversation, has_subshells
from swiftask_jupyter.notebook.panel.client import PanelClient
from swiftask_jupyter.notebook.panel.exchange_view import ExchangeView
from swiftask_jupyter.notebook.panel.patches import preload
from swiftask_jupyter.notebook.panel.switcher import OpenConversations
from swiftask_jupyter.notebook.panel.totals import session_total
from swiftask_jupyter.notebook.panel.transcript import Transcript
from swiftask_jupyter.notebook.panel.uploads import Uploads
from swiftask_jupyter.support.sanitize import sanitize

NO_NOTEBOOK = "a chat panel needs a notebook"
USE_MAGIC = "ask with %%swiftask"
CLOSED = "this chat panel is closed"
OPEN_ANOTHER = "ChatPanel(client) opens another"

PAGE = 30  # maximum number of exchanges in one message
PAGE_BYTES = 400_000  # characters of prompts and answers after which a page ends earlier

_HERE = Path(__file__).parent
_Message = dict[str, Any]


def _source(*names: str) -> str:
    return "\n".join((_HERE / name).read_text("utf-8") for name in names)


class ChatPanel(AnyWidget):
    """A chat with agents, displayed in the output of a cell.

    The panel shows one session (conversation) of the notebook. By default, this is the session that
    `%%swiftask` cells use. Questions from cells appear in the panel. Questions from the panel are
    part of the history that the next cell sends. To display the panel, make it the last expression
    of a cell.

    Args:
        client: the `Swiftask` client that sends the questions.
        agent: the slug of the agent to ask until the user chooses another agent; default: the agent
            of the client's connection.
        session: the name of the session to show; default: the session that cells use.
        enter_sends: whether Enter sends the message and Shift+Enter starts a new line; if false,
            only Ctrl+Enter sends the message.
        transcript: whether to display a readable copy of the conversation below the panel. Jupyter
            saves the copy with the notebook, but not the panel.

    Attributes:
        client: the client.
        agent: the slug of the chosen agent; `None` for the agent of the client's connection.

    Raises:
        ConfigurationError: `client` is not a `Swiftask` client.

    Example:
        >>> from swiftask_jupyter import ChatPanel, Sandbox, Swiftask
        >>> with Sandbox() as box, Swiftask(base_url=box.url, token=box.token) as client:
        ...     panel = ChatPanel(client, "echo")
        ...     panel.ask("Hello!")  # as if typed into the panel
        ...     panel.close()
        <asked 'Hello!': ...>
    """

    _esm = _source(
        "tree.js", "clipboard.js", "jupyterlab.js", "exchange.js", "composer.js", "draw_queue.js",
        "panel.js",
    )  # fmt: skip
    _css = _source("panel.css")
    _displayed: ClassVar[list[ChatPanel]] = []
    _closed = False

    def __init__(
        self,
        client: PanelClient | None = None,
        agent: str | None = None,
        *,
        session: str | None = None,
        enter_sends: bool = True,
        transcript: bool = True,
    ) -> None:
        self.client = client = require_client(client)
        super().__init__()
        self.agent = agent
        self._enter_sends = enter_sends
        self._agents = AgentChoices(client)
        self._uploads = Uploads()
        self._channel = Channel(self.send)
        self._transcript = Transcript() if transcript else None
        self.switcher = OpenConversations(client, session, self._channel, self._on_change)
        self.displayed_by: tuple[str | None, str | None] = (None, None)  # cell id, execution id
        self.on_msg(self._on_request)
        with suppress(AttributeError):
            # By default, ipykernel 7.4 handles a message in the subshell that last sent a message
            # to the widget. This subshell may be busy. Handle the message where it arrived.
            self.comm._reply_subshell_for = lambda _, default: default  # noqa: SLF001 - the only way

    @property
    def chat(self) -> PanelConversation:
        """The conversation that the panel displays."""
        return self.switcher.current

    def ask(self, text: str, agent: str | None = None, files: Iterable[Any] = ()) -> ExchangeView:
        """Ask a question as if the user had typed it into the panel.

        The answer appears in the panel. The method does not wait for the answer.

        Args:
            text: the question.
            agent: the slug of the agent to ask; default: the panel's agent.
            files: files to attach: paths, http(s) URLs, `(name, bytes)` pairs, DataFrames or
                figures.

        Returns:
            The question with its answer. The attribute `running` is true while the answer is
            streaming.

        Raises:
            Refused: the question was not sent. For example, the question is empty, another answer
                is still streaming, or the panel is closed.
        """
        if self._closed:
            raise ConfigurationError(CLOSED, advice=OPEN_ANOTHER)
        exchange = self.chat.ask(text, agent or self.agent, files)
        self._broadcast_state()
        return exchange

    def stop(self) -> None:
        """Stop the streaming answer to a question of this panel, and keep the text received so far.

        Nothing happens if no such answer is streaming.
        """
        if (publisher := self.chat.in_flight) is not None:
            publisher.stop()

    def export(self, path: str | Path) -> Path:
        """Write the conversation to a Markdown or JSON file.

        Args:
            path: the file to write; its name ends in `.md` or `.json`.

        Returns:
            The path of the file.

        Raises:
            ConfigurationError: the file name has another ending, or the file cannot be written.
        """
        return self.chat.session.export(path)

    def switch(self, session: str | None) -> None:
        """Display another session (conversation) of the notebook.

        A streaming answer in the current session continues in the background.

        Args:
            session: the name of the session; `None` starts a new session.
        """
        self.switcher.switch(session)
        self._on_change()

    def close(self) -> None:
        """Stop the answers to this panel's questions, and remove the panel from the page."""
        if self in self._displayed:
            self._displayed.remove(self)
        self._closed = True
        if hasattr(self, "switcher"):  # not set if the constructor refused the client
            self.switcher.close()
        super().close()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if why := display_obstacle(closed=self._closed):
            display({"text/plain": why}, raw=True)
            return
        bundle = self._repr_mimebundle_()
        if bundle is not None:
            display(bundle[0], metadata=bundle[1], raw=True)
        close_earlier_panels(self, self._displayed)
        if self._transcript is not None:
            self._transcript.show(self.chat.exchanges, self.switcher.hidden_exchanges())

    def _on_request(self, _: object, request: _Message, buffers: list[Any]) -> None:
        """Handle a request from a view, and send the response to this view.

        The widget calls this method for each message from the browser.
        """
        self.chat.context = contextvars.copy_context()
        handlers: dict[str, Callable[[_Message], _Message | None]] = {
            "get_snapshot": self._send_snapshot,
            "ask": self._ask,
            "retry": self._retry,
            "stop": lambda _: self.stop(),
            "rate": self._rate,
            "get_source": lambda it: {"text": self.chat.exchanges.find(it["key"]).reply.text},
            "export": self._export,
            "choose_agent": self._choose_agent,
            "list_agents": self._list_agents,
            "switch_session": lambda it: self.switch(self.switcher.resolve(it["name"])),
            "get_earlier": lambda it: self._page(it["key"]),
            "upload": lambda it: self._upload(it, buffers),
            "discard_upload": lambda it: self._uploads.discard(it["upload"]),
        }
        try:
            response = handlers[request["kind"]](request) or {}
        except SwiftaskError as error:
            response = {"error": sanitize(str(error))}
        except Exception as error:  # noqa: BLE001 - shown in the panel; else no one would see it
            response = {"error": sanitize(f"{type(error).__name__}: {error}")}
        if request.get("kind") != "get_snapshot" or "error" in response:
            self._channel.respond(request, **response)

    def _send_snapshot(self, request: _Message) -> None:
        self.chat.refresh()
        with self._channel.lock:
            self._channel.respond(request, "snapshot", state=self._state(), **self._page(None))
        preload()  # while the user types

    def _ask(self, request: _Message) -> None:
        agent = request["agent"] or self.agent
        files = self._uploads.get(request["uploads"])
        self.chat.ask(request["text"], agent, files, request["key"])
        self._uploads.discard(*request["uploads"])
        self._broadcast_state()

    def _retry(self, request: _Message) -> None:
        shared = bool(request.get("share_history"))
        self.chat.retry(request["key"], request.get("agent", ""), share_history=shared)
        self._broadcast_state()

    def _rate(self, request: _Message) -> None:
        liked, comment = request["liked"], request.get("comment")
        self.chat.rate(request["key"], liked=liked, comment=comment)

    def _export(self, _: _Message) -> _Message:
        session = self.chat.session
        return {"text": transcripts.as_markdown(session.history()), "name": f"{session.name}.md"}

    def _choose_agent(self, request: _Message) -> None:
        self.agent = request["agent"] or None
        self._broadcast_state()

    def _list_agents(self, _: _Message) -> None:
        if self._agents.load():
            self._broadcast_state()

    def _upload(self, request: _Message, buffers: list[Any]) -> None:
        chunk = bytes(buffers[0]) if buffers else b""
        upload, name, size = request["upload"], request["name"], request["size"]
        self._uploads.receive(upload, name, size, request["offset"], chunk)

    def _page(self, before: str | None) -> _Message:
        """Return up to `PAGE` consecutive exchanges, and the number of earlier exchanges.

        The returned exchanges are directly before the exchange with the key `before`. For `None`,
        the newest exchanges are returned.
        """
        with self._channel.lock:
            exchanges = self.chat.exchanges
            end = len(exchanges) if before is None else exchanges.index(exchanges.find(before))
            start, size = end, 0
            while start and end - start < PAGE and size < PAGE_BYTES:
                start -= 1
                size += len(exchanges[start].prompt) + len(exchanges[start].reply.text)
            page = [each.as_message() for each in exchanges[start:end]]
            return {"exchanges": page, "earlier_count": start}

    def _on_change(self, *, moved: bool = True) -> None:
        """Send the panel's state to all views.

        `moved` says whether the list of exchanges may have changed. If `moved` is true, the
        transcript is updated, too.
        """
        self._broadcast_state()
        if moved and self._transcript is not None:
            self._transcript.update(self.chat.exchanges, self.switcher.hidden_exchanges())

    def _broadcast_state(self) -> None:
        with self._channel.lock:
            self._channel.broadcast("state", state=self._state())

    def _state(self) -> _Message:
        """Return the panel's state for the views: session, agents, totals and settings.

        The state does not contain the exchanges; see `_page`.
        """
        publisher = self.chat.in_flight
        return {
            "session": sanitize(self.chat.session.name),
            "draft_key": f"{self.client.notebook}: {self.chat.session.name}",
            "sessions": [sanitize(name) for name in self.switcher.names()],
            "agent": sanitize(self.agent or self.chat.default_agent()),
            "agents": self._agents.known(),
            "in_flight": publisher.exchange.key if publisher else None,
            "has_subshells": has_subshells(),
            "enter_sends": self._enter_sends,
            "total": session_total(self.chat.session),
        }


def require_client(client: Any) -> PanelClient:
    """Return `client` if it is a `Swiftask` client.

    Raises:
        ConfigurationError: `client` is `None` or another object.
    """
    if not isinstance(client, PanelClient):
        given = "nothing" if client is None else type(client).__name__
        raise ConfigurationError(
            f"a chat panel takes a client, not {given}", advice="ChatPanel(Swiftask())"
        )
    return client


def display_obstacle(*, closed: bool) -> str:
    """Return a one-line reason why a panel cannot be displayed.

    The result is empty if the panel can be displayed. Possible reasons: the panel is closed, or
    IPython runs in a terminal.

    Args:
        closed: whether the panel is closed.
    """
    if closed:
        return f"{CLOSED}; {OPEN_ANOTHER}"
    shell = get_ipython()
    return "" if shell is None or hasattr(shell, "kernel") else f"{NO_NOTEBOOK}; {USE_MAGIC}"


def close_earlier_panels(panel: Any, displayed: list[Any]) -> None:
    """Close the panels that earlier executions of the current cell have displayed.

    The new panel continues the conversations of the closed panels.

    Args:
        panel: the new panel, which is being displayed now.
        displayed: the list of all displayed panels; `panel` is added to this list.
    """
    shell = get_ipython()
    panel.displayed_by = cell, run = (None, None) if shell is None else running_cell(shell)
    for old in tuple(displayed):
        if old is not panel and old.displayed_by[0] == cell and old.displayed_by[1] != run:
            old.close()
            panel.switcher.take_over(old.switcher)
    if cell is not None and panel not in displayed:
        displayed.append(panel)
