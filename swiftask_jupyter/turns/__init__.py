"""Sends one prompt: chooses the protocol, retries after errors and checks budgets."""
