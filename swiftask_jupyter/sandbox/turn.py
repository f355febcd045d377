"""One question to one agent: its pieces, with the pauses and faults asked for, and its cost."""

import asyncio
import contextlib
import enum
import re
from collections.abc import AsyncGenerator, Callable
from typing import Any

from .agents import Agent, Counts, File, Question, pieces
from .faults import Fault
from .state import SandboxState

APOLOGY = "I'm sorry, something went wrong while I was answering. Please try again."
_WORD = re.compile(r"\S+")


class Quirk(enum.Enum):
    """Something other than text that a faulty stream holds."""

    GARBAGE = "not JSON"
    ERROR = "an error, and the end"


class Cut(Exception):
    """The connection is to be closed here, in the middle of the answer."""

    def __init__(self, *, reset: bool) -> None:
        super().__init__()
        self.reset = reset


class Turn:
    """The same for every dialect; a dialect only writes down what comes out of `pieces`."""

    def __init__(
        self,
        room: SandboxState,
        agent: Agent,
        question: Question,
        fault: Fault | None,
        *,
        keep: Callable[[File], str],
        usage: str | None = None,
    ) -> None:
        self.fault = fault or Fault()
        """What was asked to go wrong with it."""
        self.finish = "stop"
        """Why the answer ended; right once `pieces` is exhausted."""
        self.files: list[dict[str, Any]] = []
        """What the agent made, as the native dialect lists it."""
        self._keep = keep
        self._room = room
        self._agent = agent
        self._question = question
        self._mode = self.fault.usage or usage or room.usage
        self._counts: Counts | None = None
        # A word plays the part of a token for agents that count none of their own.
        self._limit = None if agent.takes_question else question.max_tokens
        self._counting = self._limit is not None or self._mode == "counted"
        self._words = 0
        self._letters = 0
        self._inside_word = False

    async def pieces(self) -> AsyncGenerator[str | Quirk, None]:
        """The answer as it is to be sent; raises Cut where the connection is to break."""
        fault = self.fault
        pause = 0.0 if fault.burst else self._agent.pause if fault.pause is None else fault.pause
        number = 0
        async with contextlib.aclosing(self._text()) as text:
            async for piece in text:
                if quirk := self._quirk(number):
                    yield quirk
                    if quirk is Quirk.ERROR:
                        return
                # Even without a pause: hundreds of answers share this loop.
                await asyncio.sleep(pause if number else 0)
                yield piece
                number += 1
        if quirk := self._quirk(number):
            yield quirk

    def usage(self) -> dict[str, int] | None:
        """The usage to report, None for none at all.

        Zeros beside a total that is not their sum are what was measured on the documented API.
        """
        if self.fault.disguised:
            return _usage(0, 0, 1)
        if self._mode == "none":
            return None
        if self._counts is not None and self.fault.usage is None:
            prompt, completion = self._counts.prompt, self._counts.completion
            return _usage(prompt, completion, prompt + completion)
        said = [each["content"] for each in self._question.messages]
        if self._mode == "zero":
            return _usage(0, 0, 1000 + (sum(map(len, said)) + self._letters) // 4)
        prompt = sum(len(each.split()) for each in said)
        return _usage(prompt, self._words, prompt + self._words)

    def _quirk(self, number: int) -> Quirk | None:
        fault = self.fault
        if number == fault.cut_after:
            raise Cut(reset=False)
        if number == fault.reset_after:
            raise Cut(reset=True)
        if number == fault.error_after:
            return Quirk.ERROR
        return Quirk.GARBAGE if number == fault.garbage_after else None

    async def _text(self) -> AsyncGenerator[str, None]:
        if (instead := _instead(self.fault)) is not None:
            yield instead
            return
        threads = self._room.threads
        assert threads is not None
        async with contextlib.aclosing(pieces(self._agent, self._question, threads)) as source:
            async for piece in source:
                if isinstance(piece, Counts):
                    self._counts, self.finish = piece, piece.finish
                    continue
                if isinstance(piece, File):
                    piece = self._kept(piece)  # noqa: PLW2901 - a link, or nothing
                allowed = self._allowed(piece) if self._counting else piece
                self._letters += len(allowed)
                if allowed:
                    yield allowed
                if len(allowed) < len(piece):
                    self.finish = "length"
                    return

    def _kept(self, file: File) -> str:
        url = self._keep(file)
        if file.in_text:
            return f"![{file.name}]({url})"
        size = len(file.content)
        self.files.append({"url": url, "name": file.name, "type": file.type, "size": size})
        return ""

    def _allowed(self, piece: str) -> str:
        for match in _WORD.finditer(piece):
            if match.start() == 0 and self._inside_word:
                continue
            if self._words == self._limit:
                return piece[: match.start()]
            self._words += 1
        if piece:
            self._inside_word = not piece[-1].isspace()
        return piece


def _instead(fault: Fault) -> str | None:
    """What is said in place of the agent's answer."""
    if fault.disguised:
        return APOLOGY
    return '""' if fault.empty else fault.says


def _usage(prompt: int, completion: int, total: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}
