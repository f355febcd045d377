"""Builds the content of a request: the prompt's text, earlier messages and attached files."""
