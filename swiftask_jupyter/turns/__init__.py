"""Sending one prompt: choosing the protocol, retrying after errors, and checking budgets."""
