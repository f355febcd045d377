"""Says of each reply what it amounts to, and asks once more for an answer of the wrong shape."""

from __future__ import annotations

from swiftask_jupyter.batch.outcomes import Outcome, outcome_of
from swiftask_jupyter.batch.reading import Mismatch
from swiftask_jupyter.batch.schemas import Schema
from swiftask_jupyter.messages import Prompt
from swiftask_jupyter.replies import Reply
from swiftask_jupyter.values import replace


class Judge:
    """Keeps the outcome of each prompt, by its number.

    Attributes:
        outcomes: what became of the prompts that are settled.
    """

    def __init__(self, schema: Schema | None) -> None:
        self.outcomes: dict[int, Outcome] = {}
        self._schema = schema
        self._drafts: dict[int, Outcome] = {}

    def take(self, number: int, prompt: Prompt, reply: Reply) -> Prompt | None:
        """Take a reply; return the prompt of the repair where one is due, once."""
        outcome = outcome_of(reply)
        draft = self._drafts.pop(number, None)
        if draft is not None:
            outcome = outcome.after(draft)
        if self._schema is not None and outcome.status == "ok":
            try:
                outcome = replace(outcome, fields=self._schema.read(reply.text))
            except Mismatch as wrong:
                if draft is None:
                    self._drafts[number] = outcome
                    return replace(prompt, text=self._schema.again(prompt.text, reply.text, wrong))
                outcome = outcome.failed(str(wrong))
        self.outcomes[number] = outcome
        return None

    def forget(self, number: int) -> None:
        """Let a prompt be asked anew."""
        self.outcomes.pop(number, None)
        self._drafts.pop(number, None)
