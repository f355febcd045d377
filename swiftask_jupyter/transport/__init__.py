"""HTTP, on the I/O thread alone."""
