"""What the ledger tells of a call: each column, its unit, and where it comes from."""

from __future__ import annotations

from typing import Literal

from swiftask_jupyter.support.structs import Struct

# In a frame, a moment is a datetime64[us, UTC], a category a category, a text a string, a whole
# number an Int64, a real one a Float64 and a flag a boolean. All but `at` may be missing.
Kind = Literal["moment", "category", "text", "whole", "real", "flag"]


class Column(Struct, frozen=True):
    """One column.

    Attributes:
        name: its name in the frame and in the ledger.
        kind: which dtype it has.
        unit: what one of it is; empty where it counts nothing.
        meaning: what it says, and who said it.
    """

    name: str
    kind: Kind
    unit: str
    meaning: str


COLUMNS = (
    Column("turn", "text", "", "our id of the call; sorts by time"),
    Column("at", "moment", "UTC", "when the request left; our clock"),
    Column("notebook", "category", "", "path of the notebook, where the front end names one"),
    Column("session", "category", "", "our id of the conversation"),
    Column("number", "whole", "", "which turn of its session it is, from 1"),
    Column("cell", "category", "", "id of the cell that asked, where the front end names it"),
    Column("slot", "category", "", "the place in the conversation that it fills"),
    Column("surface", "category", "", "who asked: cell, panel, python or batch"),
    Column("agent", "category", "", "slug of the agent"),
    Column("dialect", "category", "", "the protocol spoken"),
    Column(
        "status",
        "category",
        "",
        "ok, error, interrupted, running; lost: its process died; refused: never sent",
    ),
    Column("finish_reason", "category", "", "why the answer ends, as the service says"),
    Column("attempts", "whole", "requests", "how many requests it took"),
    Column("seconds", "real", "s", "from the request to the end; our clock"),
    Column("first_token_seconds", "real", "s", "from the request to the first text; our clock"),
    Column("input_tokens", "whole", "tokens", "of the request, as the service reports them"),
    Column("output_tokens", "whole", "tokens", "of the answer, as the service reports them"),
    Column("total_tokens", "whole", "tokens", "their sum, where both are reported"),
    Column("reported_total", "whole", "undocumented", "a total as the service gave it, unread"),
    Column(
        "credits",
        "real",
        "undocumented",
        "what the service calls usage beside tokens (totalBotUsage), raw: it may be of the call"
        " or of the session so far",
    ),
    Column("usage_source", "category", "", "api: in a JSON answer; stream: in a usage event; none"),
    Column("cached", "flag", "", "an earlier answer shown again: nothing was sent"),
    Column("key", "text", "", "digest of the whole request, by which answers are kept"),
    Column("error", "text", "", "the one line of a failure, secrets masked"),
)  # fmt: skip
USER = Column("user", "category", "", "whose call it was; in a store that several share")
TEXTS = (
    Column("prompt", "text", "", "what was asked"),
    Column("answer", "text", "", "what came back"),
    Column("liked", "flag", "", "what the user thought of it, where it was rated in a panel"),
    Column("comment", "text", "", "what the user said of it, in a panel"),
)
EVERY = {column.name: column for column in (*COLUMNS, USER, *TEXTS)}
