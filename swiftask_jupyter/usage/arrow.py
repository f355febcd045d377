"""Reads a large ledger into a usage frame through Arrow, to save CPU time and memory.

A usage frame is a DataFrame with one row for each turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from swiftask_jupyter.ledger.schema import kinds
from swiftask_jupyter.ledger.usage import UsageFilter, UsageQueries
from swiftask_jupyter.usage.frames import to_categorical, to_utc

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# With fewer rows, starting the reading process takes longer than Arrow saves.
MIN_ROWS = 50_000


def read_with_arrow(
    queries: UsageQueries, names: Sequence[str], filters: UsageFilter
) -> pd.DataFrame | None:
    """Read columns of the selected turns through Arrow, without sorting the turns.

    Args:
        queries: the queries of the ledger.
        names: the names of the columns.
        filters: the filter that selects the turns.

    Returns:
        The usage frame, or `None`. The result is `None` if Arrow is not installed, if the ledger is
        not a SQLite file, if fewer than `MIN_ROWS` turns are selected, or if Arrow fails.
    """
    from swiftask_jupyter.ledger import arrow

    path = queries.path
    if path is None or not arrow.installed() or not queries.has(MIN_ROWS, filters):
        return None
    import pandas as pd
    import pyarrow as pa

    try:
        statement, parameters = queries.query(names, filters)
        with (
            arrow.stream(path, names, statement, parameters) as source,
            pa.ipc.open_stream(source) as reader,
        ):
            batches = [*reader]
    except (OSError, pa.ArrowException):
        return None  # reading without Arrow gives the same frame, or raises the error
    table = pa.Table.from_batches(batches).unify_dictionaries()
    # Free each Arrow column right after its conversion, so that no column is in memory twice.
    del batches
    columns = {}
    for name in names:
        columns[name] = _series(name, table.column(name))
        table = table.drop_columns(name)
    return pd.DataFrame(columns, columns=list(names), copy=False)


def _series(name: str, column: pa.ChunkedArray[Any]) -> pd.Series[Any]:
    """Convert an Arrow column to a pandas series, with the dtype of the column in a usage frame.

    Args:
        name: the name of the column.
        column: the values.
    """
    import pandas as pd
    import pyarrow as pa

    kind = kinds()[name]
    if kind == "moment":
        return to_utc(column.to_numpy())
    if kind == "category":
        whole = column.combine_chunks()
        codes = whole.indices.fill_null(-1).to_numpy()
        return to_categorical(codes, whole.dictionary.to_pylist())
    if kind == "flag":
        column = column.cast(pa.bool_())
    dtypes = {
        pa.int64(): pd.Int64Dtype(),
        pa.float64(): pd.Float64Dtype(),
        pa.bool_(): pd.BooleanDtype(),
        pa.string(): pd.StringDtype(),
    }
    series: pd.Series[Any] = column.to_pandas(types_mapper=dtypes.get)
    return series
