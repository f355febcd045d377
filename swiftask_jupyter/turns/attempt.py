"""`Attempt`: sends one prompt and reads its answer. No other code sends prompts.

`RunningTurn` uses this class for conversations, and `RowTask` uses it for batches. In a
conversation, the `Attempt` waits and retries a failed request. In a batch, the scheduler decides
about retries.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from swiftask_jupyter.answers.turn import Event, Reply, Status, has_text, new_id
from swiftask_jupyter.errors import (
    ConnectionFailed,
    RateLimited,
    Refused,
    ServiceError,
    SwiftaskError,
)
from swiftask_jupyter.prompts.prompt import ALIAS_PREFIX, Prompt
from swiftask_jupyter.protocols.base import Protocol
from swiftask_jupyter.protocols.http import ResponseHead
from swiftask_jupyter.support.structs import replace
from swiftask_jupyter.transport.client import Transport
from swiftask_jupyter.transport.connection import NO_HOOK, RequestHeld, RequestHook
from swiftask_jupyter.turns.retry import was_not_accepted
from swiftask_jupyter.turns.routing import Route

RetryDelay = Callable[[SwiftaskError, int], float | None]


def never_retry(_error: SwiftaskError, _requests: int) -> None:
    """Return `None`, so that no request is retried; the default for `retry_delay`."""


class TimedHook(RequestHook):
    """Measures how many seconds after a request its response came, and calls another hook.

    Args:
        hook: the other hook.
    """

    def __init__(self, hook: RequestHook) -> None:
        self._hook = hook
        self._sent_at: float | None = None
        self._seconds: float | None = None

    def before_send(self) -> None:
        """Call the other hook, and start to measure.

        Raises:
            RequestHeld: the other hook prevented the request.
        """
        self._hook.before_send()
        self._sent_at, self._seconds = time.perf_counter(), None

    def on_response(self, head: ResponseHead) -> None:
        """Call the other hook, and end to measure."""
        self._seconds = self.seconds()
        self._hook.on_response(head)

    def seconds(self) -> float | None:
        """Return the seconds from the request to its response, or until now without a response.

        The result is `None` if no request was sent.
        """
        if self._seconds is None and self._sent_at is not None:
            return time.perf_counter() - self._sent_at
        return self._seconds


class Attempt:
    """Sends one prompt to the service, and stores the answer in a `Reply`.

    After an error, the prompt may be sent again, by the same protocol or by another one.

    Args:
        transport: sends the requests.
        route: chooses the protocol of each request.
        prompt: the prompt to send.
        reply: the record of the prompt and its answer; updated while the answer arrives.
        hook: called before each request is sent, and with the head of each response.
        retry_delay: called after a failed request with the error and the number of requests so
            far. Returns the seconds to wait before a retry, or `None` to raise the error.
        address: called before each request with the protocol and the prompt. Returns the prompt
            to send, for example with a conversation id. Default: returns the prompt unchanged.

    Attributes:
        prompt: the prompt to send.
        reply: the record of the prompt and its answer.
        began: whether a part of the answer has arrived. If so, the prompt is not sent again,
            because the answer may be billed.
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
        self._hook = TimedHook(hook)
        self._retry_delay = retry_delay
        self._address = address
        self._start = time.perf_counter()

    async def events(self) -> AsyncGenerator[list[Event], None]:
        """Send the prompt and yield the events of its answer, one list for each network read.

        The events are also added to the reply. The method `end` must be called afterwards: it sets
        the reply's final status.

        Raises:
            RequestHeld: the hook prevented the request.
            SwiftaskError: no answer arrived, or the answer was cut short.
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
            except RequestHeld:
                reply.attempts -= 1
                raise
            except (ServiceError, ConnectionFailed) as error:
                error.after = self._hook.seconds()
                if isinstance(error, RateLimited) and reply.first_token_seconds is None:
                    self.began = False  # such as an id, but nothing of the answer
                if self.began:
                    raise
                if was_not_accepted(error):
                    reply.conversation = None  # the service did not continue it
                protocol = await self._next_protocol(protocol, error)
        if protocol.takes_alias and reply.conversation is None:
            reply.conversation = prompt.alias
        route.record_success(protocol)

    def receive(self, events: list[Event]) -> None:
        """Add events to the reply.

        The first text also sets the reply's `first_token_seconds`.
        """
        if self.reply.first_token_seconds is None and has_text(events):
            self.reply.first_token_seconds = self._seconds()
        self.reply.apply(events)

    def preview(self) -> tuple[Protocol, Prompt, str]:
        """Return the protocol, the prompt and a remark for a dry run; send nothing.

        The protocol and the prompt are those of the first request. The remark says how the real
        request may differ; it is empty if the real request cannot differ.
        """
        protocol, unknown = self._route.preview()
        return protocol, self._addressed(protocol), unknown

    def end(self, error: BaseException | None = None, *, status: Status | None = None) -> None:
        """Store in the reply how the attempt ended: status, duration and error message.

        The API token is masked in the error message.

        Args:
            error: the exception that ended the attempt; `None` if the attempt succeeded.
            status: the status to store; default: derived from the error.
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
        """Return the protocol by which to send the prompt again after an error.

        If the route has another protocol for this error, return that protocol at once. Otherwise
        wait for the retry delay, and return the protocol that failed.

        Args:
            failed: the protocol of the last request.
            error: the error of the last request.

        Raises:
            SwiftaskError: the prompt must not be sent again. The exception is `error`, or a copy of
                `error` that also suggests a slug.
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
        """Return the prompt to send in the next request, and update the reply.

        The update sets the protocol and the request's digest, and adds 1 to the reply's `attempts`.

        Args:
            protocol: the protocol of the next request.

        Raises:
            ConnectionFailed: the sandbox that was to be asked has ended.
        """
        self._route.check_service()
        reply, prompt = self.reply, self.prompt
        reply.dialect, reply.streams = protocol.name, protocol.streams
        reply.request_digest = prompt.digest(protocol.name, self._route.service)
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
