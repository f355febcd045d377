"""Helper modules that do not depend on Swiftask: the I/O thread, value types, text functions."""
