"""What is asked for each row, and the way it travels.

Which rows must be sent: equal prompts once, and none that was answered before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from swiftask_jupyter.answers.reply import Reply
from swiftask_jupyter.answers.schemas import Schema
from swiftask_jupyter.batch.results import NOT_SENT, Outcome, ResultCollector
from swiftask_jupyter.batch.rows import Rows
from swiftask_jupyter.conversation.session import check
from swiftask_jupyter.errors import Refused
from swiftask_jupyter.ledger.history import EarlierRows
from swiftask_jupyter.prompts.prompt import Prompt
from swiftask_jupyter.support.structs import Struct, replace
from swiftask_jupyter.turns.routing import Route

Prepare = Callable[..., tuple[Prompt, Route]]


class Prompts:
    """Makes the prompt of a row whenever it is wanted, so that none need be kept.

    Args:
        rows: the frame and its template.
        schema: what the answer must hold; it is said after the prompt.
        prepare: makes a prompt and its route out of a text, an agent and options.
        agent: the slug; default: the connection's.
        options: all that `Swiftask.ask` takes.

    Raises:
        Refused: no row could be sent.
    """

    def __init__(
        self,
        rows: Rows,
        schema: Schema | None,
        prepare: Prepare,
        agent: str | None,
        options: dict[str, Any],
    ) -> None:
        self._rows = rows
        self._suffix = f"\n\n{schema.instruction}" if schema else ""
        self._prepare = prepare
        self._options = options
        # Settings and route are looked up once, and not for each of a hundred thousand rows.
        self._pattern, self._route = prepare("…", agent, **options)

    @property
    def agent(self) -> str:
        """The slug that is asked."""
        return self._pattern.agent

    def of(self, at: int) -> tuple[Prompt, Route]:
        """Return the prompt of a row, counted from 0, and its route.

        Raises:
            Refused: the row lacks what the prompt needs, or can't be sent.
        """
        text = self._rows.text(at) + self._suffix
        if files := self._rows.files(at):
            prompt, route = self._prepare(text, self.agent, files=files, **self._options)
        else:
            prompt, route = replace(self._pattern, text=text), self._route
        check(prompt, route.secrets)
        return prompt, route


def keys_of(prompt: Prompt, route: Route) -> tuple[str, ...]:
    """Return the digests that a request of this prompt may have: one for each way it may go."""
    return tuple(prompt.digest(protocol.name, route.realm) for protocol in route.candidates())


CHUNK, CHUNK_BYTES = 400, 16_000_000  # what is looked up at once: so many prompts, with files
RETRY = (None, "errors", "all")


class RowPrompt(Struct, frozen=True):
    """A prompt to send.

    Attributes:
        number: which of the different prompts of the frame it is.
        prompt: what is asked.
        route: the way it travels.
    """

    number: int
    prompt: Prompt
    route: Route


class Plan:
    """The prompts of a frame, and what is known of their answers.

    Args:
        prompts: makes the prompt of a row.
        count: how many rows there are.
        earlier: the ledger of earlier rows.
        judge: keeps what became of each prompt.
        retry: which of the prompts sent before are sent again: `None`, `"errors"` or `"all"`.

    Attributes:
        pending: the numbers of the prompts to send, in the order of the rows.
    """

    def __init__(
        self,
        prompts: Prompts,
        count: int,
        earlier: EarlierRows,
        judge: ResultCollector,
        retry: str | None,
    ) -> None:
        self.judge = judge
        self.pending: list[int] = []
        self._prompts = prompts
        self._earlier = earlier
        self._retry = retry
        self._rows: list[int] = []  # the number of each row's prompt, below 0 where there is none
        self._first: list[int] = []  # the first row of each prompt
        self._refused: list[str] = []
        self._repairs: dict[int, str] = {}
        chunk: list[tuple[int, Prompt, Route]] = []
        held = 0
        for new in self._different(count):
            chunk.append(new)
            held += sum(file.size for file in new[1].attachments)
            if len(chunk) == CHUNK or held > CHUNK_BYTES:
                self._look_up(chunk)
                chunk, held = [], 0
        self._look_up(chunk)
        self.pending.sort()

    def _different(self, count: int) -> Iterator[tuple[int, Prompt, Route]]:
        """Yield each prompt that no row before has, with its number."""
        numbers: dict[tuple[str, ...], int] = {}
        for at in range(count):
            try:
                prompt, route = self._prompts.of(at)
            except Refused as error:
                self._refused.append(str(error))
                self._rows.append(-len(self._refused))
                continue
            number = numbers.setdefault(keys_of(prompt, route), len(self._first))
            self._rows.append(number)
            if number == len(self._first):
                self._first.append(at)
                yield number, prompt, route

    def _look_up(self, chunk: list[tuple[int, Prompt, Route]]) -> None:
        """Settle what the ledger can answer; what is left is pending."""
        again: list[tuple[int, Prompt, Route]] = []
        for number, prompt, route, reply in self._known(chunk):
            if reply is None:
                self.pending.append(number)
            elif repair := self.judge.take(number, prompt, reply):
                again.append((number, repair, route))
            elif self._retry == "errors" and self.judge.outcomes[number].status != "ok":
                self.judge.forget(number)
                self.pending.append(number)
        for number, prompt, _, reply in self._known(again):
            if reply is None or (self._retry == "errors" and reply.status != "ok"):
                self._repairs[number] = prompt.text
                self.pending.append(number)
                continue
            self.judge.take(number, prompt, reply)
            if self._retry == "errors" and self.judge.outcomes[number].status != "ok":
                self.judge.forget(number)
                self.pending.append(number)

    def _known(
        self, chunk: list[tuple[int, Prompt, Route]]
    ) -> Iterator[tuple[int, Prompt, Route, Reply | None]]:
        keyed = [(each, keys_of(each[1], each[2])) for each in chunk]
        wanted = [key for _, keys in keyed for key in keys]
        found = {} if self._retry == "all" else self._earlier.known(wanted)
        for (number, prompt, route), keys in keyed:
            replies = [found[key] for key in keys if key in found]
            best = next((reply for reply in replies if reply.status == "ok"), None)
            yield number, prompt, route, best or next(iter(replies), None)

    def questions(self, numbers: list[int]) -> Iterator[RowPrompt]:
        """Yield what is to be sent, each made when it is wanted."""
        for number in numbers:
            try:
                prompt, route = self._prompts.of(self._first[number])
            except Refused as error:  # a file that was there before
                self.judge.outcomes[number] = Outcome("refused", error=str(error))
                continue
            if (repair := self._repairs.get(number)) is not None:
                prompt = replace(prompt, text=repair)
            yield RowPrompt(number, prompt, route)

    def outcomes(self) -> Iterator[Outcome]:
        """Yield what became of each row, in the order of the rows."""
        for at, number in enumerate(self._rows):
            if number < 0:
                yield Outcome("refused", error=self._refused[-number - 1])
                continue
            outcome = self.judge.outcomes.get(number, Outcome(NOT_SENT))
            yield outcome if self._first[number] == at else outcome.repeated()

    def counts(self) -> dict[str, int]:
        """Return how many rows there are of each kind, before anything is sent."""
        pending = set(self.pending)
        kinds = {"answered": 0, "failed": 0, "refused": 0, "equal": 0, "sent": 0}
        for at, number in enumerate(self._rows):
            if number < 0:
                kinds["refused"] += 1
            elif number in pending:
                kinds["sent" if self._first[number] == at else "equal"] += 1
            else:
                ok = self.judge.outcomes[number].status == "ok"
                kinds["answered" if ok else "failed"] += 1
        return kinds
