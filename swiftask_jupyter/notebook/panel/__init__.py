"""The chat panel: a conversation with agents as a Jupyter widget."""
