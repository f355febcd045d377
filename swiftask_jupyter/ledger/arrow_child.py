"""Queries a SQLite file through ADBC in a child process; run as a script by `arrow`.

It reads a JSON object from its standard input and writes an Arrow stream to its standard output.
The object has a `path`, a `statement`, its `parameters` and `repeating`: the names of the columns
with few distinct texts.

A separate process is needed because ADBC contains a second copy of SQLite. Two copies in one
process that open the same file release each other's POSIX locks, which could corrupt the ledger.
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
    """Run the query that standard input describes.

    The driver is used directly, because importing its DB-API takes longer than many queries.
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
    """Write the batches to standard output, without their first row.

    Args:
        batches: the result of the query; its first row only determines the types.
        repeating: the columns to encode as dictionaries.
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
