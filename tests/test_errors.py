"""Errors: their hierarchy, and their one-line form."""

import inspect

import pytest

from swiftask_jupyter import errors

ALL = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if kind.__module__ == errors.__name__ and not kind.__name__.startswith("_")
]


def test_every_error_is_in_the_hierarchy_of_the_module_docstring():
    for kind in ALL:
        assert kind.__name__ in errors.__doc__


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_renders_as_one_line(kind):
    error = (
        kind("two\nlines", status=500) if issubclass(kind, errors.ServiceError) else kind("a word")
    )

    (line,) = error._render_traceback_()

    assert "\n" not in line
    assert line.startswith(kind.__name__)
