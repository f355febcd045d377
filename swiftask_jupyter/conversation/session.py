"""A conversation that can be gone on with: what each prompt is sent with."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from swiftask_jupyter.answers.answer import Answer, answer
from swiftask_jupyter.answers.reply import Event, Reply, Standing
from swiftask_jupyter.conversation.context import Context
from swiftask_jupyter.conversation.log import ConversationLog, moment_after
from swiftask_jupyter.conversation.notebook_file import NotebookFile
from swiftask_jupyter.conversation.rules import Exchange, around, digest
from swiftask_jupyter.conversation.running_turn import RunningTurn
from swiftask_jupyter.conversation.stream import Stream
from swiftask_jupyter.errors import (
    ConfigurationError,
    PromptError,
    Refused,
    StoreError,
    StoreUnreachable,
)
from swiftask_jupyter.ledger import Ledger
from swiftask_jupyter.ledger.turns import new_id
from swiftask_jupyter.prompts.compose import fitting, said_before
from swiftask_jupyter.prompts.prompt import Prompt
from swiftask_jupyter.settings.secrets import Secret
from swiftask_jupyter.support.io_thread import IOThread
from swiftask_jupyter.support.structs import Struct, replace
from swiftask_jupyter.transport.client import Transport
from swiftask_jupyter.turns.routing import Route

if TYPE_CHECKING:
    from swiftask_jupyter.turns.request_preview import RequestPreview

CACHES = ("off", "on", "strict")


class Means(Struct):
    """What the sessions of one client share.

    Attributes:
        ledger: the store.
        transport: the network.
        thread: where the network's traffic happens.
        prepare: makes a prompt and its route out of a text, an agent and options.
        mask: takes every token out of a text.
        where: tells the cell that runs now and its execution, where there is one.
        cache: what is done where the same was asked before: `off`, `on` or `strict`.
        history_limit: the most tokens of history to send, roughly counted; 0 for all.
    """

    ledger: Ledger
    transport: Transport
    thread: IOThread
    prepare: Callable[..., tuple[Prompt, Route]]
    mask: Callable[[str], str]
    where: Callable[[], tuple[str | None, str | None]] = lambda: (None, None)
    cache: str = "off"
    history_limit: int = 0


class Session(ConversationLog):
    """One conversation, of one notebook or of none.

    Attributes:
        watchers: told of each turn when it begins and when it has ended, on the I/O thread.
    """

    def __init__(self, means: Means, file: NotebookFile, name: str) -> None:
        super().__init__(means.ledger, file, name)
        self.watchers: list[Callable[[RunningTurn], None]] = []
        self._means = means

    def ask(self, text: str, agent: str | None = None, **options: Any) -> Answer:
        """Ask an agent in this conversation and return its whole answer.

        Args:
            text: the prompt.
            agent: the slug; default: the connection's.
            options: for this turn alone: `fresh` (send nothing of what was said before), `last`
                (send that many turns of it), `history=False` (neither send nor remember),
                `cache` (`off`, `on` or `strict`), `replay` (tell a service that keeps the
                conversation itself, and lost it, what was said), `slot` (the slot of the turn
                to replace); and all that `Swiftask.ask` takes.

        Raises:
            Refused: nothing was sent, and the message says why.
            ConnectionFailed: no answer came.
            ServiceError: the service answered with an error.
            StreamError: the answer broke off or made no sense.
            StoreError: the ledger can't be read or written.
        """
        return self.stream(text, agent, **options).answer

    def stream(self, text: str, agent: str | None = None, **options: Any) -> Stream:
        """Ask an agent and return its answer's events as they come; all else as `ask`."""
        return Stream(self.turn(text, agent, **options), self._means.thread)

    async def ask_async(self, text: str, agent: str | None = None, **options: Any) -> Answer:
        """Ask from a running loop; all else as `ask`."""
        turn = self.turn(text, agent, **options)
        async for _ in self._means.thread.stream_async(turn.events()):
            pass
        return answer(turn.reply)

    async def stream_async(
        self, text: str, agent: str | None = None, **options: Any
    ) -> AsyncIterator[Event]:
        """Yield the events of an answer in a running loop; all else as `ask`."""
        turn = self.turn(text, agent, **options)
        async for events in self._means.thread.stream_async(turn.events()):
            for event in events:
                yield event

    def dry_run(self, text: str, agent: str | None = None, **options: Any) -> RequestPreview:
        """Return what `ask` would send, and send nothing; `print` shows it."""
        from swiftask_jupyter.turns.request_preview import Call, preview

        turn = self.turn(text, agent, **options)
        costs = self.ledger.turns.costs(turn.prompt.agent)
        return preview(*turn.likely(), [Call(*each) for each in costs])

    def turn(
        self,
        text: str,
        agent: str | None = None,
        *,
        surface: str = "python",
        slot: str | None = None,
        history: bool = True,
        fresh: bool = False,
        last: int | None = None,
        cache: str | None = None,
        replay: bool = False,
        aside: bool = False,
        **options: Any,
    ) -> RunningTurn:
        """Return the turn that asks the prompt; nothing is sent until it is watched.

        One that is put `aside` is sent as if it filled its slot, and fills it when it is picked.
        """
        means, identity = self._means, new_id()
        try:
            cache = _known(cache or means.cache)
            prompt, route = means.prepare(text, agent, needs_token=cache != "strict", **options)
            agent = prompt.agent
            check(prompt, route.secrets)
            cell, run = means.where() if surface in {"cell", "python"} else (None, None)
            standing = Standing(None, cell, run or identity, surface)
            context = Context(cache=cache, replay=replay, fresh=fresh or not history,
                              highest=self._taken_over())  # fmt: skip
            if history:
                standing = replace(standing, slot=slot or cell or identity)
                try:
                    whole = self._context(context, standing, identity)
                    prompt, context = self._with_history(prompt, route, whole, last)
                except StoreUnreachable as error:
                    # Which conversation it is of could not be looked up, and is not later.
                    apart = ", and stays out of the conversation" if self._id is None else ""
                    context = replace(context, remarks=(f"sent without history{apart}: {error}",))
                standing = replace(standing, after=None if fresh else digest(context.earlier))
            if aside:
                standing, context = replace(standing, slot=None), replace(context, later=())
        except Refused as error:
            self.refuse(error, agent=agent or "", text=text)
            raise
        return RunningTurn(
            identity, prompt, route, place=self.place, standing=standing, context=context,
            ledger=self.ledger, transport=means.transport, watchers=self.watchers,
        )  # fmt: skip

    def _context(self, context: Context, standing: Standing, identity: str) -> Context:
        """Add what stands around a turn that is about to fill its slot."""
        answered, sent, marks = self._read()
        earliest = moment_after(sent, marks)
        coming = Exchange(
            identity, max(time.time(), earliest), 0, standing.slot, standing.cell, standing.run,
            standing.surface, "", "",
        )  # fmt: skip
        earlier, later = around(coming, answered, marks, self._document.now())
        highest = max((each.number for each in sent), default=0)
        return replace(
            context, earlier=earlier, later=later, sent=sent, earliest=earliest, highest=highest
        )

    def _with_history(
        self, prompt: Prompt, route: Route, context: Context, last: int | None
    ) -> tuple[Prompt, Context]:
        """Put what was said before in front of the prompt, as far as it is wanted."""
        if context.fresh:
            return prompt, context
        if last is not None and (not isinstance(last, int) or last < 0):
            raise ConfigurationError("--last takes a number of turns, 0 or more")
        start = 0 if last is None else max(0, len(context.earlier) - last)
        kept = self.ledger.history.with_texts(context.earlier[start:])
        sent = fitting(kept, self._means.history_limit)
        return (
            replace(prompt, history=(*prompt.history, *said_before(sent, route.secrets))),
            replace(context, left_out=len(kept) - len(sent)),
        )

    def refuse(self, error: Refused, *, agent: str, text: str) -> None:
        """Record a prompt that was not sent, without any token in it or in the error."""
        mask = self._means.mask
        agent, text = (mask(each) if isinstance(each, str) else "" for each in (agent, text))
        error.masked(mask)
        reply = Reply(agent, turn=new_id(), at=time.time(), status="refused", error=str(error))
        with suppress(StoreError):  # why it was refused matters more than where that is written
            reply.session = self.id
            self.ledger.turns.refuse(reply, self.place, text)


def _known(cache: str) -> str:
    if cache not in CACHES:
        raise ConfigurationError(f"no cache {cache!r}", advice=f"there is: {', '.join(CACHES)}")
    return cache


def check(prompt: Prompt, secrets: Iterable[Secret]) -> None:
    """Refuse a prompt that can't be sent as it is.

    Raises:
        PromptError: it is empty, holds a token anywhere, or has no encoding.
    """
    if not prompt.text.strip():
        raise PromptError("the prompt is empty", advice="write it below the magic line")
    for token in secrets:
        for name, part in prompt.parts():
            if token.stands_in(part):
                said = f"{token.mask(name)} holds your token"
                raise PromptError(said, advice="take it out; it was not sent")
        if token.stands_in(prompt.agent):
            raise PromptError("the agent's name is your token", advice="name the agent's slug")
    try:
        prompt.text.encode()
    except UnicodeEncodeError as error:
        raise PromptError(
            f"character {error.start + 1} of the prompt is half a surrogate pair",
            advice="it has no encoding; take it out",
        ) from None
