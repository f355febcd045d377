"""An answer's Markdown as a tree that cannot run, and the ways it is written."""
