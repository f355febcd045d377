"""A session: one conversation that prompts are sent in."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from swiftask_jupyter.answers.answer import Answer, answer_from
from swiftask_jupyter.answers.turn import Event, Reply, Turn, history_digest, new_id
from swiftask_jupyter.conversation.log import ConversationLog, moment_after
from swiftask_jupyter.conversation.notebook_file import NotebookFile
from swiftask_jupyter.conversation.rules import around
from swiftask_jupyter.conversation.running_turn import RunningTurn, Stream, TurnContext
from swiftask_jupyter.errors import (
    ConfigurationError,
    PromptError,
    Refused,
    StoreError,
    StoreUnreachable,
)
from swiftask_jupyter.ledger import Ledger
from swiftask_jupyter.options import CACHE_MODES, AskOptions, with_options
from swiftask_jupyter.prompts.prompt import Prompt, history_messages, newest_within
from swiftask_jupyter.settings.secrets import Secret
from swiftask_jupyter.support.structs import Struct, replace
from swiftask_jupyter.turns.connections import Connections
from swiftask_jupyter.turns.routing import Route

if TYPE_CHECKING:
    from swiftask_jupyter.turns.request_preview import RequestPreview


class Runtime(Struct):
    """What the sessions and batches of one client share.

    Attributes:
        ledger: the database of all turns.
        connections: settings, secrets, routes and the network.
        running_cell: returns the id of the cell that runs now and of its execution; both are
            `None` outside of a cell, or where the front end does not say.
        cache: the cache mode: `off`, `on` or `strict`.
        history_limit: the most tokens of history to send, roughly counted; 0 for all.
    """

    ledger: Ledger
    connections: Connections
    running_cell: Callable[[], tuple[str | None, str | None]] = lambda: (None, None)
    cache: str = "off"
    history_limit: int = 0


class Origin(Struct, frozen=True):
    """Who asks a turn, and which turn it replaces; the notebook and the panel know.

    Attributes:
        surface: `cell`, `panel` or `python`.
        slot: the slot to fill; default: the running cell's, else a new one.
        superseded: whether the turn is sent as if it filled its slot, but fills none: it is one
            of several answers, of which one is picked later.
    """

    surface: str = "python"
    slot: str | None = None
    superseded: bool = False


PYTHON = Origin()


class Session:
    """One conversation, in a notebook or outside of one.

    Attributes:
        runtime: what all sessions of the client share.
        log: its turns.
        watchers: called on the I/O thread when a turn begins and when it has ended.
    """

    def __init__(self, runtime: Runtime, file: NotebookFile, name: str) -> None:
        self.runtime = runtime
        self.log = ConversationLog(runtime.ledger, file, name)
        self.watchers: list[Callable[[RunningTurn], None]] = []

    @property
    def name(self) -> str:
        """What the user calls the conversation."""
        return self.log.name

    @property
    def id(self) -> str:
        """Its id in the ledger."""
        return self.log.id

    @property
    def notebook(self) -> str | None:
        """The path of its notebook; `None` outside of one."""
        return self.log.notebook

    @with_options(AskOptions)
    def ask(self, text: str, agent: str | None = None, **options: Unpack[AskOptions]) -> Answer:
        """Ask an agent in this conversation and return its whole answer.

        Args:
            text: the prompt.
            agent: the slug; default: the connection's.
            **options: for this call.

        Raises:
            Refused: nothing was sent; the message says why.
            ConnectionFailed: no answer came.
            ServiceError: the service answered with an error.
            StreamError: the answer broke off or made no sense.
            StoreError: the ledger can't be read or written.
        """
        return self.stream(text, agent, **options).answer

    @with_options(AskOptions)
    def stream(self, text: str, agent: str | None = None, **options: Unpack[AskOptions]) -> Stream:
        """Ask an agent and return its answer's events as they come; otherwise as `ask`.

        Args:
            text: the prompt.
            agent: the slug; default: the connection's.
            **options: for this call.
        """
        return self.stream_from(PYTHON, text, agent, **options)

    def stream_from(
        self,
        origin: Origin,
        text: str,
        agent: str | None = None,
        **options: Unpack[AskOptions],
    ) -> Stream:
        """Ask on behalf of a cell or a panel; otherwise as `stream`."""
        turn = self.turn(text, agent, origin, **options)
        return Stream(turn, self.runtime.connections.thread)

    @with_options(AskOptions)
    async def ask_async(
        self, text: str, agent: str | None = None, **options: Unpack[AskOptions]
    ) -> Answer:
        """Ask from a running event loop; otherwise as `ask`.

        Args:
            text: the prompt.
            agent: the slug; default: the connection's.
            **options: for this call.
        """
        turn = self.turn(text, agent, **options)
        async for _ in self.runtime.connections.thread.stream_async(turn.events()):
            pass
        return answer_from(turn.reply)

    @with_options(AskOptions)
    async def stream_async(
        self, text: str, agent: str | None = None, **options: Unpack[AskOptions]
    ) -> AsyncIterator[Event]:
        """Yield the events of an answer in a running event loop; otherwise as `ask`.

        Args:
            text: the prompt.
            agent: the slug; default: the connection's.
            **options: for this call.
        """
        turn = self.turn(text, agent, **options)
        async for events in self.runtime.connections.thread.stream_async(turn.events()):
            for event in events:
                yield event

    @with_options(AskOptions)
    def dry_run(
        self, text: str, agent: str | None = None, **options: Unpack[AskOptions]
    ) -> RequestPreview:
        """Return the request that `ask` would send, and send nothing; `print` shows it.

        Args:
            text: the prompt.
            agent: the slug; default: the connection's.
            **options: for this call.
        """
        from swiftask_jupyter.turns.request_preview import CallCost, preview_request

        turn = self.turn(text, agent, **options)
        costs = self.runtime.ledger.turns.costs(turn.prompt.agent)
        return preview_request(*turn.preview(), [CallCost(*each) for each in costs])

    def turn(
        self,
        text: str,
        agent: str | None = None,
        origin: Origin = PYTHON,
        **options: Unpack[AskOptions],
    ) -> RunningTurn:
        """Return a turn that asks the prompt; nothing is sent until its events are read.

        Args:
            text: the prompt.
            agent: the slug; default: the connection's.
            origin: who asks, and which slot it fills.
            options: see `AskOptions`.

        Raises:
            Refused: nothing will be sent; the message says why.
            StoreError: the ledger can't be read.
        """
        runtime, reply = self.runtime, Reply(id=new_id(), surface=origin.surface)
        asked: dict[str, Any] = {**options}
        history, fresh = asked.pop("history", True), asked.pop("fresh", False)
        last, replay = asked.pop("last", None), asked.pop("replay", False)
        cache = asked.pop("cache", None) or runtime.cache
        try:
            _check_cache(cache)
            prompt, route = runtime.connections.prepare(
                text, agent, needs_token=cache != "strict", **asked
            )
            reply.agent = agent = prompt.agent
            check(prompt, route.secrets)
            if origin.surface in {"cell", "python"}:
                reply.cell, reply.run = runtime.running_cell()
            reply.run = reply.run or reply.id
            context = TurnContext(cache=cache, replay=replay, fresh=fresh or not history,
                                  highest=self.log.highest_copied())  # fmt: skip
            if history:
                reply.slot = origin.slot or reply.cell or reply.id
                try:
                    around = self._context(context, reply)
                    prompt, context = self._with_history(prompt, route, around, last)
                except StoreUnreachable as error:
                    # Which conversation it belongs to could not be found, and won't be later.
                    apart = "" if self.log.is_known else ", and stays out of the conversation"
                    context = replace(context, remarks=(f"sent without history{apart}: {error}",))
                reply.history_digest = None if fresh else history_digest(context.earlier)
            if origin.superseded:
                reply.slot, context = None, replace(context, later=())
        except Refused as error:
            self.refuse(error, agent=agent or "", text=text)
            raise
        reply.prompt, reply.notebook, reply.session = prompt.text, self.notebook, self.id
        return RunningTurn(
            reply, prompt, route, context=context, ledger=runtime.ledger,
            transport=runtime.connections.transport, watchers=self.watchers,
        )  # fmt: skip

    def _context(self, context: TurnContext, reply: Reply) -> TurnContext:
        """Add the turns around a turn that is about to fill its slot."""
        answered, sent, marks = self.log.read()
        earliest = moment_after(sent, marks)
        coming = Turn(id=reply.id, at=max(time.time(), earliest), slot=reply.slot,
                      cell=reply.cell, run=reply.run, surface=reply.surface)  # fmt: skip
        earlier, later = around(coming, answered, marks, self.log.saved_notebook())
        highest = max((turn.number for turn in sent), default=0)
        return replace(
            context, earlier=earlier, later=later, sent=sent, earliest=earliest, highest=highest
        )

    def _with_history(
        self, prompt: Prompt, route: Route, context: TurnContext, last: int | None
    ) -> tuple[Prompt, TurnContext]:
        """Put the earlier turns in front of the prompt, as far as they are wanted and fit."""
        if context.fresh:
            return prompt, context
        if last is not None and (not isinstance(last, int) or last < 0):
            raise ConfigurationError("--last takes a number of turns, 0 or more")
        start = 0 if last is None else max(0, len(context.earlier) - last)
        kept = self.runtime.ledger.history.with_texts(context.earlier[start:])
        sent = newest_within(kept, self.runtime.history_limit)
        return (
            replace(prompt, history=(*prompt.history, *history_messages(sent, route.secrets))),
            replace(context, left_out=len(kept) - len(sent)),
        )

    def refuse(self, error: Refused, *, agent: str, text: str) -> None:
        """Record a prompt that was not sent, with every token masked."""
        mask = self.runtime.connections.mask
        agent, text = (mask(each) if isinstance(each, str) else "" for each in (agent, text))
        error.masked(mask)
        reply = Reply(id=new_id(), agent=agent, at=time.time(), status="refused", error=str(error),
                      prompt=text)  # fmt: skip
        with suppress(StoreError):  # why it was refused matters more than where that is written
            reply.notebook, reply.session = self.notebook, self.id
            self.runtime.ledger.turns.refuse(reply)

    def history(self) -> list[Turn]:
        """Return the turns that the conversation holds now, in order; stale ones are marked.

        Raises:
            StoreError: the ledger can't be read.
        """
        return self.log.history()

    def undo(self) -> Turn:
        """Take the newest turn back; see `ConversationLog.undo`."""
        return self.log.undo()

    def forget(self, number: int) -> Turn:
        """Take the turn of this number out; see `ConversationLog.forget`."""
        return self.log.forget(number)

    def reset(self) -> int:
        """Start the conversation anew; see `ConversationLog.reset`."""
        return self.log.reset()

    def purge(self, number: int) -> int:
        """Erase the texts of the turn of this number; see `ConversationLog.purge`."""
        return self.log.purge(number)

    def pick(self, which: str | int) -> Turn:
        """Add an answer of a comparison to the conversation; see `ConversationLog.pick`."""
        return self.log.pick(which)

    def export(self, path: str | Path) -> Path:
        """Write the conversation to a `.md` or `.json` file; see `ConversationLog.export`."""
        return self.log.export(path)

    def import_file(self, path: str | Path) -> int:
        """Add the turns of an exported file at the end; see `ConversationLog.import_file`."""
        return self.log.import_file(path)


def _check_cache(cache: str) -> None:
    if cache not in CACHE_MODES:
        raise ConfigurationError(
            f"no cache {cache!r}", advice=f"there is: {', '.join(CACHE_MODES)}"
        )


def check(prompt: Prompt, secrets: Iterable[Secret]) -> None:
    """Refuse a prompt that can't be sent.

    Raises:
        PromptError: it is empty, holds a token anywhere, or has no UTF-8 encoding.
    """
    if not prompt.text.strip():
        raise PromptError("the prompt is empty", advice="write it below the magic line")
    for token in secrets:
        for name, part in prompt.labelled_parts():
            if token.is_in(part):
                said = f"{token.mask(name)} holds your token"
                raise PromptError(said, advice="take it out; it was not sent")
        if token.is_in(prompt.agent):
            raise PromptError("the agent's name is your token", advice="name the agent's slug")
    try:
        prompt.text.encode()
    except UnicodeEncodeError as error:
        raise PromptError(
            f"character {error.start + 1} of the prompt is half a surrogate pair",
            advice="it has no encoding; take it out",
        ) from None
