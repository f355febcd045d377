"""Defines `Secret`: an API token that is hidden in a repr and can be masked in texts."""

from __future__ import annotations

from urllib.parse import quote_plus

MASK = "••••"
# A shorter word is not masked: it cannot be a real token.
MIN_MASKED_LENGTH = 4
# A shorter word is not searched for in prompts. Local servers accept any word as a token, and a
# short one occurs in every other prompt.
MIN_SEARCHED_LENGTH = 8


class Secret:
    """An API token. The repr and str are masked, and a `Secret` cannot be pickled.

    Code that sends or stores the token must call `reveal()`.
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: str) -> None:
        self._secret = secret.strip()

    def reveal(self) -> str:
        """Return the token as a plain string."""
        return self._secret

    def mask(self, text: str) -> str:
        """Return the text with a mask in place of each occurrence of the token.

        The URL-encoded form of the token is masked too. A token of fewer than 4 characters is not
        masked.
        """
        if len(self._secret) < MIN_MASKED_LENGTH:
            return text
        # The URLs of the widget routes contain the encoded token.
        return text.replace(self._secret, MASK).replace(quote_plus(self._secret), MASK)

    def is_in(self, text: str | bytes) -> bool:
        """Return whether a text or a file's content contains the token.

        The result for a token of fewer than 8 characters is always false, because a short word
        occurs in many texts.
        """
        if len(self._secret) < MIN_SEARCHED_LENGTH:
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
        return f"Secret({MASK})" if self else "Secret('')"

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise TypeError("a token is not pickled")
