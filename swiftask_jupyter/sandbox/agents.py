"""Define the sandbox's agents, and run an agent without blocking the server's event loop."""

import asyncio
import contextlib
import inspect
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Message: TypeAlias = dict[str, Any]
"""One message of a conversation: a dict with "role", "content" and, optionally, "files"."""

_END = object()


class AgentFailed(Exception):
    """Raised if an agent raises an exception or returns a value of an unsupported type.

    The sandbox sends the exception's message to the client.
    """


class AgentRefused(Exception):
    """Raised by an agent to decline a prompt.

    The sandbox sends an error response with status 400. If a part of the reply is already sent, the
    sandbox reports the error at the end of the stream instead.
    """


@dataclass(frozen=True)
class TokenCounts:
    """The token usage of one reply, counted by the agent.

    An agent that can count tokens yields one `TokenCounts` after the last piece of text. If an
    agent yields none, the sandbox computes the token usage.

    Args:
        prompt (int): the number of tokens in the prompt.
        completion (int): the number of tokens in the reply.
        finish_reason (str): why the reply ended: "stop" (complete) or "length" (too long).
    """

    prompt: int
    completion: int
    finish_reason: str = "stop"


@dataclass(frozen=True)
class File:
    """A file that an agent generates, such as an image.

    An agent can yield files and strings in any order. The sandbox stores each file and serves the
    file under a URL.

    Args:
        content (bytes): the bytes of the file.
        type (str): the media type, such as "image/png".
        name (str): the file name.
        in_text (bool): True to insert a Markdown image with the file's URL into the text; False to
            add the file to the response's list of files.
    """

    content: bytes = field(repr=False)
    type: str = "application/octet-stream"
    name: str = "file"
    in_text: bool = False


@dataclass(frozen=True)
class AgentInput:
    """The input for one reply of an agent: the conversation so far and the limits of the reply.

    Args:
        messages (tuple[Message, ...]): the messages, oldest first.
        max_tokens (int | None): the maximum length of the reply in tokens; None for no limit.
        temperature (float | None): the sampling temperature; None for the model's default.
    """

    messages: tuple[Message, ...]
    max_tokens: int | None = None
    temperature: float | None = None


@dataclass(frozen=True)
class Agent:
    """An agent of the sandbox: a function that produces replies, and a catalogue entry.

    `Sandbox(agents={"slug": agent})` adds an agent to a sandbox. `Sandbox` also accepts a plain
    function or a fixed reply text in place of an `Agent`.

    Args:
        answer (Callable): the function that produces a reply. The argument is a list of messages. A
            message is a dict with the keys "role" and "content". The function returns a str, or an
            iterable or async iterable of str, `File` and `TokenCounts`. Generators and coroutine
            functions are allowed. Async functions run on the server's event loop and must not
            block. Other functions run in a worker thread and may block.
        name (str): the display name in the catalogue; "" to display the slug.
        chat (bool): False for an agent that is not meant for chat, such as an image generator. The
            catalogue reports this value as `isChatLMM`.
        pause (float): seconds to wait between two pieces of the reply.
        nonblocking (bool): True to call `answer` on the event loop without a worker thread. The
            call is faster, but `answer` must not block.
        takes_prompt (bool): True to call `answer` with an `AgentInput` in place of the list of
            messages. The agent must then apply the limits in the prompt. If False, the sandbox cuts
            the reply after `max_tokens` words.
        listed (bool): True to show the agent in the catalogue.
        unmet_requirement (Callable | None): a function that is called before each prompt. The
            function returns None if the agent can answer. Otherwise, the function returns an error
            message, and the sandbox sends the message with status 400.

    Example:
        >>> from swiftask_jupyter import Sandbox, Swiftask
        >>> from swiftask_jupyter.sandbox import Agent
        >>> def shout(messages):
        ...     return messages[-1]["content"].upper()
        >>> with (
        ...     Sandbox(agents={"shout": Agent(shout, name="Shout", nonblocking=True)}) as box,
        ...     Swiftask(base_url=box.url, token=box.token, dialect="openai") as client,
        ... ):
        ...     client.ask("hello", "shout").text
        'HELLO'
    """

    answer: Callable[..., Any]
    name: str = ""
    chat: bool = True
    pause: float = 0.0
    nonblocking: bool = False
    takes_prompt: bool = False
    listed: bool = True
    unmet_requirement: Callable[[], str | None] | None = None


def to_agent(value: Any) -> Agent:
    """Convert a value that a user passed in `Sandbox(agents=...)` to an `Agent`.

    A string becomes an agent that always replies with this string. A callable becomes the `answer`
    function of an agent. An `Agent` is returned unchanged.

    Raises:
        TypeError: the value is not an `Agent`, a string or a callable.
    """
    if isinstance(value, Agent):
        return value
    if isinstance(value, str):
        return Agent(lambda _messages: value, nonblocking=True)
    if callable(value):
        return Agent(value)
    raise TypeError(f"an agent is a callable, a text or an Agent, not {type(value).__name__}")


async def run_agent(
    agent: Agent, prompt: AgentInput, executor: Executor
) -> AsyncGenerator[str | TokenCounts | File, None]:
    """Run an agent and yield the reply piece by piece, without blocking the event loop.

    If the caller closes this generator early, the agent's generator is closed too.

    Args:
        agent: the agent to run.
        prompt: the messages to answer, and the limits of the reply.
        executor: the thread pool for agents that may block.

    Raises:
        AgentFailed: the agent raised an exception, or the reply has an unsupported type.
        AgentRefused: the agent declined the prompt.
    """
    argument = prompt if agent.takes_prompt else [dict(each) for each in prompt.messages]
    returned = await _call_agent(agent, argument, executor)
    if isinstance(returned, str):
        returned = (returned,)
    async with contextlib.aclosing(_iterate(returned, executor)) as stream:
        async for piece in stream:
            if not isinstance(piece, (str, TokenCounts, File)):
                raise AgentFailed(f"an agent yields pieces of text, not {type(piece).__name__}")
            yield piece


async def _call_agent(agent: Agent, argument: Any, executor: Executor) -> Any:
    if agent.nonblocking or inspect.isasyncgenfunction(agent.answer):
        return _call(agent.answer, argument)
    loop = asyncio.get_running_loop()
    returned = await loop.run_in_executor(executor, _call, agent.answer, argument)
    if inspect.isawaitable(returned):
        try:
            return await returned
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            raise _to_agent_error(error) from error
    return returned


def _iterate(returned: Any, executor: Executor) -> AsyncGenerator[Any, None]:
    if isinstance(returned, AsyncIterable):
        return _iterate_async(returned)
    if isinstance(returned, (list, tuple)):
        return _iterate_sequence(returned)
    if isinstance(returned, Iterable):
        return _iterate_in_threads(_LockedIterator(_call(iter, returned)), executor)
    raise AgentFailed(f"an agent returns text or pieces of text, not {type(returned).__name__}")


async def _iterate_sequence(returned: Iterable[Any]) -> AsyncGenerator[Any, None]:
    for piece in returned:
        yield piece


async def _iterate_async(returned: AsyncIterable[Any]) -> AsyncGenerator[Any, None]:
    iterator = aiter(returned)
    try:
        async for piece in iterator:
            yield piece
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        raise _to_agent_error(error) from error
    finally:
        if isinstance(iterator, AsyncGenerator):
            await iterator.aclose()


class _LockedIterator:
    """An iterator over the pieces of an agent's reply.

    A lock ensures that only one thread at a time uses the iterator.
    """

    def __init__(self, iterator: Iterator[Any]) -> None:
        self._iterator = iterator
        self._lock = threading.Lock()

    def next_piece(self) -> Any:
        with self._lock:
            return _call(next, self._iterator, _END)

    def close(self) -> None:
        with self._lock, contextlib.suppress(Exception):
            close = getattr(self._iterator, "close", None)
            if close is not None:
                close()


async def _iterate_in_threads(
    iterator: _LockedIterator, executor: Executor
) -> AsyncGenerator[Any, None]:
    loop = asyncio.get_running_loop()
    try:
        while (piece := await loop.run_in_executor(executor, iterator.next_piece)) is not _END:
            yield piece
    finally:
        # In a worker thread, because `close` blocks until a running `next_piece` has returned.
        executor.submit(iterator.close)


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    # SystemExit is converted too, because it would stop the server if it reached the event loop.
    try:
        return function(*arguments)
    except BaseException as error:
        raise _to_agent_error(error) from error


def _to_agent_error(error: BaseException) -> Exception:
    if isinstance(error, (AgentFailed, AgentRefused)):
        return error
    lines = str(error).splitlines()
    return AgentFailed(f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__)
