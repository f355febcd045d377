"""Converts the Markdown of an answer to a tree of allowed tags, and the tree to safe HTML."""
