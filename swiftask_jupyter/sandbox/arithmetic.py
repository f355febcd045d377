"""The agent `math`: finds the arithmetic in a question and works it out, safely."""

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

LONGEST = 200
LARGEST_POWER = 10_000
"""Bits of a result that `**` may have."""

_SUM = re.compile(r"[-+*/%^().,0-9\s\u00d7\u00f7]+")  # also the signs of schoolbooks
_AS_PYTHON = str.maketrans({"^": "**", "\u00d7": "*", "\u00f7": "/", ",": None})
_TWO: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_ONE: Mapping[type, Callable[[Any], Any]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}


def calculated(messages: list[dict[str, Any]]) -> str:
    """Answers the arithmetic in the last message of the user with its result alone."""
    said = [each["content"] for each in messages if each["role"] == "user"]
    found = [each.split() for each in _SUM.findall(said[-1] if said else "")]
    longest = max((" ".join(words) for words in found), key=len, default="")
    expression = longest.translate(_AS_PYTHON).rstrip(" .+-*/%(")
    if not expression or len(expression) > LONGEST:
        return "I can only do arithmetic, such as 2 + 3 * 4."
    try:
        return _written(_value(ast.parse(expression, mode="eval").body))
    except ZeroDivisionError:
        return "Nothing can be divided by zero."
    except (SyntaxError, ValueError, OverflowError):
        return f"I can't work out {expression}."


def _value(node: ast.expr) -> int | float:
    match node:
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _ONE:
            return _number(_ONE[type(op)](_value(operand)))
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _number(_power(_value(left), _value(right)))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _TWO:
            return _number(_TWO[type(op)](_value(left), _value(right)))
    raise ValueError


def _power(base: float, exponent: float) -> Any:
    if isinstance(base, int) and base.bit_length() * abs(exponent) > LARGEST_POWER:
        raise OverflowError
    return base**exponent


def _number(value: Any) -> int | float:
    if isinstance(value, (int, float)):
        return value
    raise ValueError  # a root of a negative number


def _written(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.12g}"
