"""One attempt to get an answer: the only code that sends a prompt.

A turn of a conversation and a row of a batch both run an `Attempt`; they differ in what they do
with its events, and in who waits before a retry.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from swiftask_jupyter.answers.turn import Event, Reply, Status, has_text, new_id
from swiftask_jupyter.errors import ConnectionFailed, Refused, ServiceError, SwiftaskError
from swiftask_jupyter.prompts.prompt import ALIAS_PREFIX, Prompt
from swiftask_jupyter.protocols.base import Protocol
from swiftask_jupyter.support.structs import replace
from swiftask_jupyter.transport.client import Transport
from swiftask_jupyter.transport.connection import NO_HOOK, NotSent, RequestHook
from swiftask_jupyter.turns.retry import was_not_accepted
from swiftask_jupyter.turns.routing import Route

RetryDelay = Callable[[SwiftaskError, int], float | None]


def never_retry(_error: SwiftaskError, _requests: int) -> None:
    """Return no delay: the caller decides about retries."""


class Attempt:
    """Sends one prompt, by whichever dialect the service accepts, and fills in its reply.

    Args:
        transport: the network.
        route: the dialects to try, and the token to mask.
        prompt: what is asked.
        reply: the reply that grows; dialect, digest, attempts, times and outcome are set too.
        hook: called before each request is sent, and again with the head of each response.
        retry_delay: returns the seconds to wait before the prompt is sent again after an error,
            or `None` to give up; given the error and the number of requests so far.
        address: adapts the prompt to a dialect, before each request.

    Attributes:
        began: whether any of the answer has arrived; then it may be billed, and is not sent
            again.
    """

    def __init__(
        self,
        transport: Transport,
        route: Route,
        prompt: Prompt,
        reply: Reply,
        *,
        hook: RequestHook = NO_HOOK,
        retry_delay: RetryDelay = never_retry,
        address: Callable[[Protocol, Prompt], Prompt] = lambda _protocol, prompt: prompt,
    ) -> None:
        self.prompt = prompt
        self.reply = reply
        self.began = False
        self._transport = transport
        self._route = route
        self._hook = hook
        self._retry_delay = retry_delay
        self._address = address
        self._start = time.perf_counter()

    async def events(self) -> AsyncGenerator[list[Event], None]:
        """Send the prompt and yield the events of its answer, one list for each network read.

        Raises:
            NotSent: the hook held the request back.
            SwiftaskError: no answer came, or it broke off (then `began`).
        """
        reply, route = self.reply, self._route
        protocol = await route.protocol()
        while True:
            prompt = self._addressed(protocol)
            try:
                stream = self._transport.stream(protocol, prompt, self._show_progress, self._hook)
                async with aclosing(stream) as answer:
                    async for events in answer:
                        self.began = True
                        self.receive(events)
                        yield events
                break
            except NotSent:
                reply.attempts -= 1
                raise
            except (ServiceError, ConnectionFailed) as error:
                if self.began:
                    raise
                if was_not_accepted(error):
                    reply.conversation = None  # the service did not add the prompt to it
                protocol = await self._next_protocol(protocol, error)
        if protocol.takes_alias and reply.conversation is None:
            reply.conversation = prompt.alias
        route.record_success(protocol)

    def receive(self, events: list[Event]) -> None:
        """Add events to the reply, and note when the first text arrived."""
        if self.reply.first_token_seconds is None and has_text(events):
            self.reply.first_token_seconds = self._seconds()
        self.reply.apply(events)

    def preview(self) -> tuple[Protocol, Prompt, str]:
        """Return how and what would be sent, and what is unknown about it; nothing is sent."""
        protocol, unknown = self._route.preview()
        return protocol, self._addressed(protocol), unknown

    def end(self, error: BaseException | None = None, *, status: Status | None = None) -> None:
        """Note how it ended: the status, the seconds, and the error without any token.

        Args:
            error: what went wrong; `None` if nothing did.
            status: the status; default: the one that fits the error.
        """
        reply = self.reply
        reply.status = status or _status_after(error)
        reply.seconds = self._seconds()
        if isinstance(error, SwiftaskError):
            reply.error = str(error.masked(self._route.token.mask))
        elif reply.status == "error" and error is not None:
            reply.error = type(error).__name__

    async def _next_protocol(
        self, failed: Protocol, error: ServiceError | ConnectionFailed
    ) -> Protocol:
        """Return the dialect for the next request, after the delay before a retry.

        Raises:
            SwiftaskError: there is no further request; the error, which may suggest an agent.
        """
        if isinstance(error, ServiceError) and (other := self._route.fallback(failed, error)):
            return other
        delay = self._retry_delay(error, self.reply.attempts)
        if delay is None:
            raise await self._route.enrich(error)
        self._show_progress(f"asking again in {delay:.0f} s: {error}")
        await asyncio.sleep(delay)
        self._show_progress("")
        return failed

    def _addressed(self, protocol: Protocol) -> Prompt:
        """Return the prompt for a dialect, and note in the reply what the request is."""
        reply, prompt = self.reply, self.prompt
        reply.dialect, reply.streams = protocol.name, protocol.streams
        reply.request_digest = prompt.digest(protocol.name, self._route.host)
        reply.attempts += 1
        prompt = replace(self._address(protocol, prompt), alias=ALIAS_PREFIX + new_id())
        reply.conversation = prompt.conversation
        if reply.attempts == 1 and (remark := protocol.remark(prompt)):
            reply.remarks.append(remark)
        return prompt

    def _show_progress(self, progress: str) -> None:
        self.reply.progress = progress

    def _seconds(self) -> float:
        return time.perf_counter() - self._start


def _status_after(error: BaseException | None) -> Status:
    if error is None:
        return "ok"
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return "interrupted"
    return "refused" if isinstance(error, Refused) else "error"
