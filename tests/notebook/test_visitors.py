"""Kernels of one user without a notebook, and visitors of one page: none reads another's text."""

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from swiftask_jupyter import Swiftask
from tests.support.cells import LOAD
from tests.support.kernels import Kernel

LIST = f"""{LOAD}
%swiftask session list
from swiftask_jupyter import ChatPanel
panel = ChatPanel(get_ipython().magics_manager.registry["SwiftaskMagics"].client)
print(panel.switcher.names())
for name in [None, "main", "chat-2", "thesis"]:
    panel.switch(name)
    print([each.prompt for each in panel.chat.exchanges])
%swiftask session main
print(list(get_ipython().run_line_magic("swiftask", "history")["prompt"]))"""
TALK = f"""{LOAD}
get_ipython().run_cell_magic("swiftask", "echo", "canary of the conversation")
%swiftask session main
get_ipython().run_cell_magic("swiftask", "echo", "canary of main")
client = get_ipython().magics_manager.registry["SwiftaskMagics"].client
for name in ("chat-2", "thesis"):
    client.session(name).ask(f"canary of {{name}}", "echo")"""
ASK = """%%swiftask echo -s main
harmless"""

VOILA = {"SERVER_SOFTWARE": "voila/0.5.13", "VOILA_PREHEAT": "False"}
PREHEATED = {"VOILA_PREHEAT": "True"}


def visit(environment, box):
    """Begin conversations in one kernel; return what a second one shows, and what it sends."""
    with Kernel(environment) as first:
        assert first.run(TALK).status == "ok"
        with Kernel(environment) as second:
            shown = second.run(LIST)
            asked = second.run(ASK)
    assert (shown.status, asked.status) == ("ok", "ok"), shown.error + asked.error
    return str(shown.outputs) + str(asked.outputs), box.requests[-1].body.decode()


@pytest.mark.parametrize("served", [{}, VOILA, PREHEATED], ids=["alone", "Voila", "preheated"])
def test_a_kernel_without_a_notebook_shows_and_sends_only_what_it_began(environment, box, served):
    shown, sent = visit({**environment, **served}, box)

    assert "canary" not in shown + sent
    assert "harmless" in sent


@pytest.mark.parametrize("served", [VOILA, PREHEATED], ids=["Voila", "preheated"])
def test_a_visitor_of_a_known_notebook_is_shown_nothing_of_an_earlier_one(
    environment, box, tmp_path, served
):
    path = tmp_path / "page.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(LOAD)]), path)

    shown, sent = visit({**environment, **served, "JPY_SESSION_NAME": str(path)}, box)

    assert "canary" not in shown + sent


def test_without_voila_a_second_kernel_of_the_same_notebook_goes_on(environment, box, tmp_path):
    path = tmp_path / "page.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(LOAD)]), path)

    shown, sent = visit({**environment, "JPY_SESSION_NAME": str(path)}, box)

    assert "canary" in shown
    assert "canary" in sent


def test_two_notebooks_run_by_nbclient_are_apart(environment, box, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    cells = [[TALK], [LIST, ASK]]
    ran = [new_notebook(cells=[new_code_cell(each) for each in some]) for some in cells]
    for notebook in ran:
        NotebookClient(notebook, timeout=60).execute()

    assert "canary" not in str(ran[1].cells[0].outputs)
    assert "canary" not in box.requests[-1].body.decode()


def test_two_terminals_are_apart_but_a_named_conversation_goes_on(box):
    options = {"base_url": box.url, "token": box.token, "agent": "echo", "dialect": "openai"}
    with Swiftask(**options) as first, Swiftask(**options) as second:
        first.session().ask("canary")
        first.session("main").ask("canary of main")
        assert second.sessions() == [second.current]
        assert [each.prompt for each in second.session("main").history()] == []
        assert first.sessions() == [first.current, "main"]
    with Swiftask(session="thesis", **options) as script:
        script.session().ask("chapter one")
        script.session("notes").ask("canary of the notes")
    with Swiftask(session="thesis", **options) as script:
        assert [each.prompt for each in script.session().history()] == ["chapter one"]
        assert [each.prompt for each in script.session("notes").history()] == []
        assert script.sessions() == ["thesis", "notes"]


def test_voila_has_no_conversation_that_goes_on_by_its_name(box, monkeypatch):
    monkeypatch.setenv("SERVER_SOFTWARE", VOILA["SERVER_SOFTWARE"])
    options = {"base_url": box.url, "token": box.token, "agent": "echo", "session": "thesis"}
    with Swiftask(**options) as first, Swiftask(**options) as second:
        first.session().ask("canary")

        assert second.session().history() == []
