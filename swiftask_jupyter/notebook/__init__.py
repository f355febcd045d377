"""The notebook: magics, and what an answer looks like in a cell."""
