"""How a field of a turn is stored in the ledger, shown in frames and saved in notebooks."""

from __future__ import annotations

from typing import Literal

from swiftask_jupyter.support.structs import Struct

# The dtype in a frame: datetime64[us, UTC], category, string, Int64, Float64 and boolean.
# All but a moment may be missing. `json` stands in no frame.
Kind = Literal["moment", "category", "text", "whole", "real", "flag", "json"]


class Column(Struct, frozen=True):
    """What an annotated field means, and where its values go.

    Attributes:
        meaning: what the value says, and who said it.
        unit: what one of it is; empty where it counts nothing.
        name: the column's name in ledger, frame and record; default: the field's.
        kind: the dtype; default: the one that fits the annotated type.
        table: `turns`, or `texts` for what counting calls need not read.
        written: `begin` (before the request leaves), `end` or `both`.
        null: the field's value that the ledger stores as NULL, besides `None`.
        in_frame: whether the usage frame has it.
        in_record: whether the record in a notebook has it.
        record_name: its name in that record; default: the column's.
    """

    meaning: str
    unit: str = ""
    name: str = ""
    kind: Kind | None = None
    table: Literal["turns", "texts"] = "turns"
    written: Literal["begin", "end", "both"] = "end"
    null: object = ""
    in_frame: bool = True
    in_record: bool = True
    record_name: str = ""
