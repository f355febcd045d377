"""Safe rendering of an answer's Markdown: parse it to a tree of known tags, then write HTML."""
