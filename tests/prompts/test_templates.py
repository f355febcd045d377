"""`{{name}}` is filled in; everything else arrives as it was written."""

import types

import pandas as pd
import pytest

from swiftask_jupyter.prompts.templates import fill, left_as_written

NAMES = {
    "name": "Ada",
    "user": types.SimpleNamespace(first="Grace", _secret="s", tags=["a", "b"], âge=36),
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
        ("{{user.âge}}", "36"),
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
        "{{name[0].x}}",
    ],
)
def test_a_field_without_a_value_stays_and_is_named(field):
    assert fill(f"a {field} b", NAMES) == (f"a {field} b", (f"no value for {field}",))


class Moody:
    """Has an attribute that can't be had, and no text."""

    @property
    def mood(self):
        """Fail."""
        raise RuntimeError("never")

    def __str__(self):
        raise KeyError("no text")


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ("{{name:.2f}}", "ValueError"),
        ("{{moody.mood}}", "RuntimeError"),
        ("{{moody}}", "KeyError"),
        ("{{user:>10}}", "TypeError"),
    ],
)
def test_a_value_that_cant_be_written_is_not_called_missing(field, kind):
    names = {**NAMES, "moody": Moody()}

    assert fill(f"a {field}", names) == (f"a {field}", (f"{field} can't be written ({kind})",))


@pytest.mark.parametrize("text", ["{{name.upper()}}", "{{ x+1 }}", "{{d[name]}}", "{{name!r}}"])
def test_what_looks_like_a_field_and_asks_for_more_is_named(text):
    assert left_as_written(f"{text} {{{{name}}}} {text}") == (f"{text} is sent as written",)


@pytest.mark.parametrize("text", ["{{name:.2f}}", '{"a": {"b": 1}}', r"{{\\x}}"])
def test_what_is_a_field_or_nothing_like_one_is_not_remarked_on(text):
    assert left_as_written(text) == ()


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
