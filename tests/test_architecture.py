"""The house: a module imports from floors below it, and each foreign library has one home."""

import ast
from pathlib import Path

import pytest

import swiftask_jupyter

ROOT = Path(swiftask_jupyter.__file__).parent
FLOORS = [
    {"errors", "support", "answers", "options"},
    {"settings"},
    {"prompts"},
    {"protocols"},
    {"transport"},
    {"turns"},
    {"ledger"},
    {"conversation"},
    {"batch", "usage", "widget_routes"},
    {"client"},
    {"doctor"},
    {"notebook"},
    {"cli", ""},
]
HOMES = {
    "httpx": {"transport"},
    "sqlite3": {"ledger"},
    "IPython": {"notebook", ""},
    "ipywidgets": {"notebook"},
    "anywidget": {"notebook"},
    "markdown_it": {"notebook"},
    "latex2mathml": {"notebook"},
    "pygments": {"notebook"},
    "nest_asyncio": {"support"},
    "pandas": {"usage", "batch", "turns", "client", "notebook", "answers"},
    "tqdm": {"batch"},
    "distributed": {"batch"},
    "msgspec": {"support", "protocols", "turns", "conversation"},
    "dotenv": {"settings"},
    "numpy": {"answers", "batch", "usage"},
    "pyarrow": {"usage", "ledger"},
    "adbc_driver_sqlite": {"ledger"},
    "matplotlib": {"usage"},
    "psycopg": {"ledger"},
    "tornado": {"sandbox"},
    "xllamacpp": {"sandbox"},
}
# To be taken down: records of turns, and what a client offers besides asking.
UPWARDS = {
    ("ledger", "conversation"),
    ("prompts", "conversation"),
    ("turns", "usage"),
    ("turns", "widget_routes"),
}
# The door (the package's own names) stands above all rooms. These may ask it for these names.
DOOR = {"client": {"ChatPanel"}}
FILES = sorted(ROOT.rglob("*.py"))


def room(path):
    """The name of the top-level module or folder a file belongs to."""
    part = path.relative_to(ROOT).parts[0].removesuffix(".py")
    return "" if part == "__init__" else part


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            if node.module == "swiftask_jupyter":
                yield from (f"swiftask_jupyter.{alias.name}" for alias in node.names)


def floor(name):
    return next(number for number, rooms in enumerate(FLOORS) if name in rooms)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_from_floors_below(path):
    own = room(path)
    for name in imports(path):
        top, *rest = name.split(".")
        if top != "swiftask_jupyter" or not rest or rest[0] == own:
            continue
        assert own != "sandbox", f"the stand-in imports {name}"
        if rest[0] == "sandbox":
            assert own in {"notebook", "cli", ""}
        else:
            below = floor(rest[0]) < floor(own) or floor(rest[0]) == floor(own) == 0
            assert below or (own, rest[0]) in UPWARDS, f"{own} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_asks_the_door_for_nothing_but_what_is_listed(path):
    tree = ast.parse(path.read_text())
    asked = {
        node.attr for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        and node.value.id == ROOT.name
    }  # fmt: skip
    under_another_name = [
        alias.asname for node in ast.walk(tree) if isinstance(node, ast.Import)
        for alias in node.names if alias.name == ROOT.name and alias.asname
    ]  # fmt: skip

    assert asked <= DOOR.get(room(path), set())
    assert not under_another_name


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_foreign_library_has_one_home(path):
    for name in imports(path):
        top = name.split(".")[0]
        assert room(path) in HOMES.get(top, {room(path)}), f"{path.name} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_and_its_functions_stay_readable(path):
    source = path.read_text()
    assert source.count("\n") <= 400

    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            documented = ast.get_docstring(node) is not None
            first = node.body[1 if documented and len(node.body) > 1 else 0].lineno
            assert node.end_lineno - first < 40, f"{node.name} is long"


def test_no_module_imports_in_a_circle():
    graph = {}
    for path in FILES:
        name = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
        tree = ast.parse(path.read_text())
        graph[name.removesuffix(".__init__")] = {
            node.module for node in tree.body if isinstance(node, ast.ImportFrom) and node.module
        }

    def visit(name, above):
        assert name not in above, " -> ".join([*above, name])
        for target in graph.get(name, ()):
            visit(target, [*above, name])

    for name in graph:
        visit(name, [])
