"""Formats a count with its noun, for messages: `1 turn`, `2 turns`."""


def quantity(count: int, noun: str) -> str:
    """Return the count and the noun, such as `1 turn` or `1,000 turns`.

    Args:
        count: the number of things.
        noun: the noun in the singular. The plural must be the singular with an `s`.
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
