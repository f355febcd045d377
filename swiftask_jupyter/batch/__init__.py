"""One prompt for every row of a DataFrame: bounded, polite, resumable."""

from __future__ import annotations

from swiftask_jupyter.batch.batch import Batch
from swiftask_jupyter.batch.partitions import is_partitioned, partitioned
from swiftask_jupyter.batch.wishes import Wishes

__all__ = ["Batch", "Wishes", "is_partitioned", "partitioned"]
