"""What was used, as DataFrames: from the ledger, or from saved notebooks."""
