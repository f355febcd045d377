"""Syntax highlighting for code.

Only a few kinds of tokens are highlighted, to keep the HTML small. Import this module only when it
is needed, because importing Pygments takes time.
"""

import time
from collections.abc import Iterable, Iterator
from itertools import groupby

from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Keyword, Name, Number, Operator, String, _TokenType

MAX_CODE = 64 * 1024  # characters
MAX_LINE = 2000  # characters; some lexers' regular expressions are slow on longer lines
TIMEOUT = 0.3  # seconds for one code block

# The programming languages in answers. For an unknown name, Pygments would search the installed
# packages for plug-ins and run the plug-ins.
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
# Pairs of a Pygments token type and the letter for its kind, such as `c` for a comment.
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


def highlight(code: str, lang: str) -> list[tuple[str, str]]:
    """Split code into (kind, text) pairs for syntax highlighting.

    A kind is a letter of `_KINDS`, such as `k` for a keyword. The kind "" means text without
    colour. If the code can't be highlighted, the result is one pair with the kind "". Reasons are
    an unknown language, code that is too long, and a lexer that fails or takes too long.
    """
    plain = [(_PLAIN, code)]
    if lang not in LANGUAGES or len(code) > MAX_CODE:
        return plain
    if max(map(len, code.split("\n"))) > MAX_LINE:
        return plain
    try:
        coloured = _merge(_tokenize(code, lang))
    except Exception:  # noqa: BLE001 - a failing lexer must not lose the answer
        return plain
    return coloured if "".join(text for _, text in coloured) == code else plain


def drop_kinds(pieces: Iterable[tuple[str, str]], kinds: str) -> list[tuple[str, str]]:
    """Remove the colour of some token kinds, by replacing these kinds by "".

    Without the colour, the HTML of the code is shorter.

    Args:
        pieces: the (kind, text) pairs of the code, as `highlight` returns them.
        kinds: the letters of the kinds to remove.
    """
    return _merge((_PLAIN if name in kinds else name, text) for name, text in pieces)


def _tokenize(code: str, lang: str) -> Iterator[tuple[str, str]]:
    lexer = get_lexer_by_name(lang, stripnl=False, ensurenl=False)
    seen: dict[_TokenType, str] = {}
    deadline = time.perf_counter() + TIMEOUT
    for kind, text in lexer.get_tokens(code):
        if kind not in seen:
            seen[kind] = next((name for base, name in _KINDS if kind in base), _PLAIN)
        yield seen[kind], text
        if time.perf_counter() > deadline:
            raise TimeoutError


def _merge(pieces: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Join adjacent (kind, text) pairs of equal kind.

    Two pairs of equal kind are also joined if only white space separates them.
    """
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
