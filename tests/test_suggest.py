"""The nearest known name to a misspelt one."""

from pathlib import Path

import pytest

import swiftask_jupyter
from swiftask_jupyter.support.suggest import closest, did_you_mean


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("tiemout", "timeout"),
        ("TIMEOUT", "timeout"),
        ("sales_2024.csv", "Sales_2024.csv"),
        ("nonsense", None),
        ("", None),
    ],
)
def test_the_closest_name_is_found_in_any_case(word, name):
    assert closest(word, ["timeout", "Sales_2024.csv", "stream"]) == name


def test_a_higher_cutoff_accepts_only_nearer_names():
    assert closest("topic", ["top_p"], cutoff=0.5) == "top_p"
    assert closest("topic", ["top_p"], cutoff=0.8) is None


def test_a_suggestion_is_a_question_or_the_alternative():
    assert did_you_mean("usge", ["usage", "use"]) == "did you mean usage?"
    assert did_you_mean("xyz", ["usage"], otherwise="see help") == "see help"
    assert did_you_mean("xyz", []) == ""


def test_no_other_module_looks_for_near_names():
    root = Path(swiftask_jupyter.__file__).parent
    users = [path.name for path in root.rglob("*.py") if "difflib" in path.read_text("utf-8")]

    assert users == ["suggest.py"]
