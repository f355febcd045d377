"""The HTTP client, which runs on the I/O thread."""
