"""The agent `math`."""

import pytest

from swiftask_jupyter.sandbox.arithmetic import answer_arithmetic
from tests.support.sandbox_requests import ask_native


@pytest.mark.parametrize(
    ("question", "result"),
    [
        ("What is 2 + 3 * 4?", "14"),
        ("(1 + 2) * 3 =", "9"),
        ("-7 // 2", "-4"),
        ("12 \u00d7 12", "144"),
        ("1,000 / 8", "125"),
        ("2^10", "1024"),
        ("0.1 + 0.2", "0.3"),
        ("1 / 0", "Nothing can be divided by zero."),
        ("9**9**9", "I can't work out 9**9**9."),
        ("(-8)**0.5", "I can't work out (-8)**0.5."),
        ("1(2)", "I can't work out 1(2)."),
        ("hello", "I can only do arithmetic, such as 2 + 3 * 4."),
        ("(" * 100_000 + "1", "I can only do arithmetic, such as 2 + 3 * 4."),
    ],
)
def test_math_evaluates_simple_arithmetic_only(account, question, result):
    assert ask_native(account, "math", input=question).json()["text"] == result


def test_only_the_last_user_message_counts():
    messages = [
        {"role": "user", "content": "1 + 1"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "and 2 + 2?"},
        {"role": "system", "content": "3 + 3"},
    ]

    assert answer_arithmetic(messages) == "4"


def test_without_a_user_message_there_is_nothing_to_evaluate():
    assert answer_arithmetic([]).startswith("I can only do arithmetic")
