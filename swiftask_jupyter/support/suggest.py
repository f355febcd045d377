"""Finds the known name that is nearest to a misspelt one."""

from __future__ import annotations

from collections.abc import Iterable

LIKELY = 0.6  # how alike two names must be, from 0 to 1, as `difflib` measures it


def closest(word: str, known: Iterable[str], *, cutoff: float = LIKELY) -> str | None:
    """Return the known name that is most similar to `word`, or `None`; case is ignored.

    Args:
        word: what the user wrote.
        known: the names that exist.
        cutoff: the least similarity: 1 for equal, 0 for nothing in common.
    """
    import difflib  # 2 ms, paid only when something is misspelt

    names = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), names, n=1, cutoff=cutoff)
    return names[found[0]] if found else None


def did_you_mean(
    word: str, known: Iterable[str], *, otherwise: str = "", cutoff: float = LIKELY
) -> str:
    """Return `did you mean …?` with the nearest known name, or `otherwise` if none is similar."""
    name = closest(word, known, cutoff=cutoff)
    return otherwise if name is None else f"did you mean {name}?"
