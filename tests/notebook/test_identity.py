"""Which notebook and which cell a kernel runs, as far as the front end says."""

from types import SimpleNamespace

import pytest

from swiftask_jupyter.notebook.identity import notebook_path, running_cell


@pytest.mark.parametrize(
    ("environ", "names", "path"),
    [
        ({"JPY_SESSION_NAME": "/home/me/a.ipynb"}, {}, "/home/me/a.ipynb"),
        ({"JPY_SESSION_NAME": "console-1"}, {}, None),
        ({}, {"__vsc_ipynb_file__": "/home/me/b.ipynb"}, "/home/me/b.ipynb"),
        ({}, {}, None),
    ],
)
def test_the_notebook_is_known_if_the_front_end_names_it(environ, names, path):
    assert notebook_path(environ, names) == path


@pytest.mark.parametrize(
    ("metadata", "cell"),
    [
        ({"cellId": "c1"}, "c1"),
        ({"colab": {"cell_id": "c2"}}, "c2"),
        ({"colab": "text"}, None),
        ({"cellId": 7}, None),
        ({}, None),
        (None, None),
    ],
)
def test_the_cell_is_known_if_the_request_names_it(metadata, cell):
    parent = {"metadata": metadata, "header": {"msg_id": "m1"}}

    found = running_cell(SimpleNamespace(get_parent=lambda: parent))

    assert found == ((cell, "m1") if cell else (None, None))


def test_a_terminal_has_no_cells(shell):
    assert running_cell(SimpleNamespace()) == (None, None)
