"""One prompt for every row of a DataFrame: bounded, polite, resumable."""
