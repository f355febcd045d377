"""Plans a batch: finds equal prompts, and prompts that an earlier run has answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from swiftask_jupyter.answers.schemas import Schema
from swiftask_jupyter.answers.turn import Turn
from swiftask_jupyter.batch.results import NOT_SENT, Outcome, ResultCollector
from swiftask_jupyter.batch.rows import RowTemplate
from swiftask_jupyter.errors import Refused
from swiftask_jupyter.ledger.history import BatchRowLookup
from swiftask_jupyter.prompts.prompt import Prompt, validate_prompt
from swiftask_jupyter.support.structs import Struct, replace
from swiftask_jupyter.turns.routing import Route

Prepare = Callable[..., tuple[Prompt, Route]]


class PromptBuilder:
    """Builds the prompt of a row on demand, so that not all prompts are in memory at once.

    Args:
        rows: the DataFrame and the template.
        schema: the fields to extract from each answer. With a schema, each prompt ends with an
            instruction to the agent. `None`: no fields.
        prepare: a function that returns the prompt and the route for a text, an agent and options.
            A route lists the service's APIs by which the prompt may be sent.
        agent: the agent's slug; `None`: the default agent of the connection.
        options: the options of each request.

    Raises:
        Refused: no prompt can be sent, for example because the agent or the token is missing.
    """

    def __init__(
        self,
        rows: RowTemplate,
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
        """The slug of the agent that receives all prompts."""
        return self._pattern.agent

    @property
    def sandbox(self) -> bool:
        """Whether all prompts are sent to a sandbox of this user."""
        return self._route.sandbox

    def of(self, row: int) -> tuple[Prompt, Route]:
        """Return the prompt of a row, and the route of the prompt.

        Args:
            row: the position of the row, counted from 0.

        Raises:
            Refused: the row has no value for a name in the template, or the prompt can't be sent.
        """
        text = self._rows.text(row) + self._suffix
        if files := self._rows.files(row):
            prompt, route = self._prepare(text, self.agent, files=files, **self._options)
        else:
            prompt, route = replace(self._pattern, text=text), self._route
        validate_prompt(prompt, route.secrets)
        return prompt, route


def request_digests(prompt: Prompt, route: Route) -> tuple[str, ...]:
    """Return the digests of a request, one digest for each API of the route.

    The ledger may hold a result for any of these digests.
    """
    return tuple(prompt.digest(protocol.name, route.service) for protocol in route.candidates())


# How many prompts are looked up at once, and how many bytes of files they may have.
CHUNK, CHUNK_BYTES = 400, 16_000_000


class RowPrompt(Struct, frozen=True):
    """A distinct prompt of a batch; rows with equal prompts share one `RowPrompt`.

    Attributes:
        number: the number of the prompt among the distinct prompts, from 0.
        prompt: the content of the request.
        route: the service's APIs by which the prompt may be sent.
    """

    number: int
    prompt: Prompt
    route: Route


class Plan:
    """The distinct prompts of a batch, and the numbers of the prompts that must be sent.

    The constructor builds all prompts once, and looks up results of the prompts in the ledger.

    Args:
        prompts: builds the prompt of a row.
        count: the number of rows.
        earlier: finds the results of earlier batches in the ledger.
        collector: stores the outcome of each prompt.
        retry: which prompts to send again although the ledger has a result: `None` (no prompt),
            `"errors"` (failed prompts) or `"all"`.

    Attributes:
        pending: the numbers of the prompts to send, in the order of the rows.
    """

    def __init__(
        self,
        prompts: PromptBuilder,
        count: int,
        earlier: BatchRowLookup,
        collector: ResultCollector,
        retry: str | None,
    ) -> None:
        self.collector = collector
        self.pending: list[int] = []
        self._prompts = prompts
        self._earlier = earlier
        self._retry = retry
        self._rows: list[int] = []  # the number of each row's prompt; negative: refused
        self._first: list[int] = []  # the first row that has each prompt
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
        """Yield each distinct prompt with its number and its route, in the order of the rows.

        The method also records the number of each row's prompt. If a row can't be sent, the method
        records the reason.
        """
        numbers: dict[tuple[str, ...], int] = {}
        for at in range(count):
            try:
                prompt, route = self._prompts.of(at)
            except Refused as error:
                self._refused.append(str(error))
                self._rows.append(-len(self._refused))
                continue
            number = numbers.setdefault(request_digests(prompt, route), len(self._first))
            self._rows.append(number)
            if number == len(self._first):
                self._first.append(at)
                yield number, prompt, route

    def _look_up(self, chunk: list[tuple[int, Prompt, Route]]) -> None:
        """Pass the ledger's results to the collector; add prompts without a result to `pending`.

        If a result does not fit the schema, the method looks up the answer to the repair prompt. A
        repair prompt asks the agent to correct an answer. With `retry="errors"`, failed prompts are
        added to `pending` too.
        """
        repairs: list[tuple[int, Prompt, Route]] = []
        for number, prompt, route, reply in self._known(chunk):
            if reply is None:
                self.pending.append(number)
            elif repair := self.collector.take(number, prompt, reply):
                repairs.append((number, repair, route))
            elif self._retry == "errors" and self.collector.outcomes[number].status != "ok":
                self.collector.forget(number)
                self.pending.append(number)
        for number, prompt, _, reply in self._known(repairs):
            if reply is None or (self._retry == "errors" and reply.status != "ok"):
                self._repairs[number] = prompt.text
                self.pending.append(number)
                continue
            self.collector.take(number, prompt, reply)
            if self._retry == "errors" and self.collector.outcomes[number].status != "ok":
                self.collector.forget(number)
                self.pending.append(number)

    def _known(
        self, chunk: list[tuple[int, Prompt, Route]]
    ) -> Iterator[tuple[int, Prompt, Route, Turn | None]]:
        keyed = [(each, request_digests(each[1], each[2])) for each in chunk]
        wanted = [key for _, keys in keyed for key in keys]
        found = {} if self._retry == "all" else self._earlier.known(wanted)
        for (number, prompt, route), keys in keyed:
            replies = [found[key] for key in keys if key in found]
            best = next((reply for reply in replies if reply.status == "ok"), None)
            yield number, prompt, route, best or next(iter(replies), None)

    def row_prompts(self, numbers: list[int]) -> Iterator[RowPrompt]:
        """Yield the prompts with these numbers; build each prompt when it is needed.

        If a prompt can no longer be built, because a file was deleted, the prompt is left out. The
        outcome of this prompt is `refused`.
        """
        for number in numbers:
            try:
                prompt, route = self._prompts.of(self._first[number])
            except Refused as error:  # a file that was deleted since
                self.collector.outcomes[number] = Outcome("refused", error=str(error))
                continue
            if (repair := self._repairs.get(number)) is not None:
                prompt = replace(prompt, text=repair)
            yield RowPrompt(number, prompt, route)

    def outcomes(self) -> Iterator[Outcome]:
        """Yield one outcome for each row, in the order of the rows.

        A row without an outcome gets the status `not sent`. If several rows share a prompt, only
        the first of these rows has the cost.
        """
        for at, number in enumerate(self._rows):
            if number < 0:
                yield Outcome("refused", error=self._refused[-number - 1])
                continue
            outcome = self.collector.outcomes.get(number, Outcome(NOT_SENT))
            yield outcome if self._first[number] == at else outcome.repeated()

    def counts(self) -> dict[str, int]:
        """Return a dict that maps each kind of row to the number of rows.

        The kinds are:

        - `answered`: the ledger has an answer;
        - `failed`: the ledger has only a failure;
        - `refused`: the row can't be sent;
        - `sent`: the row must be sent;
        - `equal`: the row shares a prompt with a row that must be sent.
        """
        pending = set(self.pending)
        kinds = {"answered": 0, "failed": 0, "refused": 0, "equal": 0, "sent": 0}
        for at, number in enumerate(self._rows):
            if number < 0:
                kinds["refused"] += 1
            elif number in pending:
                kinds["sent" if self._first[number] == at else "equal"] += 1
            else:
                ok = self.collector.outcomes[number].status == "ok"
                kinds["answered" if ok else "failed"] += 1
        return kinds
