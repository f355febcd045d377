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

import adbc_driver_sqlite.dbapi
import pyarrow as pa

ROWS = "16384"  # in a batch


def main() -> None:
    """Answer one question."""
    asked = json.load(sys.stdin)
    repeating = set(asked["repeating"])
    uri = f"file:{pathname2url(asked['path'])}?mode=ro"
    with adbc_driver_sqlite.dbapi.connect(uri) as connection, connection.cursor() as cursor:
        cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": ROWS})
        cursor.execute(asked["statement"], asked["parameters"] or None)
        stream, skipped = None, 1  # the first row is there for its types
        for batch in cursor.fetch_record_batch():
            named = zip(batch.schema.names, batch.slice(skipped).columns, strict=True)
            columns = [
                column.dictionary_encode() if name in repeating else column
                for name, column in named
            ]
            skipped = 0
            made = pa.record_batch(columns, names=batch.schema.names)
            stream = stream or pa.ipc.new_stream(sys.stdout.buffer, made.schema)
            stream.write_batch(made)
        if stream is not None:
            stream.close()
    sys.stdout.flush()
    os._exit(0)  # nothing is left to tidy up


if __name__ == "__main__":
    main()
