"""`{{name}}` is filled in; everything else arrives as it was written."""

import types

import pandas as pd
import pytest

from swiftask_jupyter.templates import fill

NAMES = {
    "name": "Ada",
    "user": types.SimpleNamespace(first="Grace", _secret="s", tags=["a", "b"]),
    "d": {"k": "value", "a b": 1, "n": {"x": 2}},
    "pi": 3.14159,
    "été": "summer",
}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("hello {{name}}", "hello Ada"),
        ("{{ name }}!", "Ada!"),
        ("{{user.first}}", "Grace"),
        ("{{user.tags[1]}} {{user.tags[-1]}}", "b b"),
        ("{{d['k']}} {{d[\"a b\"]}}", "value 1"),
        ("{{d['n']['x']}}", "2"),
        ("{{pi:.2f}}", "3.14"),
        ("{{été}}", "summer"),
        ("{{name}}{{name}}", "AdaAda"),
    ],
)
def test_a_known_name_is_written_out(text, filled):
    assert fill(text, NAMES) == (filled, ())


@pytest.mark.parametrize(
    "text",
    [
        '{"a": {"b": 1}}',
        '{"a":{"b":{}}}',
        "f'{name} {name!r}'",
        "{% for x in y %}{{% endfor %}",
        "${HOME} $HOME $name",
        r"\frac{a}{b} $x^{2}$ {{}} {{ }}",
        "1 << 4; ans <<",
        "<script>alert('{name}')</script>",
        "{{name()}} {{name + name}} {{name|upper}} {{[name]}} {{1}} {{name!r}}",
        "}}{{ { {name} }",
        "🎉 \u202e \x1b[31m",
    ],
)
def test_what_is_no_field_stays_byte_for_byte(text):
    assert fill(text, NAMES) == (text, ())


@pytest.mark.parametrize(
    "field",
    [
        "{{nobody}}",
        "{{user.last}}",
        "{{user._secret}}",
        "{{name.__class__}}",
        "{{d['missing']}}",
        "{{user.tags[9]}}",
        "{{name:.2f}}",
        "{{name[0].x}}",
    ],
)
def test_a_field_without_a_value_stays_and_is_named(field):
    assert fill(f"a {field} b", NAMES) == (f"a {field} b", (field,))


def test_what_is_filled_in_is_not_looked_at_again():
    assert fill("{{a}}", {"a": "{{b}}", "b": "no"}) == ("{{b}}", ())


def test_a_long_frame_is_written_as_its_first_rows_and_says_so():
    text, _ = fill("{{df}}", {"df": pd.DataFrame({"x": range(100)})})

    assert text.startswith(",x\n0,0\n1,1\n")
    assert text.endswith("19,19\n(20 of 100 rows)\n")


def test_a_megabyte_is_read_once():
    text = "{{" * 250_000 + "{{name}}" + "}}" * 250_000

    filled, unknown = fill(text, NAMES)

    assert filled == "{{" * 250_000 + "Ada" + "}}" * 250_000
    assert unknown == ()
