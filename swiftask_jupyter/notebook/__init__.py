"""The notebook front end: the magics, and the display of answers in cells and in a chat panel."""
