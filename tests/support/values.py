"""Display options of other libraries, set so that they shorten every text."""

import sys
from contextlib import ExitStack, contextmanager

import numpy as np
import pandas as pd

_PANDAS = {
    "display.max_rows": 4, "display.max_columns": 2, "display.max_colwidth": 5,
    "display.max_seq_items": 3, "display.precision": 2, "display.float_format": "{:.1f}".format,
}  # fmt: skip


@contextmanager
def shortening_displays():
    """Let NumPy, pandas and polars (if it is imported) leave out what they can."""
    with ExitStack() as stack:
        stack.enter_context(
            np.printoptions(precision=2, threshold=3, edgeitems=1, formatter={"float": "F".format})
        )
        stack.enter_context(pd.option_context(*(each for pair in _PANDAS.items() for each in pair)))
        if polars := sys.modules.get("polars"):
            stack.enter_context(
                polars.Config(tbl_rows=2, tbl_cols=2, fmt_str_lengths=3, float_precision=1)
            )
        yield
