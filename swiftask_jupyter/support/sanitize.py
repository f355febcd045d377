"""Text from outside with nothing hidden in it: control characters become marks one can see.

An answer can carry what no reader sees: ESC sequences that rewrite a terminal, bidi controls that
turn a line of code around, zero-width and tag characters that smuggle text past the eye. Every
surface cleans its text here once, so that cell, panel and text/plain show the same marks.
"""

import re

# What joins letters where the script needs it: Persian and the Indic scripts, and emoji families.
_JOINERS = "\u200c\u200d"
# Emoji (FE0F) or text (FE0E) presentation of the character before; fine after what can have two.
_PRESENTATION = "\ufe0e\ufe0f"
_HIDDEN = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 without tab and newline, DEL, C1
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "\ud800-\udfff"
)
_NO_LETTER = f"\x00-\x7f{_HIDDEN}{_JOINERS}"
_MARKED = re.compile(
    f"[{_HIDDEN}]"
    f"|(?<![^{_NO_LETTER}])[{_JOINERS}]|[{_JOINERS}](?![^{_NO_LETTER}{_PRESENTATION}])"
    rf"|(?<![0-9#*]|[^{_NO_LETTER}{_PRESENTATION}])[{_PRESENTATION}]"
)
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
# A character that can't be judged before its right neighbour is known.
_UNDECIDED = re.compile(f"[\r\ud800-\udbff{_JOINERS}{_PRESENTATION}]*\\Z")


def visible(text: str) -> str:
    """The text with its control, bidi and zero-width characters shown as marks."""
    if text.isascii() and text.isprintable():
        return text
    text = _PAIR.sub(lambda pair: joined(pair[0]), text.replace("\r\n", "\n"))
    return _MARKED.sub(_mark, text)


def in_line(text: str) -> str:
    """The text with nothing hidden in it, in one line: for a name that others may have written."""
    return " ".join(visible(text).split())


class Cleaner:
    """`visible` for text that comes in pieces, wherever they are cut."""

    def __init__(self) -> None:
        self._before = ""
        self._held: list[str] = []

    def feed(self, delta: str) -> str:
        """The next piece, cleaned, without the characters at its end that can't be judged yet."""
        undecided = _UNDECIDED.search(delta)
        cut = undecided.start() if undecided else len(delta)
        if cut == 0:  # a flood of these costs no joining
            self._held.append(delta)
            return ""
        ready = "".join((*self._held, delta[:cut]))
        self._held = [delta[cut:]] if cut < len(delta) else []
        return self._clean(ready)

    def finish(self) -> str:
        """What was held back."""
        ready, self._held = "".join(self._held), []
        return self._clean(ready)

    def _clean(self, text: str) -> str:
        """Cleaned in the light of the character before it, which is out already."""
        cleaned = visible(self._before + text)[len(visible(self._before)) :]
        self._before = text[-1:] or self._before
        return cleaned


def joined(text: str) -> str:
    """Return the text with characters that were cut in two made whole, and lone halves replaced."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _mark(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:  # the C0 block has pictures of its own
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"\u27e6U+{code:04X}\u27e7"
