"""Arrow columns become a usage frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from swiftask_jupyter.ledger.schema import EVERY
from swiftask_jupyter.ledger.usage import Accounts, Selection
from swiftask_jupyter.usage.frames import category, moments

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

WORTH_IT = 50_000  # rows; below, starting a process takes longer than it saves


def through_arrow(
    accounts: Accounts, names: Sequence[str], wanted: Selection
) -> pd.DataFrame | None:
    """Return the rows through Arrow; `None` where that can't be, or isn't worth it."""
    from swiftask_jupyter.ledger import arrow

    path = accounts.path
    if path is None or not arrow.installed() or not accounts.has(WORTH_IT, wanted):
        return None
    import pandas as pd
    import pyarrow as pa

    try:
        statement, parameters = accounts.query(names, wanted)
        with (
            arrow.stream(path, names, statement, parameters) as source,
            pa.ipc.open_stream(source) as reader,
        ):
            batches = [*reader]
    except (OSError, pa.ArrowException):
        return None  # the other way gives the same frame, or says what is wrong
    table = pa.Table.from_batches(batches).unify_dictionaries()
    del batches
    columns = {}
    for name in names:
        columns[name] = _series(name, table.column(name))
        table = table.drop_columns(name)
    return pd.DataFrame(columns, columns=list(names), copy=False)


def _series(name: str, column: pa.ChunkedArray[Any]) -> pd.Series[Any]:
    import pandas as pd
    import pyarrow as pa

    kind = EVERY[name].kind
    if kind == "moment":
        return moments(column.to_numpy())
    if kind == "category":
        whole = column.combine_chunks()
        codes = whole.indices.fill_null(-1).to_numpy()
        return category(codes, whole.dictionary.to_pylist())
    if kind == "flag":
        column = column.cast(pa.bool_())
    dtypes = {
        pa.int64(): pd.Int64Dtype(),
        pa.float64(): pd.Float64Dtype(),
        pa.bool_(): pd.BooleanDtype(),
        pa.string(): pd.StringDtype(),
    }
    made: pd.Series[Any] = column.to_pandas(types_mapper=dtypes.get)
    return made
