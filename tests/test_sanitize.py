"""Sanitizing: each invisible character becomes a visible mark, and no other character changes."""

# ruff: noqa: RUF001 - Persian letters are meant

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swiftask_jupyter.support.sanitize import StreamSanitizer, sanitize, sanitize_line

MARKED = [
    ("\x1b[31mred", "␛[31mred"),
    ("a\x00b\x07", "a␀b␇"),
    ("\x7f\x9b", "␡⟦U+009B⟧"),
    ("a\r\nb\rc", "a\nb␍c"),
    ("\u202eabc\u2066", "⟦U+202E⟧abc⟦U+2066⟧"),
    ("a\u200bb\ufeff", "a⟦U+200B⟧b⟦U+FEFF⟧"),
    ("\ud83d", "⟦U+D83D⟧"),
    ("\ud83d\ude00", "😀"),
    ("👩\u200d👧 \u200d x\u200dy", "👩\u200d👧 ⟦U+200D⟧ x⟦U+200D⟧y"),
    ("می\u200cخواهم", "می\u200cخواهم"),
    (
        "❤\ufe0f 1\ufe0f\u20e3 x\ufe0f ❤\ufe0f\ufe0f",
        "❤\ufe0f 1\ufe0f\u20e3 x⟦U+FE0F⟧ ❤\ufe0f⟦U+FE0F⟧",
    ),
    ("❤\ufe0f\u200d🔥", "❤\ufe0f\u200d🔥"),
    ("\U000e0041", "⟦U+E0041⟧"),
    ("tab\tand\nline", "tab\tand\nline"),
]


@pytest.mark.parametrize(("text", "shown"), MARKED)
def test_an_invisible_character_becomes_a_mark(text, shown):
    assert sanitize(text) == shown


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_sanitized_text_is_not_changed_by_sanitizing_it_again(text):
    assert sanitize(sanitize(text)) == sanitize(text)


@pytest.mark.parametrize(("text", "shown"), MARKED)
@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_text_that_arrives_in_pieces_is_sanitized_like_the_whole(text, shown, size):
    sanitizer = StreamSanitizer()

    pieces = [sanitizer.feed(text[n : n + size]) for n in range(0, len(text), size)]

    assert "".join((*pieces, sanitizer.finish())) == shown


def test_a_name_with_line_ends_becomes_one_line():
    assert sanitize_line(" a\nb\t\x1b c ") == "a b ␛ c"
