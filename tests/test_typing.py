"""A user's file is checked against the built wheel, by mypy and by pyright, both strict."""

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CODE = Path(__file__).parent / "typing"
FILES = ("right.py", "wrong.py")
BUILD = [
    sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
    "--disable-pip-version-check", "--no-index",
]  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The package's wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # a build writes nothing into the checkout then
    source.mkdir()
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "swiftask_jupyter", source / "swiftask_jupyter", ignore=ignored)
    subprocess.run([*BUILD, "--wheel-dir", folder, source], check=True)
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """An environment in which the wheel is installed, and our dependencies beside it."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    variables = {"base": str(folder), "platbase": str(folder)}
    packages = Path(sysconfig.get_path("purelib", "venv", vars=variables))
    zipfile.ZipFile(wheel).extractall(packages)  # all that an installer does with a pure one
    # Unlike a .pth file's own folder, this one is not searched for further .pth files: the
    # editable install of the checkout stays out.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return Path(sysconfig.get_path("scripts", "venv", vars=variables)) / "python"


@pytest.fixture(scope="module", params=["mypy", "pyright"])
def errors(request, python, tmp_path_factory):
    """The messages of a type checker by file and line."""
    folder = tmp_path_factory.mktemp(request.param)
    for name in FILES:
        shutil.copy(CODE / name, folder)
    found = {"mypy": _mypy, "pyright": _pyright}[request.param](python, folder)
    errors = {name: {} for name in FILES}
    for name, line, message in found:
        errors[name].setdefault(line, []).append(message)
    return errors


def _mypy(python, folder):
    command = ["--strict", "--python-executable", python, "--cache-dir", folder / "cache", *FILES]
    done = _run("mypy", *command, cwd=folder)
    assert done.stderr == ""
    found = re.findall(r"^([^:\n]+):(\d+): error: (.*)", done.stdout, re.MULTILINE)
    return [(name, int(line), message) for name, line, message in found]


def _pyright(python, folder):
    (folder / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    done = _run("pyright", "--outputjson", "--pythonpath", python, *FILES, cwd=folder)
    return [
        (Path(each["file"]).name, each["range"]["start"]["line"] + 1, each["message"])
        for each in json.loads(done.stdout)["generalDiagnostics"]
        if each["severity"] == "error"
    ]


def _run(program, *arguments, cwd):
    command = [sys.executable, "-m", program, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_the_wheel_says_that_the_package_is_typed(wheel):
    names = zipfile.ZipFile(wheel).namelist()

    assert "swiftask_jupyter/py.typed" in names
    assert not [name for name in names if not name.startswith("swiftask_jupyter")]


def test_a_users_file_has_the_types_that_it_states(errors):
    assert errors["right.py"] == {}


def test_a_mistake_in_a_users_file_is_an_error(errors):
    lines = (CODE / "wrong.py").read_text().splitlines()
    expected = [number for number, line in enumerate(lines, 1) if line.endswith("# error")]

    assert sorted(errors["wrong.py"]) == expected
