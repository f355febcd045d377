"""Who answers: an agent takes the messages and gives its answer piece by piece."""

import asyncio
import contextlib
import inspect
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Message: TypeAlias = dict[str, Any]
"""One message: its role and its content, and its files where it has any."""

_END = object()


class AgentFailed(Exception):
    """An agent raised; the text is one line that may be shown."""


class AgentRefused(Exception):
    """An agent will not answer this question (HTTP 400)."""


@dataclass(frozen=True)
class Counts:
    """An agent that counts its own tokens gives this after its last piece."""

    prompt: int
    completion: int
    finish: str = "stop"


@dataclass(frozen=True)
class File:
    """A file an agent made, given among its pieces; the sandbox serves it under a URL."""

    content: bytes = field(repr=False)
    type: str = "application/octet-stream"
    name: str = "file"
    in_text: bool = False
    """Link it in the text as a Markdown image, and leave the answer's list of files without it."""


@dataclass(frozen=True)
class Question:
    """What an agent is asked, and within which limits."""

    messages: tuple[Message, ...]
    max_tokens: int | None = None
    temperature: float | None = None


@dataclass(frozen=True)
class Agent:
    """One agent of the sandbox, as its catalogue lists it."""

    answer: Callable[..., Any]
    """Called with the messages (a list of role and content); gives text, or pieces of it."""
    name: str = ""
    chat: bool = True
    pause: float = 0.0
    """Seconds between two pieces."""
    instant: bool = False
    """`answer` never waits, so it may run on the server's own thread."""
    takes_question: bool = False
    """`answer` is called with the whole Question, and keeps to its limits itself."""
    listed: bool = True
    """Whether catalogues show it."""
    missing: Callable[[], str | None] | None = None
    """Says what to do before this agent can answer; None when it can."""


def agent_from(given: Any) -> Agent:
    """Reads what the user passed for an agent: an Agent, a fixed answer or a callable."""
    if isinstance(given, Agent):
        return given
    if isinstance(given, str):
        return Agent(lambda _messages: given, instant=True)
    if callable(given):
        return Agent(given)
    raise TypeError(f"an agent is a callable, a text or an Agent, not {type(given).__name__}")


async def pieces(
    agent: Agent, question: Question, threads: Executor
) -> AsyncGenerator[str | Counts | File, None]:
    """The answer of any kind of agent, never blocking the loop; closing this closes the agent."""
    asked = question if agent.takes_question else [dict(each) for each in question.messages]
    given = await _answer(agent, asked, threads)
    if isinstance(given, str):
        given = (given,)
    async with contextlib.aclosing(_stream(given, threads)) as stream:
        async for piece in stream:
            if not isinstance(piece, (str, Counts, File)):
                kind = type(piece).__name__
                raise AgentFailed(f"an agent gives pieces of text, not {kind}")
            yield piece


async def _answer(agent: Agent, asked: Any, threads: Executor) -> Any:
    if agent.instant or inspect.isasyncgenfunction(agent.answer):
        return _guarded(agent.answer, asked)
    loop = asyncio.get_running_loop()
    given = await loop.run_in_executor(threads, _guarded, agent.answer, asked)
    if inspect.isawaitable(given):
        try:
            return await given
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            raise _told(error) from error
    return given


def _stream(given: Any, threads: Executor) -> AsyncGenerator[Any, None]:
    if isinstance(given, AsyncIterable):
        return _awaited(given)
    if isinstance(given, (list, tuple)):
        return _listed(given)
    if isinstance(given, Iterable):
        return _drawn(_Drawn(_guarded(iter, given)), threads)
    raise AgentFailed(f"an agent gives text or pieces of text, not {type(given).__name__}")


async def _listed(given: Iterable[Any]) -> AsyncGenerator[Any, None]:
    for piece in given:
        yield piece


async def _awaited(given: AsyncIterable[Any]) -> AsyncGenerator[Any, None]:
    source = aiter(given)
    try:
        async for piece in source:
            yield piece
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        raise _told(error) from error
    finally:
        if isinstance(source, AsyncGenerator):
            await source.aclose()


class _Drawn:
    """An iterator of the user's, run on any thread but never on two at once."""

    def __init__(self, source: Iterator[Any]) -> None:
        self._source = source
        self._turn = threading.Lock()

    def piece(self) -> Any:
        with self._turn:
            return _guarded(next, self._source, _END)

    def close(self) -> None:
        with self._turn, contextlib.suppress(Exception):
            close = getattr(self._source, "close", None)
            if close is not None:
                close()


async def _drawn(source: _Drawn, threads: Executor) -> AsyncGenerator[Any, None]:
    loop = asyncio.get_running_loop()
    try:
        while (piece := await loop.run_in_executor(threads, source.piece)) is not _END:
            yield piece
    finally:
        threads.submit(source.close)  # waits there for a piece still being made


def _guarded(call: Callable[..., Any], *arguments: Any) -> Any:
    # Even SystemExit is only an agent's failure: raised on the loop it would end the server.
    try:
        return call(*arguments)
    except BaseException as error:
        raise _told(error) from error


def _told(error: BaseException) -> Exception:
    if isinstance(error, (AgentFailed, AgentRefused)):
        return error
    lines = str(error).splitlines()
    return AgentFailed(f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__)
