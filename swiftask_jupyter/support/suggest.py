"""Finds the known name that is most similar to a misspelt name."""

from __future__ import annotations

from collections.abc import Iterable

LIKELY = 0.6  # how alike two names must be, from 0 to 1, as `difflib` measures it


def closest(word: str, known: Iterable[str], *, cutoff: float = LIKELY) -> str | None:
    """Return the known name that is most similar to `word`, or `None`. Case is ignored.

    Args:
        word: the word that the user wrote.
        known: the names that exist.
        cutoff: the minimum similarity, from 0 (nothing in common) to 1 (equal).
    """
    import difflib  # 2 ms, paid only when something is misspelt

    names = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), names, n=1, cutoff=cutoff)
    return names[found[0]] if found else None


def did_you_mean(
    word: str, known: Iterable[str], *, otherwise: str = "", cutoff: float = LIKELY
) -> str:
    """Return the text `did you mean …?` with the known name that is most similar to `word`.

    If no known name is similar, return `otherwise`.
    """
    name = closest(word, known, cutoff=cutoff)
    return otherwise if name is None else f"did you mean {name}?"
