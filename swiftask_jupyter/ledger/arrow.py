"""Reads a large SQLite ledger as Arrow columns, if pyarrow and ADBC's SQLite driver are installed.

A child process runs the query. The docstring of the module `arrow_child` gives the reason.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from swiftask_jupyter.ledger.schema import kinds

CHILD = Path(__file__).with_name("arrow_child.py")
# The driver derives the type of a column from its first values. So a row of typical values is put
# before the result, and the child process drops it. Columns of all other kinds contain text.
_TYPICAL_VALUES = {"moment": "0.0", "whole": "0", "flag": "0", "real": "0.0"}


def installed() -> bool:
    """Return whether pyarrow and ADBC's SQLite driver are installed, without importing them."""
    return all(find_spec(name) is not None for name in ("pyarrow", "adbc_driver_sqlite"))


@contextmanager
def stream(
    path: Path, names: Sequence[str], statement: str, parameters: Sequence[Any]
) -> Iterator[IO[bytes]]:
    """Run a query in a child process; a `with` statement gives the result as a file.

    The file is in Arrow's IPC stream format.

    Args:
        path: the path of the SQLite file.
        names: the names of the columns that the query returns, in order.
        statement: the query, with a `?` for each parameter.
        parameters: the values, in the order of the question marks.

    Raises:
        OSError: the child process can't be started. If the child process fails later, the error is
            raised at the end of the `with` block.
    """
    typical = ", ".join(
        f"{_TYPICAL_VALUES.get(kinds()[name], repr(''))} AS {name}" for name in names
    )
    request = {
        "path": str(path),
        "statement": f"SELECT {typical} UNION ALL {statement}",
        "parameters": list(parameters),
        "repeating": [name for name in names if kinds()[name] == "category"],
    }
    with subprocess.Popen(  # noqa: S603 - runs this interpreter with a script of this package
        [sys.executable, "-P", str(CHILD)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(json.dumps(request).encode())
        child.stdin.close()
        try:
            yield child.stdout
        except BaseException:
            child.kill()
            raise
    if child.returncode:
        raise OSError(f"the reading process ended with {child.returncode}")
