"""Produce an agent's reply to one prompt, with pauses, faults and the reported token usage.

All dialects (the HTTP APIs that the sandbox imitates) share this code. A dialect only defines how
the pieces of the reply are encoded in the HTTP response.
"""

import asyncio
import contextlib
import enum
import re
from collections.abc import AsyncGenerator, Callable
from typing import Any

from .agents import Agent, File, Prompt, TokenCounts, run_agent
from .faults import Fault
from .state import SandboxState

APOLOGY = "I'm sorry, something went wrong while I was answering. Please try again."
_WORD = re.compile(r"\S+")


class StreamFault(enum.Enum):
    """A fault that is sent between two pieces of a reply; each dialect encodes it differently."""

    GARBAGE = "not JSON"
    ERROR = "an error, and the end"


class ConnectionDropped(Exception):
    """Raised so that the request handler closes the connection, as a fault specifies.

    Args:
        reset: True to close the connection with a TCP RST.
    """

    def __init__(self, *, reset: bool) -> None:
        super().__init__()
        self.reset = reset


class Turn:
    """One prompt to one agent, and the agent's reply to it.

    Args:
        state: the sandbox's state.
        agent: the agent that answers.
        prompt: the messages to answer, and the limits of the reply.
        fault: the deliberate error in the reply; None for a correct reply.
        store_file: stores a file that the agent generated and returns its URL.
        usage: the way to report token usage, one of `USAGES`; None for the sandbox's own setting.
            If the fault has a `usage`, that value takes precedence.

    Attributes:
        fault: the fault; a `Fault()` without effect for a correct reply.
        finish_reason: why the reply ended, "stop" or "length"; final once `pieces` is exhausted.
        files: the files that the agent generated, as dicts in the format of the native API.
    """

    def __init__(
        self,
        state: SandboxState,
        agent: Agent,
        prompt: Prompt,
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
        """Run the agent and yield the pieces of its reply, with pauses and faults in between.

        Raises:
            ConnectionDropped: the fault specifies that the connection is closed at this point.
            AgentFailed: the agent raised an exception, or returned or yielded a value of an
                unsupported type.
            AgentRefused: the agent declined to answer this prompt.
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
        """Return the token usage to report, or None if no usage is to be reported.

        In the mode "zero", the prompt and completion tokens are 0 but the total is not, as measured
        on the real API. The counts are final once `pieces` is exhausted.
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
            raise ConnectionDropped(reset=False)
        if number == fault.reset_after:
            raise ConnectionDropped(reset=True)
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
        """Store a file that the agent generated, and return the text to insert into the reply.

        The text is a Markdown image, or "" if the file is added to `files` instead.
        """
        url = self._store_file(file)
        if file.in_text:
            return f"![{file.name}]({url})"
        size = len(file.content)
        self.files.append({"url": url, "name": file.name, "type": file.type, "size": size})
        return ""

    def _truncate(self, text: str) -> str:
        """Return the start of a piece that is within the limit of words, and count its words.

        A word that continues from the previous piece is not counted again.
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
