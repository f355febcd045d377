"""`{{…}}` fields are replaced by values; all other text stays as it is."""

import types

import pandas as pd
import pytest

from swiftask_jupyter.prompts.templates import expression_warnings, field_pattern, interpolate

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
def test_a_field_is_replaced_by_its_value(text, filled):
    assert interpolate(text, NAMES) == (filled, ())


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
def test_text_without_a_field_stays_byte_for_byte(text):
    assert interpolate(text, NAMES) == (text, ())


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
def test_a_field_without_a_value_stays_and_is_named_in_a_warning(field):
    assert interpolate(f"a {field} b", NAMES) == (f"a {field} b", (f"no value for {field}",))


class Raising:
    """An object whose attribute and whose `str` raise."""

    @property
    def mood(self):
        """Raise."""
        raise RuntimeError("never")

    def __str__(self):
        raise KeyError("no text")


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ("{{name:.2f}}", "ValueError"),
        ("{{raising.mood}}", "RuntimeError"),
        ("{{raising}}", "KeyError"),
        ("{{user:>10}}", "TypeError"),
    ],
)
def test_a_value_that_cannot_be_formatted_is_reported_by_its_error(field, kind):
    names = {**NAMES, "raising": Raising()}

    assert interpolate(f"a {field}", names) == (
        f"a {field}",
        (f"{field} can't be written ({kind})",),
    )


@pytest.mark.parametrize("text", ["{{name.upper()}}", "{{ x+1 }}", "{{d[name]}}", "{{name!r}}"])
def test_a_field_with_an_expression_is_named_in_a_warning(text):
    assert expression_warnings(f"{text} {{{{name}}}} {text}") == (f"{text} is sent as written",)


@pytest.mark.parametrize("text", ["{{name:.2f}}", '{"a": {"b": 1}}', r"{{\\x}}"])
def test_a_field_or_other_braces_give_no_warning_about_expressions(text):
    assert expression_warnings(text) == ()


def test_an_inserted_value_is_not_searched_for_fields():
    assert interpolate("{{a}}", {"a": "{{b}}", "b": "no"}) == ("{{b}}", ())


def test_a_long_frame_is_inserted_as_its_first_rows_with_a_note():
    text, _ = interpolate("{{df}}", {"df": pd.DataFrame({"x": range(100)})})

    assert text.startswith(",x\n0,0\n1,1\n")
    assert text.endswith("19,19\n(20 of 100 rows)\n")


def test_a_megabyte_of_braces_is_interpolated_quickly():
    text = "{{" * 250_000 + "{{name}}" + "}}" * 250_000

    filled, warnings = interpolate(text, NAMES)

    assert filled == "{{" * 250_000 + "Ada" + "}}" * 250_000
    assert warnings == ()


def test_a_pattern_finds_names_of_any_characters_the_longest_first():
    names = {"first name": "Ada", "a.b": 1, "a": types.SimpleNamespace(b=2, c=3), "2020": 4.5}

    text, warnings = interpolate(
        "{{first name}} {{ first name[0] }} {{a.b}} {{a.c}} {{2020:.2f}} {{2021}}",
        names,
        pattern=field_pattern(["first name", "a.b", "2020"]),
    )

    assert (text, warnings) == ("Ada A 1 3 4.50 {{2021}}", ())
