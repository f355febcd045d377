"""Implement the agent `math`, which evaluates an arithmetic expression found in a message.

Only numbers and arithmetic operators are evaluated; the text is never passed to `eval`.
"""

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

MAX_LENGTH = 200
"""The maximum length of an expression in characters."""
MAX_POWER_BITS = 10_000
"""The maximum size of the result of `**` in bits; a larger power could block the server."""

_EXPRESSION = re.compile(
    r"[-+*/%^().,0-9\s\u00d7\u00f7]+"
)  # also the multiplication and division signs
_TO_PYTHON = str.maketrans({"^": "**", "\u00d7": "*", "\u00f7": "/", ",": None})
_BINARY: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_UNARY: Mapping[type, Callable[[Any], Any]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}


def answer_arithmetic(messages: list[dict[str, Any]]) -> str:
    """Return the value of the longest arithmetic expression in the last user message, as text.

    If the message has no expression, or if the expression has no value, return an error message.
    """
    user_messages = [each["content"] for each in messages if each["role"] == "user"]
    found = [
        each.split() for each in _EXPRESSION.findall(user_messages[-1] if user_messages else "")
    ]
    longest = max((" ".join(words) for words in found), key=len, default="")
    expression = longest.translate(_TO_PYTHON).rstrip(" .+-*/%(")
    if not expression or len(expression) > MAX_LENGTH:
        return "I can only do arithmetic, such as 2 + 3 * 4."
    try:
        return _format(_evaluate(ast.parse(expression, mode="eval").body))
    except ZeroDivisionError:
        return "Nothing can be divided by zero."
    except (SyntaxError, ValueError, OverflowError):
        return f"I can't work out {expression}."


def _evaluate(node: ast.expr) -> int | float:
    match node:
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            return _require_real(_UNARY[type(op)](_evaluate(operand)))
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _require_real(_power(_evaluate(left), _evaluate(right)))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _require_real(_BINARY[type(op)](_evaluate(left), _evaluate(right)))
    raise ValueError


def _power(base: float, exponent: float) -> Any:
    if isinstance(base, int) and base.bit_length() * abs(exponent) > MAX_POWER_BITS:
        raise OverflowError
    return base**exponent


def _require_real(value: Any) -> int | float:
    if isinstance(value, (int, float)):
        return value
    raise ValueError  # the root of a negative number is complex


def _format(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.12g}"
