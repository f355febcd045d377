"""`Answer`: the result of `ask`, a finished answer of an agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from swiftask_jupyter.answers.turn import Reply, Status, Usage
from swiftask_jupyter.support.structs import Struct

if TYPE_CHECKING:
    import pandas as pd


class Answer(Struct, frozen=True, eq=False):
    """A finished answer of an agent; `str()`, `len()` and `format()` use the text of the answer.

    Attributes:
        text: the text of the answer, unchanged.
        agent: the slug of the agent that answered.
        turn: the id of the turn, as in the column `turn` of `Swiftask.usage()`.
        usage: the tokens and credits that the service reported.
        seconds: the time from the request to the end of the answer.
        raw: additional fields of the service's response, such as metadata, unchanged.
        reply: the `Reply` with all details, such as the finish reason and the number of requests.

    Example:
        >>> from swiftask_jupyter import Sandbox, Swiftask
        >>> with Sandbox() as box, Swiftask(base_url=box.url, token=box.token) as swiftask:
        ...     answer = swiftask.ask('[{"city": "Oslo", "people": 709000}]', agent="echo")
        >>> answer.agent, answer.status
        ('echo', 'ok')
        >>> answer.json()[0]["city"]
        'Oslo'
        >>> answer.frame()
           city  people
        0  Oslo  709000
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
        text = self.text if len(self.text) <= 60 else self.text[:59] + "…"
        return f"<Answer of {self.agent}: {text!r}>"

    def __len__(self) -> int:
        return len(self.text)

    def __format__(self, spec: str) -> str:
        return format(self.text, spec)

    @property
    def status(self) -> Status:
        """`ok` for a complete answer, or `interrupted` for an answer that was stopped early."""
        return self.reply.status

    @property
    def files(self) -> tuple[dict[str, Any], ...]:
        """The files that the agent made, as dicts from the service; each dict has the key `url`.

        `Swiftask.download` returns the content of a file.
        """
        return self.reply.files

    @property
    def sources(self) -> tuple[Any, ...]:
        """The sources that the agent names for the answer; empty if the agent names none.

        The value is the unchanged field `sourceMetadatas` of the response. Swiftask does not
        document the format of this field.
        """
        sources = self.raw.get("sourceMetadatas")
        return tuple(sources) if isinstance(sources, list) else ()

    def json(self) -> Any:
        """Parse the text of the answer as JSON, and return the value.

        If the whole text is not valid JSON, the first fenced code block in the text is parsed
        instead. JSON in the middle of a sentence is not found.

        Raises:
            AnswerError: neither the text nor its first code block is valid JSON.
        """
        from swiftask_jupyter.answers.structured import extract_json

        return extract_json(self.text)

    def code(self) -> str:
        """Return the first fenced code block of the text; without a code block, the whole text."""
        from swiftask_jupyter.answers.structured import extract_code

        return extract_code(self.text).text

    def frame(self) -> pd.DataFrame:
        """Return the table in the text of the answer as a DataFrame.

        These formats are tried in this order:

        - a fenced code block of CSV or TSV;
        - JSON: a list of records, an object of columns, or an object that holds one list of
          records;
        - a Markdown table.

        If a value in a CSV or Markdown column has leading zeros, as some postcodes do, the column
        stays a column of strings.

        Raises:
            AnswerError: there is no table, or the table is malformed.
        """
        from swiftask_jupyter.answers.structured import extract_frame

        return extract_frame(self.text)


def answer_from(reply: Reply) -> Answer:
    """Return the `Answer` for a finished reply."""
    return Answer(
        text=reply.text,
        agent=reply.agent,
        turn=reply.id,
        usage=reply.usage,
        seconds=reply.seconds,
        raw=reply.raw,
        reply=reply,
    )
