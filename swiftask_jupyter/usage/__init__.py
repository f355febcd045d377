"""Usage (tokens, credits, times) as DataFrames, read from the ledger or from saved notebooks."""
