"""The routes of all dialects in one server."""

from importlib import import_module

import pytest

from swiftask_jupyter.sandbox.application import DIALECTS
from swiftask_jupyter.sandbox.state import create_state


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_is_a_module_with_routes(name):
    state = create_state(None, "zero", None, 1, 1000)
    routes = import_module(f"swiftask_jupyter.sandbox.{name}").routes(state)

    assert routes
    assert all(arguments == {"state": state} for _, _, arguments in routes)


def test_no_two_dialects_have_the_same_path():
    modules = [import_module(f"swiftask_jupyter.sandbox.{name}") for name in DIALECTS]
    state = create_state(None, "zero", None, 1, 1000)
    paths = [path for module in modules for path, _, _ in module.routes(state)]

    assert len(paths) == len(set(paths))


def test_an_unknown_path_is_status_404_in_json(account):
    response = account.get("/v2/chat")

    assert response.status_code == 404
    assert "/v2/chat" in response.json()["error"]["message"]
