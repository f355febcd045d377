"""Fields that look like a variable's name or path, but have no value, are refused."""

import pandas as pd
import pytest

from swiftask_jupyter.errors import PromptError
from swiftask_jupyter.prompts.templates import interpolate
from swiftask_jupyter.prompts.unknown_names import check_fields

NAMES = {"name": "Ada", "d": {"first name": 1, 2: 3}, "df": pd.DataFrame({"text": [1]}), "_1": 2}


def check(text, names):
    """Check a prompt as a cell does."""
    _, remarks = interpolate(text, names)
    check_fields(text, names, remarks)


class Odd:
    """An object whose `dir`, keys and one attribute raise."""

    columns = ()

    def __dir__(self):
        raise RuntimeError("no dir")

    def __iter__(self):
        raise RuntimeError("no keys")

    def __getitem__(self, key):
        raise KeyError(key)

    @property
    def mood(self):
        """Raise."""
        raise RuntimeError("never")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{nam}}", "no variable nam; did you mean {{name}}? --raw sends it as written"),
        ("{{nam.real}}", "did you mean {{name.real}}?"),
        ('{{d["frist name"]}}', 'did you mean {{d["first name"]}}?'),
        ("{{d[1]}}", "no item 1 in d;"),
        ("{{df.txet}}", "no attribute txet in df; did you mean {{df.text}}?"),
        ("{{df.text.maximum}}", "no attribute maximum in df.text"),
        ("{{1}} {{x | y}} {{In}}", "no variable In; --raw"),
        ("{{odd.moods}}", "no attribute moods in odd;"),
        ('{{odd["x"]}}', 'no item "x" in odd;'),
        ("{{odd.mood}}", "{{odd.mood}} can't be written (RuntimeError)"),
        ("{{name:%Y-%m}}", "can't be written (ValueError)"),
        ("{{name:,.2f}}", "can't be written (ValueError)"),
        ("{{nam:%Y-%m-%d}}", "no variable nam"),
        ("{{nam: .2f}}", "no variable nam"),
        ("{{nam:>10}}", "no variable nam"),
    ],
)
def test_a_field_without_a_value_is_refused_with_the_nearest_one(text, said):
    names = {**NAMES, "odd": Odd()}
    with pytest.raises(PromptError) as caught:
        check(text, names)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "{{name}} {{_1}}",
        "{{color: red}} {{color:red}} {{flex: 1}}",
        "{{else}}",
        "{% if x %}{{ x }}{% endif %}",
        "${{ github.actor }}",
    ],
)
def test_text_that_is_no_field_and_a_template_in_another_language_are_left(text):
    check(text, NAMES)
