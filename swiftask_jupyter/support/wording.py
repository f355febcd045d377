"""How many of something there are, in words."""


def quantity(count: int, noun: str) -> str:
    """Return `1 turn`, `2 turns`, `1,000 turns`; the noun is one whose plural ends in s."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
