"""The structure of the package and of its tests: floors, circles, homes, sizes, signatures.

docs/architecture.md explains the rules. The checks are in `tests/support/architecture.py`; the
last tests here show on a made-up package that they find what they are for.
"""

import re
from pathlib import Path

import pytest

import swiftask_jupyter
from tests.support import architecture

ROOT = Path(swiftask_jupyter.__file__).parent
TESTS = Path(__file__).parent
TOPS = (ROOT, TESTS.parent)
PAGE = TESTS.parent / "docs" / "architecture.md"
CHART = re.compile(r"(?<=<!-- rooms -->\n).*(?=<!-- end of rooms -->)", re.DOTALL)
WORDS = (
    "turn", "slot", "session", "conversation", "ledger", "reply", "answer", "dialect", "surface",
    "footer", "record", "mark", "stale", "replay", "digest", "hook",
)  # fmt: skip

# A room imports from lower floors alone; the rooms of the lowest one may import each other.
FLOORS = [
    {"errors", "support"},
    {"options", "answers", "settings"},
    {"prompts"},
    {"protocols"},
    {"transport"},
    {"widget_api"},
    {"turns"},
    {"ledger"},
    {"conversation"},
    {"batch", "panel", "usage"},
    {"client"},
    {"doctor"},
    {"sandbox"},  # imports no other room: it was written from the documents alone
    {"notebook"},
    {"cli", ""},
]
# The chat panel stands below the client, which returns one; the magics stand above it.
PARTS = {
    "panel": (
        "notebook.panel", "notebook.markdown", "notebook.mimebundle",
        "notebook.identity",
    ),
}  # fmt: skip
SANDBOX_IS_STARTED_BY = {"notebook", "cli", ""}

# Where each third-party library may be imported. What is imported for types alone counts nowhere.
HOMES = {
    "adbc_driver_manager": {"ledger.arrow_child"},
    "adbc_driver_sqlite": {"ledger.arrow_child"},
    "anywidget": {"notebook.panel.panel"},
    "distributed": {"batch.dask"},
    "dotenv": {"settings.sources"},
    "httpx": {"transport.httpx_pool"},
    "IPython": {"notebook"},
    "keyring": {"settings.login"},
    "latex2mathml": {"notebook.markdown.mathml"},
    "markdown_it": {"notebook.markdown"},
    "matplotlib": {"usage.plots"},
    "msgspec": {"support", "protocols", "turns", "conversation"},  # decodes what others wrote
    "nest_asyncio": {"support.io_thread"},
    "numpy": {"answers", "usage"},
    "pandas": {"answers", "batch", "notebook", "usage"},  # what these return is a frame
    "platformdirs": {"ledger.opening", "sandbox.model_weights", "settings.sources"},
    "psycopg": {"ledger"},
    "pyarrow": {"ledger.arrow_child", "usage.arrow"},
    "pygments": {"notebook.markdown.highlight"},
    "sqlite3": {"ledger.sqlite"},
    "tornado": {"sandbox"},
    "tqdm": {"batch.progress"},
    "traitlets": {"notebook.magics"},
    "xllamacpp": {"sandbox.llama_process"},
}
# These import by a name: the package's own names, a package's entry points, the sandbox's dialects.
DYNAMIC = {
    "swiftask_jupyter",
    "swiftask_jupyter.protocols.registry",
    "swiftask_jupyter.sandbox.application",
}
# These have no test file of their own name.
TESTED_ELSEWHERE = {
    "ledger.arrow_child": "a script that ledger.arrow starts; ledger/test_arrow.py",
}
PUBLIC = ("client", "conversation.session", "notebook.panel.panel")

# What does not hold yet. Each of these is to become empty; nothing may be added.
UNTYPED = ()
LONG_TESTS = ()
TESTS_THAT_IMPORT_TESTS = ()
REPEATED_FIXTURES = ()
UNTESTED = ""


def besides(problems, known):
    """Return the problems that do not begin with any of the known ones."""
    return [each for each in problems if not each.startswith(tuple(known))]


def test_every_room_imports_only_from_floors_below():
    assert architecture.upward_imports(ROOT, FLOORS, PARTS) == []


def test_the_sandbox_imports_no_other_room_and_is_started_from_the_top_alone():
    assert architecture.foreign_imports(ROOT, "sandbox") == []
    assert architecture.importers(ROOT, "sandbox") == SANDBOX_IS_STARTED_BY


def test_no_modules_import_each_other_in_a_circle():
    assert architecture.circles(ROOT) == []


def test_only_these_modules_import_by_a_name_made_at_run_time():
    assert set(architecture.dynamic_imports(ROOT)) == DYNAMIC


def test_every_third_party_library_is_imported_in_its_home_alone():
    assert architecture.misplaced_libraries(ROOT, HOMES) == []
    assert architecture.unused_homes(ROOT, HOMES) == []


def test_files_functions_and_the_top_level_stay_small():
    assert architecture.long_files(ROOT) == []
    assert architecture.long_functions(ROOT) == []
    assert len(architecture.entries(ROOT)) <= architecture.MOST_ENTRIES


def test_every_public_method_spells_out_its_options():
    assert besides(architecture.untyped_options(ROOT, PUBLIC), UNTYPED) == []


def test_every_module_has_a_test_file_of_its_name():
    found = {*architecture.modules_without_test(ROOT, TESTS)}

    assert found - {*TESTED_ELSEWHERE} - {*UNTESTED.split()} == set()


def test_no_test_module_imports_another():
    problems = architecture.imported_test_modules(TESTS)

    assert besides(problems, TESTS_THAT_IMPORT_TESTS) == []


def test_no_test_file_is_too_long():
    problems = architecture.long_files(TESTS, architecture.LONGEST_TEST_FILE)

    assert besides(problems, LONG_TESTS) == []


def test_no_fixture_is_defined_twice():
    assert besides(architecture.repeated_fixtures(TESTS), REPEATED_FIXTURES) == []


def chart():
    """Return the chart of rooms as the page shows it."""
    return f"```mermaid\n{architecture.diagram(ROOT, FLOORS, PARTS)}\n```\n"


def test_the_chart_on_the_page_is_up_to_date():
    [shown] = CHART.findall(PAGE.read_text())

    assert shown == chart(), "run python -m tests.test_architecture"


def test_the_page_describes_every_room_and_names_only_files_that_exist():
    page = PAGE.read_text()
    described = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    files = set(re.findall(r"`((?:\w+/)*\w+\.(?:py|js))`", page))

    assert described == {name for floor in FLOORS for name in floor} - {""}
    assert not [name for name in files if not any((top / name).exists() for top in TOPS)]


def test_the_glossary_explains_these_words():
    glossary = PAGE.read_text().partition("## Glossary")[2]
    explained = re.findall(r"^\| ([\w, ]+) \|", glossary, re.MULTILINE)

    assert {*WORDS} <= {word for entry in explained for word in entry.split(", ")}


@pytest.fixture
def package(tmp_path):
    """Write a package of the given modules (`{"low.a": source}`) and return its folder."""

    def package(sources):
        for name, source in sources.items():
            path = tmp_path / "made" / f"{name.replace('.', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            (path.parent / "__init__.py").touch()
            path.write_text(source)
        return tmp_path / "made"

    return package


MADE_FLOORS = [{"ground", "cellar"}, {"low"}, {"high"}, {""}]


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("from made.high import b", ""),
        ("from ..high import b", ""),
        ("import made.high.b", ""),
        ("def f():\n    from made.high.b import x", " (lazy)"),
        ("class A:\n    def f(self):\n        import made.high.b", " (lazy)"),
        (
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from made.high import b",
            " (typing)",
        ),
    ],
)
def test_an_import_upwards_is_found_wherever_it_is_written(package, source, kind):
    root = package({"low.a": source, "high.b": ""})

    [problem] = architecture.upward_imports(root, MADE_FLOORS)

    line = source.count("\n") + 1
    assert problem == f"made.low.a:{line} imports made.high.b{kind}: high is not below low"


def test_an_import_downwards_or_on_the_lowest_floor_is_no_problem(package):
    root = package({
        "high.b": "from made.low.a import x\nimport made.ground",
        "low.a": "from . import c\nimport json",
        "low.c": "",
        "ground": "def f():\n    import made.cellar",
        "cellar": "import made.ground",
    })  # fmt: skip

    assert architecture.upward_imports(root, MADE_FLOORS) == []


def test_an_import_between_rooms_of_one_floor_and_a_room_on_no_floor_are_found(package):
    root = package({"low": "import made.beside", "beside": ""})

    problems = architecture.upward_imports(root, [set(), {"low", "beside"}, {""}])

    assert problems == ["made.low:1 imports made.beside: beside is not below low"]
    assert architecture.upward_imports(root, [{"low"}, {""}])[0] == "beside is on no floor"


@pytest.mark.parametrize(
    "back",
    [
        "from made.low import a",
        "def f():\n    from made.low.a import x",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import made.low.a",
    ],
)
def test_a_circle_is_found_however_it_is_closed(package, back):
    root = package({"low.a": "from made.low.b import x", "low.b": "import made.c", "c": back})

    assert architecture.circles(root) == ["made.c -> made.low.a -> made.low.b -> made.c"]
    assert architecture.circles(root, {("made.c", "made.low.a")}) == []


def test_a_part_of_a_room_can_stand_on_a_floor_of_its_own(package):
    root = package({"high.a": "import made.low", "high.b.c": "", "low": "import made.high.b.c"})
    parts = {"cellar": ["high.b"]}

    assert architecture.upward_imports(root, MADE_FLOORS, parts) == []
    [problem] = architecture.upward_imports(root, MADE_FLOORS)
    assert problem == "made.low:1 imports made.high.b.c: high is not below low"


def test_a_library_outside_of_its_home_is_found(package):
    root = package({"low.a": "import httpx.client", "high": "import httpx\nimport json"})

    problems = architecture.misplaced_libraries(root, {"httpx": {"low.a"}})

    assert problems == ["made.high:1 imports httpx: not the home of httpx"]
    homes = {"httpx": {"low", "high.b"}, "IPython": {"low"}}
    assert architecture.unused_homes(root, homes) == ["httpx: high.b", "IPython: low"]


def test_long_files_long_functions_and_untyped_options_are_found(package):
    body = "\n".join("    x = 1" for _ in range(41))
    options = "class A:\n    def ask(self, **options: Any): ...\n    def _b(self, **c): ...\n"
    root = package({"long": f"def f():\n    'Documented.'\n{body}\n", "options": options})

    assert architecture.long_files(root, 40) == ["long.py has 43 lines"]
    assert architecture.long_functions(root) == ["long.py: f has 41 lines"]
    untyped = architecture.untyped_options(root, ["long", "options"])
    assert untyped == ["options.py: A.ask takes **options: Any"]


def test_a_module_that_no_test_file_is_named_after_is_found(package):
    names = "room.a", "room.b", "room.c", "low"
    tests = "tests.room.test_a", "tests.test_b_soak", "tests.other.test_c", "tests.other.test_low"
    root = package(dict.fromkeys((*names, *tests), ""))
    (root / "tests").rename(root.parent / "tests")

    found = architecture.modules_without_test(root, root.parent / "tests")

    assert found == ["low", "room.c"]


def test_a_fixture_in_two_files_and_an_import_of_a_test_are_found(package):
    fixture = "@pytest.fixture\ndef box():\n    return 1\n"
    root = package({
        "test_a": fixture,
        "test_b": f"from .test_a import helper\n{fixture}",
        "test_c": fixture.replace("1", "2"),
    })  # fmt: skip

    assert architecture.repeated_fixtures(root) == ["box is defined in test_a.py and test_b.py"]
    assert architecture.imported_test_modules(root) == ["made.test_b:1 imports made.test_a"]


def test_the_chart_of_rooms_leaves_out_what_follows_from_other_arrows(package):
    root = package({
        "high": "import made.low.a\nimport made.ground",
        "low.a": "import made.ground",
        "ground": "def f():\n    import made.cellar\n    import made.high",
        "cellar": "",
    })  # fmt: skip

    chart = architecture.diagram(root, MADE_FLOORS).splitlines()

    assert [line.strip() for line in chart if ">" in line] == [
        "high --> low",
        "low --> ground",
        "ground -.-> cellar",
        "ground -.-> high",
    ]


if __name__ == "__main__":
    PAGE.write_text(CHART.sub(chart(), PAGE.read_text()))
