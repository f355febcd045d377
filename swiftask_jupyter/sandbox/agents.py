"""The agents of the sandbox, and how one is run without blocking the server."""

import asyncio
import contextlib
import inspect
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Message: TypeAlias = dict[str, Any]
"""One message of a conversation: "role", "content", and "files" if it has any."""

_END = object()


class AgentFailed(Exception):
    """The agent raised an exception or returned no text; the message is one line, fit to show."""


class AgentRefused(Exception):
    """Raised by an agent that will not answer a prompt; the response has status 400."""


@dataclass(frozen=True)
class TokenCounts:
    """The usage of a reply; an agent that counts its own tokens yields it after its last text.

    Args:
        prompt (int): tokens of the prompt.
        completion (int): tokens of the reply.
        finish_reason (str): why the reply ended, in the words of the OpenAI API: "stop" or
            "length".
    """

    prompt: int
    completion: int
    finish_reason: str = "stop"


@dataclass(frozen=True)
class File:
    """A file that an agent made, yielded among its text; the sandbox serves it under a URL.

    Args:
        content (bytes): the bytes of the file.
        type (str): its media type, such as "image/png".
        name (str): its file name.
        in_text (bool): True to link the file in the text, as a Markdown image; False to put it
            into the response's list of files.
    """

    content: bytes = field(repr=False)
    type: str = "application/octet-stream"
    name: str = "file"
    in_text: bool = False


@dataclass(frozen=True)
class Prompt:
    """What an agent has to answer: the conversation so far, and the limits of the reply.

    Args:
        messages (tuple[Message, ...]): the messages, oldest first.
        max_tokens (int | None): the longest reply in tokens; None for no limit.
        temperature (float | None): the sampling temperature; None for the model's own.
    """

    messages: tuple[Message, ...]
    max_tokens: int | None = None
    temperature: float | None = None


@dataclass(frozen=True)
class Agent:
    """An agent of the sandbox: a function that answers, and how the catalogue describes it.

    `Sandbox(agents={"slug": agent})` adds it. A plain function or a fixed text may be passed in
    place of an `Agent`; use `Agent` to set more than the function.

    Args:
        answer (Callable): called with the messages, a list of dicts with "role" and "content".
            Returns the reply as a str, or an iterable (also an async one) of str, `File` and
            `TokenCounts`; may be a coroutine function or a generator. It runs in a thread, so
            it may block.
        name (str): the name in the catalogue; "" shows the slug.
        chat (bool): False for agents not meant for chat, such as image generators; the
            catalogue reports it as `isChatLMM`.
        pause (float): seconds between two pieces of the reply.
        nonblocking (bool): True if `answer` returns at once; it is then called on the server's
            own thread, which is faster.
        takes_prompt (bool): True if `answer` is to be called with the whole `Prompt`, and keeps
            to its limits. Otherwise the sandbox cuts the reply at `max_tokens` words.
        listed (bool): whether the catalogue shows the agent.
        unmet_requirement (Callable | None): called before each prompt; returns None if the agent
            can answer, else a text that says what to do first, which is sent with status 400.

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
    """Return an `Agent` for what a user passed: an `Agent`, a fixed text or a callable.

    Raises:
        TypeError: the value is none of these.
    """
    if isinstance(value, Agent):
        return value
    if isinstance(value, str):
        return Agent(lambda _messages: value, nonblocking=True)
    if callable(value):
        return Agent(value)
    raise TypeError(f"an agent is a callable, a text or an Agent, not {type(value).__name__}")


async def run_agent(
    agent: Agent, prompt: Prompt, executor: Executor
) -> AsyncGenerator[str | TokenCounts | File, None]:
    """Yield the reply of an agent piece by piece, without blocking the event loop.

    Closing this generator closes the agent's own generator.

    Args:
        agent: any kind of agent: blocking or not, a function, a generator or a coroutine.
        prompt: what to answer.
        executor: the threads in which blocking agents run.

    Raises:
        AgentFailed: the agent raised an exception or yielded something else than text.
        AgentRefused: the agent will not answer this prompt.
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
    """An iterator of the user's that any thread may advance, but never two at once."""

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
        # In a thread, because closing waits for a piece that is still being made.
        executor.submit(iterator.close)


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    # SystemExit too becomes AgentFailed: raised on the loop, it would end the server.
    try:
        return function(*arguments)
    except BaseException as error:
        raise _to_agent_error(error) from error


def _to_agent_error(error: BaseException) -> Exception:
    if isinstance(error, (AgentFailed, AgentRefused)):
        return error
    lines = str(error).splitlines()
    return AgentFailed(f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__)
