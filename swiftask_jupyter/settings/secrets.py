"""A token, kept out of everything a person or a file might see."""

from __future__ import annotations

from urllib.parse import quote_plus

MASK = "••••"
# A word of fewer letters is no secret.
SHORTEST = 4
SHORTEST_IN_A_PROMPT = 8


class Secret:
    """A secret string that does not show itself: its repr and str are masked.

    `reveal()` is called in one place for each dialect: where the request is written.
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: str) -> None:
        self._secret = secret.strip()

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._secret

    def mask(self, text: str) -> str:
        """Return the text with the secret replaced: a service may repeat it in an error.

        The widget's routes have it in their URLs, where some of its letters are written otherwise.
        """
        if len(self._secret) < SHORTEST:
            return text
        return text.replace(self._secret, MASK).replace(quote_plus(self._secret), MASK)

    def stands_in(self, text: str | bytes) -> bool:
        """Tell whether the text, or a file's content, contains the secret.

        Local servers take any word for a token; one that short is found in every other prompt.
        """
        if len(self._secret) < SHORTEST_IN_A_PROMPT:
            return False
        return self._secret in text if isinstance(text, str) else self._secret.encode() in text

    def __len__(self) -> int:
        return len(self._secret)

    def __bool__(self) -> bool:
        return bool(self._secret)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._secret == self._secret

    def __hash__(self) -> int:
        return hash(self._secret)

    def __repr__(self) -> str:
        return f"Token({MASK})" if self else "Token('')"

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise TypeError("a token is not pickled")
