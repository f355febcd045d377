"""A finished answer, as a value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from swiftask_jupyter.answers.reply import Reply, Status, Usage
from swiftask_jupyter.support.structs import Struct

if TYPE_CHECKING:
    import pandas as pd


class Answer(Struct, frozen=True, eq=False):
    """A finished answer.

    Attributes:
        text: the answer as it came.
        agent: the slug asked.
        turn: the id of its row in `usage()`.
        usage: what it cost, as reported.
        seconds: from the request to the end.
        raw: what the reply carried beyond the common fields.
    """

    text: str
    agent: str
    turn: str
    usage: Usage
    seconds: float
    raw: dict[str, Any]
    reply: Reply

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        shown = self.text if len(self.text) <= 60 else self.text[:59] + "…"
        return f"<Answer of {self.agent}: {shown!r}>"

    def __len__(self) -> int:
        return len(self.text)

    def __format__(self, spec: str) -> str:
        return format(self.text, spec)

    @property
    def status(self) -> Status:
        """How it ended: `ok`, or `interrupted` with what had come by then."""
        return self.reply.status

    @property
    def files(self) -> tuple[dict[str, Any], ...]:
        """The files that the agent made: each with a `url`, and what else it says of them."""
        return self.reply.files

    @property
    def sources(self) -> tuple[Any, ...]:
        """What the agent says its answer rests on, as it came: the shape is undocumented."""
        named = self.raw.get("sourceMetadatas")
        return tuple(named) if isinstance(named, list) else ()

    def json(self) -> Any:
        """Return what the text is as JSON, or else what its first fenced block is.

        Raises:
            AnswerError: neither is JSON.
        """
        from swiftask_jupyter.answers.structured import json_of

        return json_of(self.text)

    def code(self) -> str:
        """Return the first fenced block, or else the whole text."""
        from swiftask_jupyter.answers.structured import code_of

        return code_of(self.text).text

    def frame(self) -> pd.DataFrame:
        """Return the table in the text: JSON, a Markdown table, or a fenced block of CSV.

        Raises:
            AnswerError: there is none.
        """
        from swiftask_jupyter.answers.structured import frame_of

        return frame_of(self.text)


def answer(reply: Reply) -> Answer:
    """Return the finished reply as a value."""
    return Answer(
        text=reply.text,
        agent=reply.agent,
        turn=reply.turn,
        usage=reply.usage,
        seconds=reply.seconds,
        raw=reply.raw,
        reply=reply,
    )
