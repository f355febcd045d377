"""Queries a SQLite file through ADBC; the module `arrow` runs this file in a child process.

The process reads a JSON object from its standard input and writes an Arrow stream to its standard
output. The object has the keys `path` (the SQLite file), `statement`, `parameters` and `repeating`
(the names of the columns in which few distinct texts occur).

A separate process is needed because ADBC contains a second copy of SQLite. If two copies in one
process open the same file, they release each other's POSIX locks. This could corrupt the ledger.
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
    """Read a request from standard input and write the result of its query to standard output.

    The function uses ADBC's low-level API, because importing ADBC's DB-API module takes longer than
    many queries.
    """
    request = json.load(sys.stdin)
    uri = f"file:{pathname2url(request['path'])}?mode=ro"
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
    """Write the result of a query to standard output as an Arrow stream, without its first row.

    Write nothing if there are no batches.

    Args:
        batches: the result; its first row is artificial and only determines the data types.
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
