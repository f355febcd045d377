"""Building blocks with no knowledge of Swiftask: the I/O thread, value types, safe text."""
