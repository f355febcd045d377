"""One conversation as a chat panel shows it: the exchanges, new questions and ratings.

An exchange is one question with its answer. Cells and other panels can ask questions in the same
session as the panel. Therefore a `PanelConversation` watches the session for new turns. It reads
the history again after each turn, and after each cell whose source contains `swiftask`.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterable
from itertools import count
from typing import TYPE_CHECKING, Any

from IPython.core.getipython import get_ipython

from swiftask_jupyter.conversation.rules import service_name, service_of
from swiftask_jupyter.conversation.session import TurnPlacement
from swiftask_jupyter.errors import ConfigurationError, PromptError, StoreError, SwiftaskError
from swiftask_jupyter.ledger.history import History
from swiftask_jupyter.notebook.panel.channel import MuteableChannel
from swiftask_jupyter.notebook.panel.client import PanelClient
from swiftask_jupyter.notebook.panel.exchange_view import ExchangeList, ExchangeView, view_key
from swiftask_jupyter.notebook.panel.reply_publisher import ReplyPublisher

if TYPE_CHECKING:
    from swiftask_jupyter.answers.turn import Turn
    from swiftask_jupyter.conversation.running_turn import RunningTurn
    from swiftask_jupyter.ledger.history import Mark

# A dict that maps each rating in the panel to the value that the ledger stores.
RATINGS = {True: "good", False: "bad", None: None}


class PanelConversation:
    """One conversation (session) of a client, as a chat panel shows it.

    Args:
        client: the client that sends the questions.
        name: the name of the session; `None` for the session that `%%swiftask` cells use.
        channel: the channel that sends updates to the views, the panel's displays in the browser.
        on_change: the function that is called when the conversation or a setting may have changed.

    Attributes:
        exchanges: the questions and answers that the panel shows, in order.
        session: the session.
        context: the context variables of a view's last request, used by the publishing threads.
    """

    def __init__(
        self,
        client: PanelClient,
        name: str | None,
        channel: MuteableChannel,
        on_change: Callable[..., None],
    ) -> None:
        self.session = client.session(name)
        self.exchanges = ExchangeList()
        self.context = contextvars.copy_context()
        self._client = client
        self._channel = channel
        self._on_change = on_change
        self._publishers: dict[str, ReplyPublisher] = {}  # by the key of the exchange
        self._asking = False
        # Reads of the history are numbered: an earlier read must not overwrite a later one.
        self._read_numbers, self._applied_read = count(1), 0
        self.refresh()
        self.session.watchers.append(self._on_turn)
        if (shell := get_ipython()) is not None:
            shell.events.register("post_run_cell", self.on_cell_run)

    @property
    def in_flight(self) -> ReplyPublisher | None:
        """The publisher of the answer that is streaming now; `None` if no answer is streaming.

        Only answers to questions of this panel count.
        """
        own = (each for each in tuple(self._publishers.values()) if each.stream is not None)
        return next((each for each in own if each.exchange.running), None)

    def ask(
        self,
        text: str,
        agent: str | None,
        files: Iterable[Any] = (),
        replaces: str | None = None,
        *,
        share_history: bool = False,
    ) -> ExchangeView:
        """Ask a question in this conversation; the answer streams in the background.

        With `replaces`, the new exchange replaces an earlier exchange. The files of the earlier
        question are attached again.

        Args:
            text: the question.
            agent: the slug of the agent; `None` for the default agent of the client's connection.
            files: files to attach.
            replaces: the key of the exchange to replace; `None` to add an exchange at the end.
            share_history: whether to send also the earlier turns that another service has received.

        Returns:
            The new exchange, whose answer is still streaming.

        Raises:
            Refused: the question was not sent; the message gives the reason.
        """
        with self._channel.lock:
            if self._asking or self.in_flight:
                raise PromptError("an answer is still coming", advice="stop it, or wait for it")
            self._asking = True
        try:
            earlier = self.exchanges.find(replaces, replaced=True) if replaces else None
            if earlier and earlier.from_cell:
                raise PromptError(
                    "a cell asked this with its own options", advice="run the cell again"
                )
            if earlier and earlier.attached and not share_history:
                self._check_files(earlier.reply)
            slot = earlier.reply.slot if earlier else None
            attached = (*(earlier.attached if earlier else ()), *files)
            origin = TurnPlacement("panel", slot)
            stream = self.session.stream_from(
                origin, text, agent or None, files=attached, share_history=share_history
            )
            exchange = ExchangeView(text, stream.reply, attached)
            publisher = ReplyPublisher(exchange, self._channel, stream, self._on_reply_end)
            self._publishers[exchange.key] = publisher
            publisher.announce_and_start(lambda: self._add(exchange))
        finally:
            self._asking = False
        return exchange

    def retry(self, key: str, agent: str = "", *, share_history: bool = False) -> ExchangeView:
        """Ask the question of an exchange again; the new answer replaces the earlier answer.

        Args:
            key: the key of the exchange.
            agent: the slug of the agent to ask; empty for the agent of the earlier answer.
            share_history: whether to send also the earlier turns that another service has received.

        Returns:
            The new exchange, whose answer is still streaming.

        Raises:
            Refused: the question was not sent; the message gives the reason.
        """
        exchange = self.exchanges.find(key)
        agent = agent or exchange.reply.agent
        return self.ask(exchange.prompt, agent, replaces=key, share_history=share_history)

    def rate(self, key: str, *, liked: bool | None, comment: str | None = None) -> ExchangeView:
        """Save the user's rating of an answer.

        If the answer came from the API of the Swiftask chat widget, the rating is also sent to the
        service.

        Args:
            key: the key of the exchange with the answer.
            liked: the rating; `None` removes the rating.
            comment: the comment; `None` keeps the previous comment.

        Returns:
            The rated exchange.

        Raises:
            PromptError: no exchange has this key.
            StoreError: the rating cannot be saved.
            SwiftaskError: the rating is saved, but could not be sent to the service.
        """
        exchange = self.exchanges.find(key)
        reply, history = exchange.reply, self.session.runtime.ledger.history
        save_rating(history, self.session.id, reply.id, liked=liked, comment=comment)
        exchange.liked = liked
        if comment is not None:
            exchange.comment = comment
        self._channel.broadcast("patch", key=key, changes=[], meta=exchange.meta())
        if reply.dialect == "widget" and liked is not None and reply.conversation is not None:
            self._check_service(reply)
            feedback = self._client.widget.feedback
            feedback(reply.conversation, good=liked, comment=exchange.comment)
        return exchange

    def _check_files(self, turn: Turn) -> None:
        """Refuse to send the files of an earlier question to a service that did not receive them.

        Raises:
            PromptError: the present connection is to another service.
        """
        if self._is_of_another_service(turn):
            raise PromptError(
                f"the files of this message were sent to {service_name(turn)} alone",
                advice="ask anew, and attach what this service may see",
            )

    def _is_of_another_service(self, turn: Turn) -> bool:
        return service_of(turn) != self._client.connections.resolve().service

    def _check_service(self, turn: Turn) -> None:
        """Check that the client's current service is the service that gave the answer.

        Raises:
            ConfigurationError: another service gave the answer, so the rating must not be sent.
        """
        if self._is_of_another_service(turn):
            raise ConfigurationError(
                f"the rating is saved, and was not sent: {service_name(turn)} gave this answer",
                advice="ask that connection, then rate it again",
            )

    def refresh(self) -> bool:
        """Read the session's history, and update the list of exchanges.

        The history comes from the ledger, the database of all turns. If the ledger cannot be read,
        the list does not change.

        Returns:
            Whether exchanges may have been added, removed or moved.
        """
        read_number = next(self._read_numbers)
        try:
            history, marks = self.session.history(), self._marks()
        except StoreError:
            for exchange in tuple(self.exchanges):
                exchange.awaits_ledger = True
            return False
        with self._channel.lock:
            if read_number < self._applied_read:
                return True  # another thread has applied a newer read
            self._applied_read = read_number
            sent = {each.key: (each.stale, each.superseded) for each in self.exchanges}
            liked, comments = read_ratings(marks)
            reset_at = max((mark.at for mark in marks if mark.kind == "reset"), default=0.0)
            merged = self.exchanges.merged(history, self._publishers, reset_at)
            stale = {each.id: each.stale for each in history}
            for exchange in merged:
                turn = exchange.reply.id
                exchange.liked = liked.get(turn, exchange.liked)
                exchange.comment = comments.get(turn, exchange.comment)
                exchange.stale = stale.get(turn, exchange.stale)
            moved = [each.key for each in merged] != [each.key for each in self.exchanges]
            for each in merged:
                if not moved and (each.stale, each.superseded) != sent[each.key]:
                    self._channel.broadcast("patch", key=each.key, changes=[], meta=each.meta())
            self.exchanges = merged
            if moved:
                self._channel.broadcast("reload")
        return moved

    def on_cell_run(self, result: Any) -> None:
        """Refresh the conversation after a cell whose source contains `swiftask`.

        IPython calls this method after every cell (event `post_run_cell`). A conversation that is
        not displayed is not refreshed.
        """
        ours = "swiftask" in (getattr(result.info, "raw_cell", "") or "")
        if ours and not self._channel.muted:
            self._on_change(moved=self.refresh())

    def take_over(self, old: PanelConversation) -> None:
        """Copy the exchanges of `old`, the `PanelConversation` of an earlier panel.

        The copy keeps running and failed exchanges, which the history does not contain.
        """
        self.exchanges = ExchangeList(
            each.unsent_copy() if each.running else each for each in old.exchanges
        )
        self.exchanges.replaced = old.exchanges.replaced
        for exchange in self.exchanges:
            if exchange.running:
                self._publish(exchange)
                if not exchange.running:  # it ended before the publisher was registered
                    self._publishers[exchange.key].turn_ended.set()
        self.refresh()

    def show(self) -> None:
        """Start sending updates to the views; the panel now displays this conversation."""
        self._channel.muted = False

    def hide(self) -> None:
        """Stop sending updates to the views; running answers continue in the background."""
        self._channel.muted = True

    def close(self) -> None:
        """Stop the answers to this panel's questions, and stop watching the session."""
        if self._on_turn in self.session.watchers:
            self.session.watchers.remove(self._on_turn)
            if (shell := get_ipython()) is not None:
                shell.events.unregister("post_run_cell", self.on_cell_run)
        for publisher in tuple(self._publishers.values()):
            publisher.close()

    def default_agent(self) -> str:
        """Return the slug of the client's default agent; empty without a default agent."""
        try:
            return self._client.connections.resolve().agent or ""
        except SwiftaskError:
            return ""

    def _add(self, exchange: ExchangeView) -> None:
        with self._channel.lock:
            after, removed = self.exchanges.add(exchange)
            message = exchange.as_message()
            self._channel.broadcast("exchange", exchange=message, after=after, removed=removed)

    def _on_turn(self, turn: RunningTurn) -> None:
        """Show a new turn of a cell or of another panel; tell the publisher when a turn ends.

        The session calls this method on the I/O thread when a turn starts and when a turn ends. The
        method must not wait for the panel's lock, because waiting would block the network.
        """
        reply = turn.reply
        if reply.slot is None:
            return
        publisher = self._publishers.get(view_key(reply.id))
        if publisher is None and reply.status == "running":
            exchange = ExchangeView(turn.prompt.text, reply)
            self._publish(exchange, lambda: self._add(exchange))
        elif publisher is not None and reply.status != "running":
            publisher.turn_ended.set()

    def _publish(self, exchange: ExchangeView, announce: Callable[[], None] = lambda: None) -> None:
        """Start a thread that sends a streaming answer to the views of the panel.

        The question came from a cell or from another panel. The thread first calls `announce`, for
        example to add the exchange to the views.
        """
        publisher = ReplyPublisher(exchange, self._channel, None, self._on_reply_end)
        self._publishers[exchange.key] = publisher
        publisher.start(self.context.copy(), announce)

    def _on_reply_end(self, exchange: ExchangeView) -> None:
        with self._channel.lock:
            self._publishers.pop(exchange.key, None)
            # Discard reads that are under way: they may have missed this turn.
            self._applied_read = next(self._read_numbers)
        try:
            self.refresh()
        finally:
            self._on_change()

    def _marks(self) -> list[Mark]:
        ledger = self.session.runtime.ledger
        return ledger.history.marks(ledger.history.segments(self.session.id))


def save_rating(
    history: History, session: str, turn: str, *, liked: bool | None, comment: str | None
) -> None:
    """Save the user's rating of an answer in the ledger, the database of all turns.

    Args:
        history: the `History` object of the ledger.
        session: the id of the session.
        turn: the id of the turn (the question with its answer).
        liked: the rating; `None` removes the rating.
        comment: the comment; `None` keeps the previous comment.
    """
    history.mark("liked", session, turn, RATINGS[liked])
    if comment is not None:
        history.mark("comment", session, turn, comment)


def read_ratings(marks: Iterable[Mark]) -> tuple[dict[str, bool | None], dict[str, str]]:
    """Return the newest rating and the newest comment of each turn.

    The first dict maps turn ids to ratings. The second dict maps turn ids to comments.

    Args:
        marks: the ledger's notes about turns, from oldest to newest. Only ratings and comments are
            read.
    """
    liked = {value: rating for rating, value in RATINGS.items()}
    marks = tuple(marks)
    return (
        {str(mark.turn): liked.get(mark.value) for mark in marks if mark.kind == "liked"},
        {str(mark.turn): mark.value or "" for mark in marks if mark.kind == "comment"},
    )


def has_subshells() -> bool:
    """Return whether the kernel can handle messages of the panel while a cell runs.

    ipykernel 7 and later can handle these messages in separate threads, called subshells.
    """
    kernel = getattr(get_ipython(), "kernel", None)
    return bool(getattr(kernel, "_supports_kernel_subshells", False))
