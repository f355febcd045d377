"""What is asked for each row, and the way it travels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from swiftask_jupyter.batch.rows import Rows
from swiftask_jupyter.batch.schemas import Schema
from swiftask_jupyter.messages import Prompt
from swiftask_jupyter.routes import Route
from swiftask_jupyter.session import check
from swiftask_jupyter.values import replace

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
