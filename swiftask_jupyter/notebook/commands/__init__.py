"""The commands of `%swiftask`."""
