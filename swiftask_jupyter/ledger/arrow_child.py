"""Queries a SQLite file through ADBC; the module `arrow` runs this file in a child process.

The process reads a JSON object from its standard input and writes an Arrow stream to its standard
output. The JSON object has four keys:

- `path`: the path of the SQLite file;
- `statement`: the query, with a `?` for each parameter;
- `parameters`: the values, in the order of the question marks;
- `repeating`: the names of the columns in which few distinct texts occur.

A separate process is needed because ADBC contains a second copy of SQLite. If two copies of SQLite
in one process open the same file, each copy releases the POSIX locks of the other copy. The ledger
could become corrupt.
"""

from __future__ import annotations

import json
import os
import sys
from urllib.request import pathname2url

import adbc_driver_manager
import adbc_driver_sqlite
import pyarrow as pa

BATCH_ROWS = "16384"


def main() -> None:
    """Read a query from standard input, and write the result of the query to standard output."""
    request = json.load(sys.stdin)
    uri = f"file:{pathname2url(request['path'])}?mode=ro"
    # The low-level API, because importing ADBC's DB-API module takes longer than many queries.
    with (
        adbc_driver_sqlite.connect(uri) as database,
        adbc_driver_manager.AdbcConnection(database) as connection,
        adbc_driver_manager.AdbcStatement(connection) as statement,
    ):
        statement.set_options(**{"adbc.sqlite.query.batch_rows": BATCH_ROWS})
        statement.set_sql_query(request["statement"])
        if request["parameters"]:
            values = [pa.array([value]) for value in request["parameters"]]
            statement.bind(pa.record_batch(values, [str(n) for n in range(len(values))]))
        result, _ = statement.execute_query()
        write(pa.RecordBatchReader.from_stream(result), set(request["repeating"]))
    sys.stdout.flush()
    os._exit(0)  # skips the interpreter's shutdown, which has nothing to clean up


def write(batches: pa.RecordBatchReader, repeating: set[str]) -> None:
    """Write the rows of a query to standard output as an Arrow stream.

    The first row is left out, because it only sets the data types of the columns. If there are no
    batches, nothing is written.

    Args:
        batches: the rows of the query, including the first row.
        repeating: the names of the columns to dictionary-encode.
    """
    stream, skipped = None, 1
    for batch in batches:
        named = zip(batch.schema.names, batch.slice(skipped).columns, strict=True)
        columns = [
            column.dictionary_encode() if name in repeating else column for name, column in named
        ]
        skipped = 0
        encoded = pa.record_batch(columns, names=batch.schema.names)
        stream = stream or pa.ipc.new_stream(sys.stdout.buffer, encoded.schema)
        stream.write_batch(encoded)
    if stream is not None:
        stream.close()


if __name__ == "__main__":
    main()
