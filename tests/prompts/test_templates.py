"""`{{…}}` fields are replaced by values; all other text stays as it is."""

import types

import pandas as pd
import pytest

from swiftask_jupyter.errors import PromptError
from swiftask_jupyter.prompts.templates import expression_warnings, interpolate, text_in_full

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


def test_a_part_of_a_frame_is_named_in_a_warning_with_the_way_to_send_all():
    names = {"d": types.SimpleNamespace(df=pd.DataFrame({"x": range(25)}))}

    text, warnings = interpolate("{{d.df}} {{d.df}}", names)

    assert text.count("(20 of 25 rows)") == 2
    assert warnings == ("20 of 25 rows of d.df sent; {{d.df:all}} or -a d.df sends all",)
    assert interpolate("{{d.df:all}}", names) == (names["d"].df.to_csv(), ())


def test_a_part_of_a_frame_is_refused_where_all_is_wanted():
    names = {"df": pd.DataFrame({"x": range(25)})}

    with pytest.raises(PromptError, match=r"only 20 of 25 rows of df .* \{\{df:all\}\} sends all"):
        interpolate("{{df}}", names, partial=False)
    assert interpolate("{{df:all}}", names, partial=False)[1] == ()


def test_a_format_does_not_lift_the_limit_of_characters():
    with pytest.raises(PromptError, match="over 100,000 characters"):
        interpolate("{{t:s}}", {"t": "x" * 100_001})


def test_a_list_that_is_nested_too_deeply_is_refused():
    deep = []
    for _ in range(5000):
        deep = [deep]

    with pytest.raises(PromptError, match="nested too deeply"):
        interpolate("{{deep}}", {"deep": deep})


def test_a_text_that_may_be_shortened_is_named_in_a_warning_or_refused():
    class Short:
        def __repr__(self):
            return "[0, 1, ...]"

    text, warnings = interpolate("{{x}}", {"x": Short()})

    assert (text, len(warnings)) == ("[0, 1, ...]", 1)
    assert "may be shortened" in warnings[0]
    with pytest.raises(PromptError, match="may be shortened"):
        interpolate("{{x}}", {"x": Short()}, partial=False)
    with pytest.raises(PromptError, match="the cell may be shortened"):
        text_in_full(Short(), "the cell")
    with pytest.raises(PromptError, match="the cell is a DataFrame"):
        text_in_full(pd.DataFrame(), "the cell")
