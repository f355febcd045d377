"""Batches: a batch sends one prompt for each row of a DataFrame, and can be resumed."""
