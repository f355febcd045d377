"""What the user thinks of answers, kept as marks of the ledger.

A conversation as a panel shows it: what is there, what is asked, what others ask in it.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterable
from itertools import count
from typing import TYPE_CHECKING, Any

from IPython.core.getipython import get_ipython

from swiftask_jupyter.conversation.rules import Mark
from swiftask_jupyter.errors import PromptError, StoreError, SwiftaskError
from swiftask_jupyter.ledger.history import History
from swiftask_jupyter.notebook.panel.channel import Part
from swiftask_jupyter.notebook.panel.exchange_view import Exchanges, ExchangeView, short
from swiftask_jupyter.notebook.panel.reply_publisher import ReplyPublisher

if TYPE_CHECKING:
    from swiftask_jupyter.client import Swiftask
    from swiftask_jupyter.conversation.rules import Mark
    from swiftask_jupyter.conversation.running_turn import RunningTurn

WORDS = {True: "good", False: "bad", None: None}


def rate(
    history: History, session: str, turn: str, *, liked: bool | None, comment: str | None
) -> None:
    """Keep a rating, and a comment unless it is `None`: then an earlier one stays."""
    history.mark("liked", session, turn, WORDS[liked])
    if comment is not None:
        history.mark("comment", session, turn, comment)


def rated(marks: Iterable[Mark]) -> tuple[dict[str, bool | None], dict[str, str]]:
    """Return the newest rating and the newest comment of each turn that has one."""
    liked = {word: liked for liked, word in WORDS.items()}
    marks = tuple(marks)
    return (
        {str(mark.turn): liked.get(mark.value) for mark in marks if mark.kind == "liked"},
        {str(mark.turn): mark.value or "" for mark in marks if mark.kind == "comment"},
    )


class Chat:
    """One conversation of a client, and what a panel knows of it.

    Args:
        client: asks.
        name: the conversation; `None` for the one that cells go on with.
        channel: tells the views, while they show this one.
        ended: called after each turn, and after a cell that may have changed something.

    Attributes:
        shown: what is there, in order.
        session: the conversation.
        context: in which a thread of ours speaks to the front end.
    """

    def __init__(
        self,
        client: Swiftask,
        name: str | None,
        channel: Part,
        ended: Callable[..., None],
    ) -> None:
        self.session = client.session(name)
        self.shown = Exchanges()
        self.context = contextvars.copy_context()
        self._client = client
        self._channel = channel
        self._ended = ended
        self._following: dict[str, ReplyPublisher] = {}
        self._asking = False
        self._reads, self._taken = count(1), 0
        self.refresh()
        self.session.watchers.append(self._turn)
        if (shell := get_ipython()) is not None:
            shell.events.register("post_run_cell", self.cell_ran)

    @property
    def asked(self) -> ReplyPublisher | None:
        """The answer that the panel waits for, if it waits for one."""
        ours = (each for each in tuple(self._following.values()) if each.stream is not None)
        return next((each for each in ours if each.shown.running), None)

    def ask(
        self, text: str, agent: str | None, files: Iterable[Any] = (), instead: str | None = None
    ) -> ExchangeView:
        """Ask, at the end or in the place of an earlier question, whose files go along again.

        Raises:
            Refused: nothing was sent.
        """
        with self._channel.lock:
            if self._asking or self.asked:
                raise PromptError("an answer is still coming", advice="stop it, or wait for it")
            self._asking = True
        try:
            before = self.shown.find(instead, replaced=True) if instead else None
            if before and before.by_cell:
                raise PromptError(
                    "a cell asked this, with options of its own", advice="run the cell again"
                )
            slot = before.reply.standing.slot if before else None
            options: dict[str, Any] = {"slot": slot} if slot else {}
            attached = (*(before.attached if before else ()), *files)
            stream = self.session.stream(
                text, agent or None, surface="panel", files=attached, **options
            )
            shown = ExchangeView(text, stream.reply, attached)
            following = ReplyPublisher(shown, self._channel, stream, self._over)
            self._following[shown.key] = following
            following.begin(lambda: self._put(shown))
        finally:
            self._asking = False
        return shown

    def again(self, key: str, agent: str = "") -> ExchangeView:
        """Ask the same once more, in the same place; the same agent, unless another is named.

        Raises:
            Refused: nothing was sent.
        """
        shown = self.shown.find(key)
        return self.ask(shown.prompt, agent or shown.reply.agent, instead=key)

    def rate(self, key: str, *, liked: bool | None, comment: str | None = None) -> ExchangeView:
        """Keep what the user thinks of an answer, and tell the service where it takes that.

        Without a comment the last one stays.

        Raises:
            SwiftaskError: the service didn't take it; it is kept all the same.
        """
        shown = self.shown.find(key)
        reply, history = shown.reply, self.session.ledger.history
        shown.liked = liked
        if comment is not None:
            shown.comment = comment
        rate(history, self.session.id, reply.turn, liked=liked, comment=comment)
        self._channel.tell("patch", key=key, changes=[], end=shown.end())
        if reply.dialect == "widget" and liked is not None and reply.conversation is not None:
            self._client.widget.feedback(reply.conversation, good=liked, comment=shown.comment)
        return shown

    def refresh(self) -> bool:
        """Take over what the conversation holds now, and tell whether that is something else.

        Cells may have changed it. While the ledger can't be read, what is shown stays.
        """
        read = next(self._reads)
        try:
            held, marks = self.session.history(), self._marks()
        except StoreError:
            for shown in tuple(self.shown):
                shown.waits = True
            return False
        with self._channel.lock:
            if read < self._taken:
                return True  # another thread has read later, and was quicker
            self._taken = read
            told = {each.key: (each.stale, each.aside) for each in self.shown}
            liked, comments = rated(marks)
            begun = max((mark.at for mark in marks if mark.kind == "reset"), default=0.0)
            merged = self.shown.merged(held, self._following, begun)
            stale = {each.turn: each.stale for each in held}
            for shown in merged:
                turn = shown.reply.turn
                shown.liked = liked.get(turn, shown.liked)
                shown.comment = comments.get(turn, shown.comment)
                shown.stale = stale.get(turn, shown.stale)
            moved = [each.key for each in merged] != [each.key for each in self.shown]
            for shown in merged:
                if not moved and (shown.stale, shown.aside) != told[shown.key]:
                    self._channel.tell("patch", key=shown.key, changes=[], end=shown.end())
            self.shown = merged
            if moved:
                self._channel.tell("stale")  # the views ask for all of it
        return moved

    def cell_ran(self, result: Any) -> None:
        """Look again after a cell that may have taken something back, or set something."""
        named = "swiftask" in (getattr(result.info, "raw_cell", "") or "")
        if named and not self._channel.muted:
            self._ended(moved=self.refresh())

    def take_over(self, old: Chat) -> None:
        """Show what an earlier panel does, of which the history doesn't hold all."""
        self.shown = Exchanges(each.anew() if each.running else each for each in old.shown)
        self.shown.replaced = old.shown.replaced
        for shown in self.shown:
            if shown.running:
                self._follow(shown)
                if not shown.running:
                    self._following[shown.key].over.set()
        self.refresh()

    def show(self) -> None:
        """Tell the views what happens from now on."""
        self._channel.muted = False

    def hide(self) -> None:
        """Tell them nothing any more; what runs goes on."""
        self._channel.muted = True

    def close(self) -> None:
        """Stop what runs, and look no more."""
        if self._turn in self.session.watchers:
            self.session.watchers.remove(self._turn)
            if (shell := get_ipython()) is not None:
                shell.events.unregister("post_run_cell", self.cell_ran)
        for following in tuple(self._following.values()):
            following.close()

    def _put(self, shown: ExchangeView) -> None:
        with self._channel.lock:
            after, gone = self.shown.put(shown)
            self._channel.tell("exchange", exchange=shown.whole(), after=after, gone=gone)

    def _turn(self, turn: RunningTurn) -> None:
        """Follow a turn that somebody else has begun, such as a cell; on the I/O thread.

        That thread never waits for ours.
        """
        reply = turn.reply
        if reply.standing.slot is None:
            return
        following = self._following.get(short(reply.turn))
        if following is None and reply.status == "running":
            shown = ExchangeView(turn.prompt.text, reply)
            self._follow(shown, lambda: self._put(shown))
        elif following is not None and reply.status != "running":
            following.over.set()

    def _follow(self, shown: ExchangeView, first: Callable[[], None] = lambda: None) -> None:
        following = ReplyPublisher(shown, self._channel, None, self._over)
        self._following[shown.key] = following
        following.start(self.context.copy(), first)

    def _over(self, shown: ExchangeView) -> None:
        with self._channel.lock:
            self._following.pop(shown.key, None)
            self._taken = next(self._reads)  # what was read before this may not hold it
        try:
            self.refresh()
        finally:
            self._ended()

    def _marks(self) -> list[Mark]:
        ledger = self.session.ledger
        return ledger.history.marks(ledger.sessions.lines(self.session.id))

    def agent(self) -> str:
        """Return the agent that answers where none is named; empty if none does."""
        try:
            return self._client.connection().agent or ""
        except SwiftaskError:
            return ""


def listens() -> bool:
    """Tell whether the kernel hears a view while a cell runs: only one with subshells does."""
    kernel = getattr(get_ipython(), "kernel", None)
    return bool(getattr(kernel, "_supports_kernel_subshells", False))
