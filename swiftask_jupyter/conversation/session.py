"""`Session`: sends prompts in one conversation."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from swiftask_jupyter.answers.answer import Answer, answer_from
from swiftask_jupyter.answers.turn import Event, Reply, Turn, history_digest, new_id
from swiftask_jupyter.conversation.log import ConversationLog, moment_after
from swiftask_jupyter.conversation.notebook_file import NotebookFile
from swiftask_jupyter.conversation.rules import around, said_at
from swiftask_jupyter.conversation.running_turn import RunningTurn, Stream, TurnContext
from swiftask_jupyter.errors import (
    ConfigurationError,
    Refused,
    StoreError,
    StoreUnreachable,
)
from swiftask_jupyter.ledger import Ledger
from swiftask_jupyter.ledger.sessions import SessionLocation
from swiftask_jupyter.options import CACHE_MODES, AskOptions, with_options
from swiftask_jupyter.prompts.prompt import (
    Prompt,
    history_messages,
    newest_within,
    validate_prompt,
)
from swiftask_jupyter.settings.connection import ConnectionOverrides
from swiftask_jupyter.support.structs import Struct, replace
from swiftask_jupyter.turns.connections import Connections
from swiftask_jupyter.turns.routing import Route

if TYPE_CHECKING:
    from swiftask_jupyter.turns.request_preview import RequestPreview


class ClientRuntime(Struct):
    """The objects and settings that all conversations and batches of one client share.

    Attributes:
        ledger: the database of all turns.
        connections: the client's settings, tokens and network access.
        running_cell: returns the id of the running cell and the id of the cell's execution. Both
            ids are `None` outside of a cell, or if the front end does not provide them.
        cache: the cache mode: `off`, `on` or `strict`.
        history_limit: the maximum size of the earlier turns to send, in estimated tokens; 0 for
            no limit.
        share_history: whether earlier turns are also sent to services that did not receive them
            before.
    """

    ledger: Ledger
    connections: Connections
    running_cell: Callable[[], tuple[str | None, str | None]] = lambda: (None, None)
    cache: str = "off"
    history_limit: int = 0
    share_history: bool = False

    def cache_mode(self, given: str | None) -> str:
        """Return the cache mode `given`, or the client's cache mode if `given` is empty.

        Raises:
            ConfigurationError: the cache mode does not exist.
        """
        mode = given or self.cache
        if mode not in CACHE_MODES:
            raise ConfigurationError(
                f"no cache {mode!r}", advice=f"there is: {', '.join(CACHE_MODES)}"
            )
        return mode


class TurnPlacement(Struct, frozen=True):
    """Where a prompt was written, and which slot in the conversation its turn fills.

    A slot is a place in the conversation. The magics and the chat panel create a `TurnPlacement`. A
    prompt from a script has the default values.

    Attributes:
        surface: `cell`, `panel` or `python`.
        slot: the slot of the turn. A new turn replaces the earlier turn in the same slot. `None`
            stands for the id of the running cell, or for a new slot outside of a cell.
        superseded: whether the prompt is part of a comparison of several agents. In a comparison,
            the turn is sent with the turns that come before the slot. The turn is added to the
            conversation only if the user picks the turn.
    """

    surface: str = "python"
    slot: str | None = None
    superseded: bool = False


PYTHON = TurnPlacement()


class Session:
    """One conversation, in a notebook or outside of one, in which prompts can be sent.

    Attributes:
        runtime: the objects that all conversations of the client share.
        log: the turns of this conversation in the ledger.
        watchers: functions to call with a turn when the turn begins and when the turn ends;
            called on the I/O thread.
    """

    def __init__(self, runtime: ClientRuntime, file: NotebookFile, name: str) -> None:
        self.runtime = runtime
        self.log = ConversationLog(runtime.ledger, file, name)
        self.watchers: list[Callable[[RunningTurn], None]] = []

    @property
    def name(self) -> str:
        """The name that the user gave the conversation."""
        return self.log.name

    @property
    def id(self) -> str:
        """The id of the conversation in the ledger; see `ConversationLog.id`."""
        return self.log.id

    @property
    def notebook(self) -> str | None:
        """The path of the conversation's notebook; `None` outside of a notebook."""
        return self.log.notebook

    @with_options(AskOptions)
    def ask(self, text: str, agent: str | None = None, **options: Unpack[AskOptions]) -> Answer:
        """Ask an agent in this conversation, and return the whole answer.

        Args:
            text: the prompt.
            agent: the agent's slug; default: the connection's agent.
            **options: see `AskOptions`.

        Raises:
            Refused: nothing was sent; the message says why.
            ConnectionFailed: no response arrived.
            ServiceError: the service responded with an error.
            StreamError: the answer broke off or could not be decoded.
            StoreError: the ledger can't be read or written.
        """
        return self.stream(text, agent, **options).answer

    @with_options(AskOptions)
    def stream(self, text: str, agent: str | None = None, **options: Unpack[AskOptions]) -> Stream:
        """Ask an agent in this conversation, and return a `Stream` of the answer's events.

        The request is sent when the iteration begins. Raises the same errors as `ask`.

        Args:
            text: the prompt.
            agent: the agent's slug; default: the connection's agent.
            **options: see `AskOptions`.
        """
        return self.stream_from(PYTHON, text, agent, **options)

    def stream_from(
        self,
        origin: TurnPlacement,
        text: str,
        agent: str | None = None,
        **options: Unpack[AskOptions],
    ) -> Stream:
        """Ask an agent and return a `Stream`; `origin` says where the prompt was written."""
        turn = self.turn(text, agent, origin, **options)
        return Stream(turn, self.runtime.connections.thread)

    @with_options(AskOptions)
    async def ask_async(
        self, text: str, agent: str | None = None, **options: Unpack[AskOptions]
    ) -> Answer:
        """Ask an agent as `ask` does, without blocking the caller's event loop.

        Args:
            text: the prompt.
            agent: the agent's slug; default: the connection's agent.
            **options: see `AskOptions`.
        """
        turn = self.turn(text, agent, **options)
        async for _ in self.runtime.connections.thread.stream_async(turn.events()):
            pass
        return answer_from(turn.reply)

    @with_options(AskOptions)
    async def stream_async(
        self, text: str, agent: str | None = None, **options: Unpack[AskOptions]
    ) -> AsyncIterator[Event]:
        """Ask an agent and yield the answer's events, without blocking the caller's event loop.

        Raises the same errors as `ask`.

        Args:
            text: the prompt.
            agent: the agent's slug; default: the connection's agent.
            **options: see `AskOptions`.
        """
        turn = self.turn(text, agent, **options)
        async for events in self.runtime.connections.thread.stream_async(turn.events()):
            for event in events:
                yield event

    @with_options(AskOptions)
    def dry_run(
        self, text: str, agent: str | None = None, **options: Unpack[AskOptions]
    ) -> RequestPreview:
        """Return a printable preview of the request that `ask` would send; send nothing.

        Args:
            text: the prompt.
            agent: the agent's slug; default: the connection's agent.
            **options: see `AskOptions`.
        """
        from swiftask_jupyter.turns.request_preview import CallCost, preview_request

        turn = self.turn(text, agent, **options)
        costs = self.runtime.ledger.turns.costs(turn.prompt.agent, sandbox=turn.reply.sandbox)
        return preview_request(*turn.preview(), [CallCost(*each) for each in costs])

    def turn(
        self,
        text: str,
        agent: str | None = None,
        origin: TurnPlacement = PYTHON,
        **options: Unpack[AskOptions],
    ) -> RunningTurn:
        """Create a turn for a prompt; the request is sent when `RunningTurn.events` is read.

        Args:
            text: the prompt.
            agent: the agent's slug; default: the connection's agent.
            origin: where the prompt was written, and which slot in the conversation the turn fills.
            options: see `AskOptions`.

        Raises:
            Refused: the prompt can't be sent; the message says why.
            StoreError: the ledger can't be read.
        """
        runtime, reply = self.runtime, Reply(id=new_id(), surface=origin.surface)
        asked: dict[str, Any] = {**options}
        history, fresh = asked.pop("history", True), asked.pop("fresh", False)
        last, replay = asked.pop("last", None), asked.pop("replay", False)
        shared = asked.pop("share_history", False) or runtime.share_history
        named = asked.pop("cache", None)
        try:
            cache = runtime.cache_mode(named)
            prompt, route = runtime.connections.prepare(
                text, agent, needs_token=cache != "strict", **asked
            )
            reply.agent = agent = prompt.agent
            route.address_turn(reply)
            validate_prompt(prompt, route.secrets)
            if origin.surface in {"cell", "python"}:
                reply.cell, reply.run = runtime.running_cell()
            reply.run = reply.run or reply.id
            context = TurnContext(cache=cache, replay=replay, fresh=fresh or not history,
                                  highest=self.log.highest_copied())  # fmt: skip
            if history:
                reply.slot = origin.slot or reply.cell or reply.id
                try:
                    around = self._context(context, reply, None if shared else route.service)
                    prompt, context = self._with_history(prompt, route, around, last)
                    reply.withheld = len(context.withheld)
                except StoreUnreachable as error:
                    # Without the conversation's id, the turn can't be added to it later either.
                    apart = "" if self.log.is_known else ", and stays out of the conversation"
                    context = replace(context, remarks=(f"sent without history{apart}: {error}",))
                reply.history_digest = None if fresh else history_digest(context.sendable)
            if origin.superseded:
                reply.slot, context = None, replace(context, later=())
        except Refused as error:
            self.refuse(error, agent=agent or "", text=text, connection=options.get("connection"))
            raise
        reply.prompt, reply.notebook, reply.session = prompt.text, self.notebook, self.id
        return RunningTurn(
            reply, prompt, route, context=context, ledger=runtime.ledger,
            transport=runtime.connections.transport, watchers=self.watchers,
        )  # fmt: skip

    def _context(self, context: TurnContext, reply: Reply, service: str | None) -> TurnContext:
        """Return a copy of `context` with the turns before and after the new turn `reply`.

        Args:
            context: the options of the new turn, without other turns.
            reply: the turn that is about to be sent.
            service: only turns that this service received may be sent. `None` allows all turns.

        Raises:
            StoreError: the ledger can't be read.
        """
        answered, sent, marks = self.log.read()
        earliest = moment_after(sent, marks)
        coming = Turn(id=reply.id, at=max(time.time(), earliest), slot=reply.slot,
                      cell=reply.cell, run=reply.run, surface=reply.surface)  # fmt: skip
        earlier, later = around(coming, answered, marks, self.log.saved_notebook())
        highest = max((turn.number for turn in sent), default=0)
        sendable = earlier if service is None else said_at(earlier, service)
        return replace(
            context, earlier=earlier, sendable=sendable, later=later, sent=sent,
            earliest=earliest, highest=highest, remarks=self.log.left_behind(sent, marks),
        )  # fmt: skip

    def _with_history(
        self, prompt: Prompt, route: Route, context: TurnContext, last: int | None
    ) -> tuple[Prompt, TurnContext]:
        """Add the earlier turns to the prompt as messages; return the prompt and the new context.

        Only the `last` newest turns are added, and only as many as the history limit allows. No
        turns are added if the context is `fresh`.

        Raises:
            ConfigurationError: `last` is not a number of turns.
            StoreError: the ledger can't be read.
        """
        if context.fresh:
            return prompt, context
        if last is not None and (not isinstance(last, int) or last < 0):
            raise ConfigurationError("--last takes a number of turns, 0 or more")
        sendable = context.sendable
        start = 0 if last is None else max(0, len(sendable) - last)
        kept = self.runtime.ledger.history.with_texts(sendable[start:])
        sent = newest_within(kept, self.runtime.history_limit)
        withheld = () if last == 0 else context.unsendable()
        return (
            replace(prompt, history=(*prompt.history, *history_messages(sent, route.secrets))),
            replace(context, left_out=len(kept) - len(sent), withheld=withheld),
        )

    def refuse(
        self,
        error: Refused,
        *,
        agent: str,
        text: str,
        connection: str | None = None,
    ) -> None:
        """Store a refused prompt in the ledger, with all tokens masked. The prompt was not sent.

        Tokens in `error` are masked too. An error of the ledger is ignored. `connection` is the
        name of the connection that the refused call named, or `None`.
        """
        mask = self.runtime.connections.mask
        agent, text = (mask(each) if isinstance(each, str) else "" for each in (agent, text))
        error.masked(mask)
        reply = Reply(id=new_id(), agent=agent, at=time.time(), status="refused", error=str(error),
                      prompt=text)  # fmt: skip
        with suppress(ConfigurationError):  # which may be the very reason
            named = ConnectionOverrides(connection=connection)
            target = self.runtime.connections.resolve(named)
            reply.host, reply.connection = target.address, target.name
            reply.sandbox = target.is_sandbox
        with suppress(StoreError):  # the caller reports the refusal even if it can't be recorded
            reply.notebook, reply.session = self.notebook, self.id
            self.runtime.ledger.turns.refuse(reply)

    def history(self) -> list[Turn]:
        """Return the current turns of the conversation, in order; see `ConversationLog.history`.

        Raises:
            StoreError: the ledger can't be read.
        """
        return self.log.history()

    def undo(self) -> Turn:
        """Remove the newest turn from the conversation; see `ConversationLog.undo`."""
        return self.log.undo()

    def forget(self, number: int) -> Turn:
        """Remove the turn with this number, and return it; see `ConversationLog.forget`."""
        return self.log.forget(number)

    def reset(self) -> int:
        """Remove all turns, and return the number of turns; see `ConversationLog.reset`."""
        return self.log.reset()

    def purge(self, number: int) -> int:
        """Erase a turn's texts; return how many turns were erased; see `ConversationLog.purge`."""
        return self.log.purge(number)

    def pick(self, which: str | int) -> Turn:
        """Add an answer of a comparison, and return the turn; see `ConversationLog.pick`."""
        return self.log.pick(which)

    def adopt(self, which: str = "") -> SessionLocation:
        """Continue an earlier conversation in this session; see `ConversationLog.adopt`."""
        return self.log.adopt(which)

    def export(self, path: str | Path) -> Path:
        """Write the conversation to a `.md` or `.json` file; see `ConversationLog.export`."""
        return self.log.export(path)

    def import_file(self, path: str | Path) -> int:
        """Append an exported file's turns; return how many; see `ConversationLog.import_file`."""
        return self.log.import_file(path)
