"""Sanitizes texts from outside: puts visible marks in place of invisible control characters.

A model's answer can contain characters that a reader does not see. ESC sequences control a
terminal. Bidirectional controls reorder a line of code. Zero-width and tag characters hide text.
All output is sanitized by this module. So the cell, the panel and text/plain show equal marks.
"""

import re

# Zero-width joiners: legitimate between letters (Persian, Indic scripts) and in emoji families.
_JOINERS = "\u200c\u200d"
# Variation selectors for emoji (FE0F) and text (FE0E) presentation: legitimate after a character
# that has both presentations.
_PRESENTATION = "\ufe0e\ufe0f"
_HIDDEN = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 without tab and newline, DEL, C1
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "\ud800-\udfff"
)
_NOT_A_LETTER = f"\x00-\x7f{_HIDDEN}{_JOINERS}"
_TO_MARK = re.compile(
    f"[{_HIDDEN}]"
    f"|(?<![^{_NOT_A_LETTER}])[{_JOINERS}]|[{_JOINERS}](?![^{_NOT_A_LETTER}{_PRESENTATION}])"
    rf"|(?<![0-9#*]|[^{_NOT_A_LETTER}{_PRESENTATION}])[{_PRESENTATION}]"
)
_SURROGATE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
# Trailing characters that can only be judged once the next character is known.
_UNDECIDED = re.compile(f"[\r\ud800-\udbff{_JOINERS}{_PRESENTATION}]*\\Z")


def sanitize(text: str) -> str:
    """Return the text with visible marks in place of control, bidi and zero-width characters.

    CR LF becomes LF. A C0 control becomes the Unicode picture of the control (`␛`). Any other
    invisible character becomes the code point (`⟦U+202E⟧`).
    """
    if text.isascii() and text.isprintable():
        return text
    text = _SURROGATE_PAIR.sub(lambda pair: join_surrogates(pair[0]), text.replace("\r\n", "\n"))
    return _TO_MARK.sub(_mark, text)


def sanitize_line(text: str) -> str:
    """Return the sanitized text on one line. Use this function for names from other people."""
    return " ".join(sanitize(text).split())


class StreamSanitizer:
    """Sanitizes a text that arrives in pieces.

    The result does not depend on the lengths of the pieces.
    """

    def __init__(self) -> None:
        self._last_character = ""
        self._held_back: list[str] = []

    def feed(self, delta: str) -> str:
        """Add a piece of the text, and return the sanitized text that is ready.

        The last characters are held back if the next piece determines what these characters become.
        """
        undecided = _UNDECIDED.search(delta)
        cut = undecided.start() if undecided else len(delta)
        if cut == 0:  # joining here would be quadratic for a flood of such characters
            self._held_back.append(delta)
            return ""
        ready = "".join((*self._held_back, delta[:cut]))
        self._held_back = [delta[cut:]] if cut < len(delta) else []
        return self._sanitize(ready)

    def finish(self) -> str:
        """Return the sanitized characters that `feed` held back.

        Call this method after the last piece.
        """
        ready, self._held_back = "".join(self._held_back), []
        return self._sanitize(ready)

    def _sanitize(self, text: str) -> str:
        """Return the next part of the text, sanitized.

        The result also depends on the last character of the previous part.
        """
        before = self._last_character
        self._last_character = text[-1:] or before
        return sanitize(before + text)[len(sanitize(before)) :]


def join_surrogates(text: str) -> str:
    """Join surrogate pairs into characters, and replace each lone surrogate with U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _mark(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:  # Unicode has a picture for each character of the C0 block
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"\u27e6U+{code:04X}\u27e7"


class SurrogateJoiner:
    r"""Joins surrogate pairs that were split over two chunks, such as `\ud83d` and `\ude00`.

    A service may split an emoji in this way. `join` keeps the first surrogate until the next chunk
    arrives. Most texts need no `join`: the typed msgspec decoder rejects lone surrogates. A text
    needs `join` if its chunk was decoded without type checks, or if a surrogate is kept.

    Attributes:
        active: whether the text of the next chunk must pass through `join`.
    """

    __slots__ = ("_half", "active")

    def __init__(self) -> None:
        self._half = ""
        self.active = False

    def join(self, text: str) -> str:
        """Return `text` with its surrogate pairs joined into characters.

        A surrogate kept by the last call is put before `text`. If `text` ends with the first
        surrogate of a pair, this surrogate is kept for the next call and not returned. Other lone
        surrogates are replaced by U+FFFD. `text` must not be empty.
        """
        text = self._half + text
        self._half = text[-1] if "\ud800" <= text[-1] <= "\udbff" else ""
        self.active = bool(self._half)
        return join_surrogates(text[: len(text) - len(self._half)])

    def finish(self) -> str:
        """Return U+FFFD if a surrogate is still kept at the end of the stream, else `""`."""
        half, self._half = self._half, ""
        return join_surrogates(half)
