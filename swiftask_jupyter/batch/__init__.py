"""Batches: one prompt for each row of a DataFrame, with limited concurrency, and resumable."""
