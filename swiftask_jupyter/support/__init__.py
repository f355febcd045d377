"""What every room stands on: the I/O thread, plain values, text cleaned for display."""
