"""Produce an agent's reply to one prompt, with pauses, faults and the reported token usage.

All dialects share this code. A dialect is one of the HTTP APIs that the sandbox imitates. Each
dialect only encodes the pieces of the reply in the HTTP response.
"""

import asyncio
import contextlib
import enum
import re
from collections.abc import AsyncGenerator, Callable
from typing import Any

from .agents import Agent, AgentInput, File, TokenCounts, run_agent
from .faults import Fault
from .state import SandboxState

APOLOGY = "I'm sorry, something went wrong while I was answering. Please try again."
_WORD = re.compile(r"\S+")


class StreamFault(enum.Enum):
    """A deliberate error between two pieces of a reply.

    Each dialect encodes the error differently.
    """

    GARBAGE = "not JSON"
    ERROR = "an error, and the end"


class DropConnection(Exception):
    """Raised if a fault closes the connection to the client.

    The request handler catches this exception and closes the connection.

    Args:
        reset: True to close the connection with a TCP RST.
    """

    def __init__(self, *, reset: bool) -> None:
        super().__init__()
        self.reset = reset


class AgentRun:
    """One prompt to one agent, and the agent's reply.

    Args:
        state: the sandbox's state.
        agent: the agent that answers.
        prompt: the messages to answer, and the limits of the reply.
        fault: the deliberate error in the reply; None for a correct reply.
        store_file: a function that stores a generated file and returns the file's URL.
        usage: how to report the token usage, one of `USAGES`; None for the sandbox's setting. The
            fault's `usage` takes precedence.

    Attributes:
        fault: the fault; a `Fault()` without effect for a correct reply.
        finish_reason: why the reply ended, "stop" or "length"; final after the last piece.
        files: the generated files outside the text, as dicts in the format of the native API.
    """

    def __init__(
        self,
        state: SandboxState,
        agent: Agent,
        prompt: AgentInput,
        fault: Fault | None,
        *,
        store_file: Callable[[File], str],
        usage: str | None = None,
    ) -> None:
        self.fault = fault or Fault()
        self.finish_reason = "stop"
        self.files: list[dict[str, Any]] = []
        self._store_file = store_file
        self._state = state
        self._agent = agent
        self._prompt = prompt
        self._usage_mode = self.fault.usage or usage or state.usage
        self._counts: TokenCounts | None = None
        # For agents that count no tokens, a word counts as a token.
        self._max_words = None if agent.takes_prompt else prompt.max_tokens
        self._counts_words = self._max_words is not None or self._usage_mode == "counted"
        self._words = 0
        self._characters = 0
        self._inside_word = False

    async def pieces(self) -> AsyncGenerator[str | StreamFault, None]:
        """Run the agent, and yield the pieces of the reply and the `StreamFault`s between pieces.

        The generator pauses between two pieces.

        Raises:
            DropConnection: the fault closes the connection to the client.
            AgentFailed: the agent raised an exception, or the reply has an unsupported type.
            AgentRefused: the agent declined the prompt.
        """
        fault = self.fault
        pause = 0.0 if fault.burst else self._agent.pause if fault.pause is None else fault.pause
        number = 0
        async with contextlib.aclosing(self._text()) as text:
            async for piece in text:
                if stream_fault := self._stream_fault(number):
                    yield stream_fault
                    if stream_fault is StreamFault.ERROR:
                        return
                # Even a pause of 0 s lets other tasks run: hundreds of replies share this loop.
                await asyncio.sleep(pause if number else 0)
                yield piece
                number += 1
        if stream_fault := self._stream_fault(number):
            yield stream_fault

    def usage(self) -> dict[str, int] | None:
        """Return the token usage to report, as a dict. Return None to report no usage.

        The numbers are final after the last piece of the reply. In the mode "zero", the prompt and
        the completion have 0 tokens, but the total is above 0. The real API reports usage in this
        way.
        """
        if self.fault.disguised:
            return _usage(0, 0, 1)
        if self._usage_mode == "none":
            return None
        if self._counts is not None and self.fault.usage is None:
            prompt, completion = self._counts.prompt, self._counts.completion
            return _usage(prompt, completion, prompt + completion)
        contents = [each["content"] for each in self._prompt.messages]
        if self._usage_mode == "zero":
            return _usage(0, 0, 1000 + (sum(map(len, contents)) + self._characters) // 4)
        prompt = sum(len(each.split()) for each in contents)
        return _usage(prompt, self._words, prompt + self._words)

    def _stream_fault(self, number: int) -> StreamFault | None:
        fault = self.fault
        if number == fault.cut_after:
            raise DropConnection(reset=False)
        if number == fault.reset_after:
            raise DropConnection(reset=True)
        if number == fault.error_after:
            return StreamFault.ERROR
        return StreamFault.GARBAGE if number == fault.garbage_after else None

    async def _text(self) -> AsyncGenerator[str, None]:
        if (text := _replacement_text(self.fault)) is not None:
            yield text
            return
        executor = self._state.agent_threads
        assert executor is not None
        async with contextlib.aclosing(run_agent(self._agent, self._prompt, executor)) as reply:
            async for piece in reply:
                if isinstance(piece, TokenCounts):
                    self._counts, self.finish_reason = piece, piece.finish_reason
                    continue
                text = self._add_file(piece) if isinstance(piece, File) else piece
                allowed = self._truncate(text) if self._counts_words else text
                self._characters += len(allowed)
                if allowed:
                    yield allowed
                if len(allowed) < len(text):
                    self.finish_reason = "length"
                    return

    def _add_file(self, file: File) -> str:
        """Store a generated file, and return the text to insert into the reply.

        If `file.in_text` is True, the text is a Markdown image. Otherwise, the text is empty and
        the file is added to `files`.
        """
        url = self._store_file(file)
        if file.in_text:
            return f"![{file.name}]({url})"
        size = len(file.content)
        self.files.append({"url": url, "name": file.name, "type": file.type, "size": size})
        return ""

    def _truncate(self, text: str) -> str:
        """Return a piece of the reply, cut off after the maximum number of words.

        The method also adds the words of the piece to the reply's word count. A word that began in
        the previous piece is not counted again.
        """
        for match in _WORD.finditer(text):
            if match.start() == 0 and self._inside_word:
                continue
            if self._words == self._max_words:
                return text[: match.start()]
            self._words += 1
        if text:
            self._inside_word = not text[-1].isspace()
        return text


def _replacement_text(fault: Fault) -> str | None:
    if fault.disguised:
        return APOLOGY
    return '""' if fault.empty else fault.text


def _usage(prompt: int, completion: int, total: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}
