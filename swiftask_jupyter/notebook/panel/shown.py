"""One exchange as a panel shows it: what was asked, the answer as it grows, how it ended."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from swiftask_jupyter.conversation import Exchange
from swiftask_jupyter.notebook import extras
from swiftask_jupyter.notebook.bundle import footer
from swiftask_jupyter.notebook.panel.patches import Growth, Operation
from swiftask_jupyter.replies import Delta, Raw, Reply, Standing
from swiftask_jupyter.visible import visible

STANDS = "the answer it was to replace still counts"


class Shown:
    """One exchange in a panel.

    Attributes:
        prompt: what was asked, as it was sent.
        reply: the answer.
        files: the names of what went along.
        attached: the files themselves, as long as this kernel has them.
        stale: whether something else stands before it by now.
        liked: what the user thinks of it.
        comment: what the user said of it; empty if nothing.
        waits: whether it may have to reach the ledger yet, which was away.
        aside: whether the conversation goes on with what stood in its place before.
    """

    def __init__(self, prompt: str, reply: Reply, attached: Iterable[Any] = ()) -> None:
        self.prompt = prompt
        self.reply = reply
        self.attached = tuple(attached)
        self.files = [visible(str(file[0])) for file in self.attached]
        self.stale = False
        self.liked: bool | None = None
        self.comment = ""
        self.waits = False
        self.aside = False
        self._growth = Growth()
        self._fed = 0  # pieces of the reply
        self._read = True  # whether the growth has the whole of a finished answer

    def __repr__(self) -> str:
        return f"<asked {self.prompt[:60]!r}: {self.reply.status}>"

    @classmethod
    def before(cls, exchange: Exchange, attached: Iterable[Any] = ()) -> Shown:
        """Return an exchange of the conversation's history; it is read when it is first shown."""
        whence = exchange.provenance
        reply = Reply(
            exchange.agent, turn=exchange.turn, number=exchange.number, session=whence.session,
            dialect=exchange.dialect, digest=whence.digest, at=exchange.at, status="ok",
            usage=exchange.usage, finish_reason=whence.finish_reason, seconds=exchange.seconds,
            first_token_seconds=whence.first_token_seconds, attempts=whence.attempts,
            conversation=exchange.conversation, cached=whence.cached,
            standing=Standing(exchange.slot, exchange.cell, exchange.run, exchange.surface),
        )  # fmt: skip
        reply.apply([Delta(exchange.answer), Raw(exchange.raw)])
        shown = cls(exchange.prompt, reply, attached)
        shown.stale, shown._read = exchange.stale, False
        return shown

    @property
    def key(self) -> str:
        """What names it in a view: short, as each message carries it."""
        return short(self.reply.turn)

    @property
    def place(self) -> tuple[str | None, str | None]:
        """The slot that it fills, and by which run: a later run replaces what an earlier said."""
        return self.reply.standing.slot, self.reply.standing.run

    @property
    def by_cell(self) -> bool:
        """Whether a cell asked: with options that a panel doesn't know, and maybe more than this.

        All that one run of a cell asks stands in one place.
        """
        return self.reply.standing.surface in {"cell", "python"}

    @property
    def running(self) -> bool:
        """Whether the answer is still to come."""
        return self.reply.status == "running"

    @property
    def counts(self) -> bool:
        """Whether its place is one in the conversation: of an answer, old or still to come."""
        return self.running or self.aside or self.reply.status == "ok"

    def grow(self) -> list[Operation]:
        """Return what the answer has gained since the last whence."""
        return self._growth.changes() if self._feed() else []

    def finish(self) -> list[Operation]:
        """Return the last changes, and what comes beside the text."""
        self._feed()
        return self._growth.finish() + self._growth.add(extras.nodes(extras.rows(self.reply)))

    def _feed(self) -> bool:
        """Take what is new of the answer; tell whether there was anything."""
        pieces = self.reply.pieces(self._fed)
        self._fed += len(pieces)
        self._growth.feed("".join(pieces))
        return bool(pieces)

    def whole(self) -> dict[str, Any]:
        """Return all of it, as the views have it by now."""
        if not self._read:
            self._growth = Growth.of(self.reply.text)
            self._growth.add(extras.nodes(extras.rows(self.reply)))
            self._read = True
        return {
            "key": self.key,
            "prompt": visible(self.prompt),
            "cell": self.by_cell,
            "files": self.files,
            "tree": self._growth.whole(),
            **self.end(),
        }

    def end(self) -> dict[str, Any]:
        """Return how it stands with the answer."""
        reply = self.reply
        at = datetime.fromtimestamp(reply.at, UTC).astimezone() if reply.at else None
        return {
            "at": f"{at:%Y-%m-%d %H:%M}" if at else "",
            "agent": visible(reply.agent),
            "status": reply.status,
            "doing": visible(reply.doing),
            "note": self._note(),
            "error": reply.error and visible(reply.error),
            "stale": self.stale,
            "liked": self.liked,
            "comment": self.comment,
        }

    def _note(self) -> str:
        """Return the footer without the agent's name, which stands above the answer."""
        if self.running or not self.reply.number:
            return ""
        note = visible(footer(self.reply).partition(" · ")[2])
        return f"{note} · {STANDS}" if self.aside else note

    def anew(self) -> Shown:
        """Return the same exchange, of which the views of another panel know nothing yet."""
        return Shown(self.prompt, self.reply, self.attached)


def short(turn: str) -> str:
    """Return what names a turn in a view; the end of an id is random."""
    return turn[-8:]
