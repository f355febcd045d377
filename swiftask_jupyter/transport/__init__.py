"""The HTTP client, which contains all code that opens sockets. It runs on the I/O thread."""
