"""Builds what is sent to an agent: the prompt's text, earlier messages and attached files."""
