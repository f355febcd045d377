"""Reads a SQLite file through ADBC, in a process of its own; run as a script.

It reads a JSON object from its standard input (`path`, `statement`, `parameters`, `repeating`: the
columns whose texts repeat) and writes an Arrow stream to its standard output.

In a process of its own, because ADBC brings a second copy of SQLite along: two copies in one
process that have one file open undo each other's locks, and a ledger could be spoilt.
"""

from __future__ import annotations

import json
import os
import sys
from urllib.request import pathname2url

import adbc_driver_manager
import adbc_driver_sqlite
import pyarrow as pa

ROWS = "16384"  # in a batch


def main() -> None:
    """Answer one question.

    The driver is used directly: its DB-API would take longer to load than many a question.
    """
    asked = json.load(sys.stdin)
    uri = f"file:{pathname2url(asked['path'])}?mode=ro"
    with (
        adbc_driver_sqlite.connect(uri) as database,
        adbc_driver_manager.AdbcConnection(database) as connection,
        adbc_driver_manager.AdbcStatement(connection) as statement,
    ):
        statement.set_options(**{"adbc.sqlite.query.batch_rows": ROWS})
        statement.set_sql_query(asked["statement"])
        if asked["parameters"]:
            values = [pa.array([value]) for value in asked["parameters"]]
            statement.bind(pa.record_batch(values, [str(n) for n in range(len(values))]))
        found, _ = statement.execute_query()
        write(pa.RecordBatchReader.from_stream(found), set(asked["repeating"]))
    sys.stdout.flush()
    os._exit(0)  # nothing is left to tidy up


def write(batches: pa.RecordBatchReader, repeating: set[str]) -> None:
    """Write the batches, texts that repeat by their numbers."""
    stream, skipped = None, 1  # the first row is there for its types
    for batch in batches:
        named = zip(batch.schema.names, batch.slice(skipped).columns, strict=True)
        columns = [
            column.dictionary_encode() if name in repeating else column for name, column in named
        ]
        skipped = 0
        made = pa.record_batch(columns, names=batch.schema.names)
        stream = stream or pa.ipc.new_stream(sys.stdout.buffer, made.schema)
        stream.write_batch(made)
    if stream is not None:
        stream.close()


if __name__ == "__main__":
    main()
