"""HTTP: everything that opens a socket. All of it runs on the I/O thread."""
