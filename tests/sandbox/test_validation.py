"""The validation rules and their messages, without a server."""

import pytest

from swiftask_jupyter.sandbox.validation import (
    any_object,
    array_of,
    nonempty_string,
    number,
    object_with,
    one_of,
    uri,
)


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        (nonempty_string, " "),
        (number, 0),
        (number, -1.5),
        (number, 2**53 - 1),
        (uri, "https://example.com/a%20b?c=d#e"),
        (uri, "urn:isbn:0451450523"),
        (any_object, {}),
        (one_of("a", "b"), "b"),
        (array_of(number), []),
        (array_of(number), [1, 2.5]),
        (object_with({"a": number}), {}),
        (object_with({"a": number}, ["a"]), {"a": 1}),
    ],
)
def test_a_valid_value_has_no_error(rule, value):
    assert rule("x", value) is None


@pytest.mark.parametrize(
    ("rule", "value", "message"),
    [
        (nonempty_string, None, '"x" must be a string'),
        (nonempty_string, "", '"x" is not allowed to be empty'),
        (number, "1", '"x" must be a number'),
        (number, True, '"x" must be a number'),
        (number, 2**53, '"x" must be a safe number'),
        (number, float("nan"), '"x" must be a safe number'),
        (uri, "", '"x" is not allowed to be empty'),
        (uri, "/relative", '"x" must be a valid uri'),
        (uri, "http://é", '"x" must be a valid uri'),
        (any_object, [], '"x" must be of type object'),
        (one_of("a", "b"), "c", '"x" must be one of [a, b]'),
        (one_of("a", "b"), ["a"], '"x" must be one of [a, b]'),
        (array_of(number), {}, '"x" must be an array'),
        (array_of(number), [1, "2"], '"x[1]" must be a number'),
        (object_with({}), [], '"x" must be of type object'),
        (object_with({"a": number}), {"a": "1"}, '"x.a" must be a number'),
        (object_with({"a": number}, ["a"]), {}, '"x.a" is required'),
        (object_with({"a": number}), {"b": 1}, '"x.b" is not allowed'),
    ],
)
def test_an_invalid_value_is_reported_with_its_place(rule, value, message):
    assert rule("x", value) == message


def test_the_whole_body_has_no_name_of_its_own():
    rule = object_with({"a": array_of(object_with({"b": number}, ["b"]))})

    assert rule("", {"a": [{"b": 1}, {}]}) == '"a[1].b" is required'
    assert rule("", []) == '"value" must be of type object'
