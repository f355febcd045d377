"""Colours for code, few enough that its HTML stays near the size of its source.

This module imports Pygments; import it on first use.
"""

import time
from collections.abc import Iterable, Iterator
from itertools import groupby

from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Keyword, Name, Number, Operator, String, _TokenType

LONGEST_CODE = 64 * 1024
LONGEST_LINE = 2000  # where a lexer's slowest expressions begin to show
SECONDS = 0.3

# The languages agents answer in. Asking Pygments for a name it does not know would search the
# installed packages for plug-ins, and run them.
LANGUAGES = frozenset(
    """
    python py python3 pycon ipython console bash sh shell zsh powershell ps1 bat javascript js jsx
    typescript ts tsx json jsonc yaml yml toml ini cfg xml html css scss sql mysql postgresql
    plpgsql c cpp c++ csharp cs c# java kotlin kt scala go golang rust rs ruby rb php perl lua r
    julia jl matlab octave swift objective-c objc dart haskell hs ocaml elixir erlang clojure lisp
    scheme fortran cython pyx diff docker dockerfile make makefile cmake nginx http graphql protobuf
    terraform hcl latex tex markdown md rst vb vbnet groovy awk vim asm nasm
    """.split()  # noqa: SIM905 - a list of words reads best as words
)
_PLAIN = ""
# A letter for each kind of token that is coloured.
_KINDS: tuple[tuple[_TokenType, str], ...] = (
    (Comment, "c"),
    (String, "s"),
    (Number, "n"),
    (Keyword.Type, "b"),
    (Keyword, "k"),
    (Operator.Word, "k"),
    (Name.Builtin, "b"),
    (Name.Function, "f"),
    (Name.Class, "f"),
    (Name.Tag, "k"),
)


def runs(code: str, lang: str) -> list[tuple[str, str]]:
    """The code in pieces, each with its kind ("" is not coloured); in one piece if in doubt."""
    plain = [(_PLAIN, code)]
    if lang not in LANGUAGES or len(code) > LONGEST_CODE:
        return plain
    if max(map(len, code.split("\n"))) > LONGEST_LINE:
        return plain
    try:
        coloured = _merged(_lexed(code, lang))
    except Exception:  # noqa: BLE001 a lexer that stumbles must not take the answer with it
        return plain
    return coloured if "".join(text for _, text in coloured) == code else plain


def without(pieces: Iterable[tuple[str, str]], kinds: str) -> list[tuple[str, str]]:
    """The same pieces with some kinds not coloured."""
    return _merged((_PLAIN if name in kinds else name, text) for name, text in pieces)


def _lexed(code: str, lang: str) -> Iterator[tuple[str, str]]:
    lexer = get_lexer_by_name(lang, stripnl=False, ensurenl=False)
    seen: dict[_TokenType, str] = {}
    deadline = time.perf_counter() + SECONDS
    for kind, text in lexer.get_tokens(code):
        if kind not in seen:
            seen[kind] = next((name for base, name in _KINDS if kind in base), _PLAIN)
        yield seen[kind], text
        if time.perf_counter() > deadline:
            raise TimeoutError


def _merged(pieces: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Neighbours of one kind as one piece; spaces between them take it too."""
    merged: list[tuple[str, str]] = []
    for name, group in groupby(pieces, lambda piece: piece[0]):
        text = "".join(part for _, part in group)
        between = len(merged) > 1 and merged[-1][0] == _PLAIN and merged[-1][1].isspace()
        if between and merged[-2][0] == name:
            space = merged.pop()[1]
            merged[-1] = (name, merged[-1][1] + space + text)
        else:
            merged.append((name, text))
    return merged
