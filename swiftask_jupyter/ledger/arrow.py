"""A large ledger as Arrow columns, where ADBC and pyarrow are installed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from swiftask_jupyter.ledger.schema import EVERY

CHILD = Path(__file__).with_name("arrow_child.py")
# The driver takes a column's type from the values it sees first; so a row of the right ones
# leads, and is dropped again.
_FIRST = {"moment": "0.0", "whole": "0", "flag": "0", "real": "0.0"}


def installed() -> bool:
    """Tell whether what is needed is there, without loading it."""
    return all(find_spec(name) is not None for name in ("pyarrow", "adbc_driver_sqlite"))


@contextmanager
def stream(
    path: Path, names: Sequence[str], statement: str, parameters: Sequence[Any]
) -> Iterator[IO[bytes]]:
    """Yield the Arrow stream of what a statement finds.

    Raises:
        OSError: the reading process could not be started, or failed.
    """
    first = ", ".join(f"{_FIRST.get(EVERY[name].kind, repr(''))} AS {name}" for name in names)
    asked = {
        "path": str(path),
        "statement": f"SELECT {first} UNION ALL {statement}",
        "parameters": list(parameters),
        "repeating": [name for name in names if EVERY[name].kind == "category"],
    }
    with subprocess.Popen(  # noqa: S603 - this interpreter, and a script of ours
        [sys.executable, "-P", str(CHILD)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(json.dumps(asked).encode())
        child.stdin.close()
        try:
            yield child.stdout
        except BaseException:
            child.kill()
            raise
    if child.returncode:
        raise OSError(f"the reading process ended with {child.returncode}")
