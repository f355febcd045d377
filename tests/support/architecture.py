"""Reads a package's source for its structure: imports, circles, sizes, signatures.

Nothing is imported or run, so every function also works on a made-up tree. Each check returns a
list of one-line problems; an empty list means that the rule holds.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

LONGEST_FILE = 400
LONGEST_FUNCTION = 40
MOST_ENTRIES = 20
LONGEST_TEST_FILE = 600
STANDARD = frozenset(sys.stdlib_module_names) - {"sqlite3"}  # which has one home, like the others


class Import(NamedTuple):
    """One import statement of one module.

    Attributes:
        source: the dotted name of the module that imports.
        target: the dotted name of the module that is imported.
        when: `module` (on import), `lazy` (inside a function) or `typing` (TYPE_CHECKING only).
        line: the line of the statement.
    """

    source: str
    target: str
    when: str
    line: int

    def __str__(self) -> str:
        kind = "" if self.when == "module" else f" ({self.when})"
        return f"{self.source}:{self.line} imports {self.target}{kind}"


def modules(root: Path) -> dict[str, Path]:
    """Return the path of every module of a package by its dotted name."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        name = ".".join(path.relative_to(root.parent).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


def imports(root: Path) -> list[Import]:
    """Return every import in a package: at module level, in functions, under TYPE_CHECKING."""
    known = modules(root)
    return [each for name, path in known.items() for each in _imports_of(name, path, known)]


def _imports_of(name: str, path: Path, known: Mapping[str, Path]) -> Iterator[Import]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node, when in _statements(ast.parse(path.read_text()), "module"):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(name, alias.name, when, node.lineno)
            continue
        base = _absolute(node, package)
        targets = dict.fromkeys(
            full if (full := f"{base}.{alias.name}") in known else base for alias in node.names
        )
        for target in targets:
            yield Import(name, target, when, node.lineno)


def _statements(node: ast.AST, when: str) -> Iterator[tuple[ast.Import | ast.ImportFrom, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, when
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from _statements(ast.Module(child.body, []), "typing")
            yield from _statements(ast.Module(child.orelse, []), when)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and when == "module":
            yield from _statements(child, "lazy")
        else:
            yield from _statements(child, when)


def _absolute(node: ast.ImportFrom, package: str) -> str:
    """Return the dotted name of what a `from … import` names, dots resolved."""
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    parts = parts[: len(parts) - node.level + 1]
    return ".".join([*parts, *([node.module] if node.module else [])])


Parts = Mapping[str, Sequence[str]]


def room(module: str, parts: Parts = MappingProxyType({})) -> str:
    """Return the room of a module: a top-level entry, or a part of one; empty for the package.

    Args:
        module: its dotted name.
        parts: the modules and folders, without the package's name, that make a room of their own.
    """
    inside = module.partition(".")[2]
    for name, members in parts.items():
        if any(f"{inside}.".startswith(f"{member}.") for member in members):
            return name
    return inside.partition(".")[0]


def upward_imports(
    root: Path,
    floors: Sequence[set[str]],
    parts: Parts = MappingProxyType({}),
    known: Iterable[tuple[str, str]] = (),
) -> list[str]:
    """Return the imports from a room that is not on a lower floor.

    Rooms on the lowest floor may import each other.

    Args:
        root: the package's folder.
        floors: the names of the rooms on each floor, the lowest first.
        parts: what is a room although it is inside of another, see `room`.
        known: pairs of rooms (importing, imported) that are let pass.
    """
    floor = {name: number for number, names in enumerate(floors) for name in names}
    problems = [
        f"{name or root.name} is on no floor"
        for name in sorted({room(module, parts) for module in modules(root)} - floor.keys())
    ]
    for each in imports(root):
        source, target = room(each.source, parts), room(each.target, parts)
        if not _is_inside(each.target, root) or source == target or (source, target) in known:
            continue
        below = floor.get(target, -1) < floor.get(source, -1)
        if not below and not floor.get(target) == floor.get(source) == 0:
            problems.append(f"{each}: {target or 'the package itself'} is not below {source}")
    return problems


def foreign_imports(root: Path, name: str) -> list[str]:
    """Return the imports by which a room reaches out of itself into the rest of its package."""
    return [
        str(each)
        for each in imports(root)
        if room(each.source) == name and _is_inside(each.target, root) and room(each.target) != name
    ]


def importers(root: Path, name: str) -> set[str]:
    """Return the rooms that import from a room."""
    return {
        room(each.source)
        for each in imports(root)
        if _is_inside(each.target, root) and room(each.target) == name
    } - {name}


def _is_inside(target: str, root: Path) -> bool:
    return target.partition(".")[0] == root.name


def diagram(root: Path, floors: Sequence[set[str]], parts: Parts = MappingProxyType({})) -> str:
    """Return a Mermaid flowchart of the rooms on their floors, and of what they import.

    An import that follows from the arrows of others has no arrow of its own. An import that does
    not lead downwards is dotted. Imports for types alone are left out.
    """
    floor = {name: number for number, names in enumerate(floors) for name in names}
    down: dict[str, set[str]] = {name: set() for name in floor}
    other = set()
    for each in imports(root):
        source, target = room(each.source, parts), room(each.target, parts)
        if each.when == "typing" or not _is_inside(each.target, root) or source == target:
            continue
        if floor[target] < floor[source]:
            down[source].add(target)
        else:
            other.add((source, target))
    lines = ["flowchart TD"]
    for number, names in reversed([*enumerate(floors)]):
        nodes = "; ".join(_node(name, root) for name in sorted(names))
        lines.append(f"    subgraph floor{number}[floor {number}]\n        {nodes}\n    end")
    for source in sorted(down):
        indirect = {end for target in down[source] for end in _reach(down, target)}
        lines += [f"    {_id(source)} --> {_id(each)}" for each in sorted(down[source] - indirect)]
    lines += [f"    {_id(source)} -.-> {_id(target)}" for source, target in sorted(other)]
    return "\n".join(lines)


def _id(name: str) -> str:
    return name or "package"


def _node(name: str, root: Path) -> str:
    return name or f'package["{root.name}"]'


def circles(root: Path, known: Iterable[tuple[str, str]] = ()) -> list[str]:
    """Return the circles between modules, counting lazy and TYPE_CHECKING imports too.

    Args:
        root: the package's folder.
        known: pairs of modules (importing, imported) that are let pass.
    """
    graph: dict[str, set[str]] = {name: set() for name in modules(root)}
    for each in imports(root):
        if each.target in graph and (each.source, each.target) not in known:
            graph[each.source].add(each.target)
    problems = []
    for members in _components(graph):
        start = min(members)
        if len(members) > 1 or start in graph[start]:
            problems.append(" -> ".join(_round_trip(graph, start, members)))
    return sorted(problems)


def _components(graph: Mapping[str, set[str]]) -> list[set[str]]:
    """Return the sets of nodes that all reach each other."""
    reached = {name: _reach(graph, name) for name in graph}
    found: dict[str, set[str]] = {}
    for name in graph:
        if name not in found:
            members = {each for each in reached[name] if name in reached[each]} | {name}
            found |= dict.fromkeys(members, members)
    return list({id(members): members for members in found.values()}.values())


def _reach(graph: Mapping[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for target in graph[waiting.pop()] - seen:
            seen.add(target)
            waiting.append(target)
    return seen


def _round_trip(graph: Mapping[str, set[str]], start: str, members: set[str]) -> list[str]:
    """Return the shortest way from a module back to itself."""
    ways = [[start]]
    while True:
        ways = [[*way, target] for way in ways for target in sorted(graph[way[-1]] & members)]
        if done := next((way for way in ways if way[-1] == start), None):
            return done


def misplaced_libraries(root: Path, homes: Mapping[str, set[str]]) -> list[str]:
    """Return the imports of a third-party library outside of its home.

    An import for types alone counts nowhere. A library that is not listed has no home.

    Args:
        root: the package's folder.
        homes: the rooms or modules, without the package's name, that may import each library.
    """
    problems = []
    for each in imports(root):
        library = each.target.split(".")[0]
        if library in STANDARD or library == root.name or each.when == "typing":
            continue
        inside = each.source.partition(".")[2] + "."
        if not any(inside.startswith(f"{home}.") for home in homes.get(library, ())):
            problems.append(f"{each}: not the home of {library}")
    return problems


def unused_homes(root: Path, homes: Mapping[str, set[str]]) -> list[str]:
    """Return the homes of `misplaced_libraries` in which the library is not imported any more."""
    used = {
        (each.target.partition(".")[0], each.source.partition(".")[2]) for each in imports(root)
    }
    return [
        f"{library}: {home}"
        for library, places in homes.items()
        for home in sorted(places)
        if not any(library == name and f"{module}.".startswith(f"{home}.") for name, module in used)
    ]


def dynamic_imports(root: Path) -> list[str]:
    """Return the modules that import by a name made at run time, which no check here can follow."""
    return [
        name
        for name, path in modules(root).items()
        if any(
            isinstance(node, ast.Call)
            and ast.unparse(node.func).rpartition(".")[2] in {"import_module", "__import__"}
            for node in ast.walk(ast.parse(path.read_text()))
        )
    ]


def long_files(root: Path, most: int = LONGEST_FILE) -> list[str]:
    """Return the files with more lines than that."""
    return [
        f"{path.relative_to(root)} has {lines} lines"
        for path in sorted(root.rglob("*.py"))
        if (lines := path.read_text().count("\n")) > most
    ]


def long_functions(root: Path, most: int = LONGEST_FUNCTION) -> list[str]:
    """Return the functions whose body, its docstring left out, has more lines than that."""
    problems = []
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                documented = ast.get_docstring(node) is not None and len(node.body) > 1
                first = node.body[1 if documented else 0].lineno
                lines = (node.end_lineno or first) - first + 1
                if lines > most:
                    problems.append(f"{path.relative_to(root)}: {node.name} has {lines} lines")
    return problems


def entries(root: Path) -> list[str]:
    """Return the names of the modules and folders at the top of a package."""
    return sorted(
        path.name
        for path in root.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    )


def untyped_options(root: Path, names: Iterable[str]) -> list[str]:
    """Return the public functions that take `**options: Any`, or options without a type.

    Args:
        root: the package's folder.
        names: the modules to look at, without the package's name.
    """
    problems = []
    for path in [modules(root)[f"{root.name}.{name}"] for name in names]:
        for owner, node in _public_functions(ast.parse(path.read_text())):
            taken = node.args.kwarg
            if taken is not None and (
                taken.annotation is None or ast.unparse(taken.annotation) == "Any"
            ):
                name = f"{owner}{node.name}"
                problems.append(f"{path.relative_to(root)}: {name} takes **{taken.arg}: Any")
    return problems


def _public_functions(
    tree: ast.Module,
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield the functions and methods whose own and class's names do not begin with `_`."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name[0] != "_"]
    for owner, body in (("", tree.body), *((f"{each.name}.", each.body) for each in classes)):
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name[0] != "_":
                yield owner, node


def imported_test_modules(tests: Path) -> list[str]:
    """Return the imports of one test module, or of a conftest, by another."""
    return [
        str(each)
        for each in imports(tests)
        if each.target.rpartition(".")[2].startswith(("test_", "conftest"))
    ]


def modules_without_test(root: Path, tests: Path) -> list[str]:
    """Return the modules that no test file is named after, without the package's name.

    The tests of `room/part/module.py` are in `test_module.py`, or in several files whose names
    begin so, at the top of the tests or in a folder that is named after one of its own.
    """
    files = [path.relative_to(tests) for path in tests.rglob("test_*.py")]
    found = []
    for name, path in modules(root).items():
        *folders, module = name.split(".")[1:] or [""]
        if path.name == "__init__.py":
            continue
        named = re.compile(rf"test_{module}(_\w+)?")
        if not any(
            named.fullmatch(file.stem) and {*file.parent.parts} <= {*folders} for file in files
        ):
            found.append(".".join([*folders, module]))
    return found


def repeated_fixtures(tests: Path) -> list[str]:
    """Return the fixtures of the same name and body that stand in several files."""
    places: dict[tuple[str, str], list[str]] = {}
    for path in sorted(tests.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and any(
                "fixture" in ast.unparse(each) for each in node.decorator_list
            ):
                documented = ast.get_docstring(node) is not None
                body = "\n".join(map(ast.dump, node.body[documented:]))
                found = places.setdefault((node.name, body), [])
                found.append(str(path.relative_to(tests)))
    return [
        f"{name} is defined in {' and '.join(files)}"
        for (name, _), files in places.items()
        if len(files) > 1
    ]
