"""Safe rendering of an answer's Markdown: parse to a tree of known tags, then write HTML."""
