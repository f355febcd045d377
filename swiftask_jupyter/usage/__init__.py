"""Usage as DataFrames: from the ledger, or from saved notebooks."""
