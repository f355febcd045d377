"""`Answer`: what `ask` returns when an agent has answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from swiftask_jupyter.answers.turn import Reply, Status, Usage
from swiftask_jupyter.support.structs import Struct

if TYPE_CHECKING:
    import pandas as pd


class Answer(Struct, frozen=True, eq=False):
    """A finished answer. `str()`, `len()` and `format()` apply to its text.

    Attributes:
        text: the text, unchanged.
        agent: the slug of the agent that answered.
        turn: the id of the answer's row in `Swiftask.usage()`.
        usage: the tokens and credits that the service reported.
        seconds: the time from the request to the end of the answer.
        raw: the fields of the response that no other attribute holds, such as metadata.
        reply: the `Reply` that the answer was made from: dialect, finish reason, attempts and more.

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
        """`ok`, or `interrupted`: then the text is what had arrived before the interrupt."""
        return self.reply.status

    @property
    def files(self) -> tuple[dict[str, Any], ...]:
        """The files that the agent made, as the service lists them; each has a `url`.

        `Swiftask.download` returns the content of such a file.
        """
        return self.reply.files

    @property
    def sources(self) -> tuple[Any, ...]:
        """The sources that the agent names for its answer, unchanged.

        Their shape is undocumented; the field of the response is `sourceMetadatas`.
        """
        sources = self.raw.get("sourceMetadatas")
        return tuple(sources) if isinstance(sources, list) else ()

    def json(self) -> Any:
        """Return the text, or else its first fenced code block, parsed as JSON.

        JSON with words around it, outside of a code block, is not searched for.

        Raises:
            AnswerError: neither is valid JSON.
        """
        from swiftask_jupyter.answers.structured import extract_json

        return extract_json(self.text)

    def code(self) -> str:
        """Return the first fenced code block of the text, or else the whole text."""
        from swiftask_jupyter.answers.structured import extract_code

        return extract_code(self.text).text

    def frame(self) -> pd.DataFrame:
        """Return the table in the text as a DataFrame.

        The formats, in the order in which they are tried: a fenced block of CSV or TSV; JSON (a
        list of records, an object of columns, or an object that holds one list of records); a
        Markdown table. Texts with leading zeros, such as postcodes, stay texts.

        Raises:
            AnswerError: there is no table, or it is malformed.
        """
        from swiftask_jupyter.answers.structured import extract_frame

        return extract_frame(self.text)


def answer_from(reply: Reply) -> Answer:
    """Return the answer that a finished reply amounts to."""
    return Answer(
        text=reply.text,
        agent=reply.agent,
        turn=reply.id,
        usage=reply.usage,
        seconds=reply.seconds,
        raw=reply.raw,
        reply=reply,
    )
