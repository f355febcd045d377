"""A usage frame as a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from swiftask_jupyter.errors import ConfigurationError

if TYPE_CHECKING:
    import pandas as pd


def export(frame: pd.DataFrame, path: str | Path) -> Path:
    """Write a `.parquet` or `.csv` file; returns its path.

    Raises:
        ConfigurationError: it can't be written, or what writes Parquet is not installed.
    """
    file = Path(os.path.expanduser(path))  # noqa: PTH111 - unlike Path's, it leaves ~nobody alone
    try:
        if file.suffix == ".csv":
            frame.to_csv(file, index=False)
        elif file.suffix == ".parquet":
            frame.to_parquet(file, index=False)
        else:
            raise ConfigurationError(
                f"{file.name} names no format", advice="end it in .parquet or .csv"
            )
    except ImportError:
        raise ConfigurationError(
            "Parquet needs pyarrow", advice="pip install 'swiftask-jupyter[arrow]', or write .csv"
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"{file} can't be written ({error.strerror or error})", advice="name another place"
        ) from None
    return file
