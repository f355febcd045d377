"""Editing a notebook in a front end edits its conversation."""

import pytest

from swiftask_jupyter import Sandbox, Swiftask
from swiftask_jupyter.conversation import rules as conversation
from tests.support.jupyter import App, Notebook

pytestmark = pytest.mark.browser

# The file and the kernel have the same clock here, so a cell may be deleted as soon as it has run.
LOAD = """%load_ext swiftask_jupyter
import swiftask_jupyter.conversation.rules
swiftask_jupyter.conversation.rules.CLOCK_SKEW = 0.0"""
TRIES = 50
WRITE = """([index, source]) => {
  window.jupyterapp.shell.currentWidget.content.widgets[index].model.sharedModel.setSource(source);
}"""
DO = """async ([index, ...commands]) => {
  const { content } = window.jupyterapp.shell.currentWidget;
  content.deselectAll();
  content.activeCellIndex = index;
  for (const command of commands) await window.jupyterapp.commands.execute(command);
}"""
CURSOR = """([index, line]) => {
  const { content } = window.jupyterapp.shell.currentWidget;
  content.activeCellIndex = index;
  content.mode = 'edit';
  content.activeCell.editor.setCursorPosition({ line, column: 0 });
}"""


@pytest.fixture
def page(notebook: Notebook, box: Sandbox, env: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    """A notebook whose cells ask; `page.run(1)` runs a cell and returns the prompts it sent."""
    monkeypatch.setattr(conversation, "CLOCK_SKEW", 0.0)
    return Page(notebook, box, env | {"SWIFTASK_DIALECT": "openai"})


class Page:
    """A notebook in a browser whose cells ask the agent "echo"."""

    def __init__(self, notebook: Notebook, box: Sandbox, env: dict[str, str]) -> None:
        self.notebook, self.box, self.env = notebook, box, env

    def open(self, texts: list[str], app: App) -> None:
        """Open a notebook with a cell for each prompt, after cell 0, which loads the extension."""
        cells = [LOAD, *(f"%%swiftask echo\n{text}" for text in texts)]
        self.notebook.open("talk.ipynb", cells, app=app, env=self.env)
        self.notebook.run_cell(0)
        self.notebook.wait_idle()

    def write(self, i: int, text: str) -> None:
        """Replace the prompt in a cell."""
        self.notebook.page.evaluate(WRITE, [i, f"%%swiftask echo\n{text}"])

    def run(self, i: int) -> list[str]:
        """Run a cell and return the prompts in its request."""
        count = len(self.box.requests)
        self.notebook.run_cell(i)
        self.notebook.wait_idle()
        assert len(self.box.requests) == count + 1
        return [each["content"] for each in self.box.requests[-1].json["messages"]][::2]

    def command(self, i: int, *commands: str) -> None:
        """Run notebook commands on a cell, as a user does by menu or key."""
        self.notebook.page.evaluate(DO, [i, *(f"notebook:{command}" for command in commands)])

    def expect_history(self, expected: list[str]) -> None:
        """Save until the history is as expected: a front end edits and saves with some delay."""
        for _ in range(TRIES):
            self.notebook.save()
            if self.history() == expected:
                return
            self.notebook.page.wait_for_timeout(100)
        assert self.history() == expected

    def history(self) -> list[str]:
        """Return the prompts of the conversation, as a kernel that starts now reads them."""
        with Swiftask(notebook=str(self.notebook.path)) as client:
            return [each.prompt for each in client.session().history()]


@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_a_request_has_the_turns_of_the_cells_above_and_later_turns_are_kept(page: Page, app: App):
    page.open(["1", "2", "", "", "5"], app)

    assert page.run(1) == ["1"]
    assert page.run(2) == ["1", "2"]
    page.write(1, "1'")
    assert page.run(1) == ["1'"]
    assert page.run(5) == ["1'", "2", "5"]
    page.write(2, "2'")
    assert page.run(2) == ["1'", "2'"]
    assert page.notebook.output_text(2).endswith("1 later answer predates this")
    page.expect_history(["1'", "2'", "5"])


def test_editing_the_notebook_edits_the_conversation(page: Page):
    """The conversation follows the saved file; the ledger keeps every call."""
    page.open(["1", "2", "3"], "lab")
    for i in (1, 2, 3):
        page.run(i)
    page.notebook.save()

    page.command(1, "move-cell-down")  # a moved cell takes its turn along
    page.expect_history(["2", "1", "3"])
    page.command(
        1, "cut-cell", "paste-cell-below"
    )  # cut and pasted: the same cell in another place
    page.expect_history(["1", "2", "3"])
    page.command(3, "duplicate-below")  # a copy is a new cell without a turn
    page.expect_history(["1", "2", "3"])
    assert page.run(4) == ["1", "2", "3", "3"]
    page.notebook.page.wait_for_timeout(700)  # changes within half a second are undone together
    page.command(2, "delete-cell")  # deleted, then restored by undo
    page.expect_history(["1", "3", "3"])
    page.command(1, "undo-cell-action")
    page.expect_history(["1", "2", "3", "3"])
    page.command(1, "merge-cell-below")  # merged: a new cell without a turn
    page.expect_history(["3", "3"])
    page.write(1, "1 and 2")
    assert page.run(1) == ["1 and 2"]
    page.notebook.page.evaluate(CURSOR, [1, 1])  # split: one half keeps the id
    page.command(1, "split-cell-at-cursor")
    page.expect_history(["1 and 2", "3", "3"])
    with Swiftask() as client:
        assert list(client.usage()["status"]) == ["ok"] * 5


def test_restart_and_run_all_sends_what_a_new_notebook_sends(page: Page):
    """Also with a cell that was inserted between others."""
    page.open(["1", "3"], "lab")
    page.run(1)
    page.run(2)
    page.command(1, "insert-cell-below")
    page.write(2, "2")
    page.notebook.save()
    page.notebook.open("talk.ipynb", env=page.env)  # the page is loaded again, with a new kernel
    count = len(page.box.requests)

    page.notebook.run_all()
    page.notebook.wait_idle()

    sent = [seen.json["messages"] for seen in page.box.requests[count:]]
    assert [[each["content"] for each in messages][::2] for messages in sent] == [
        ["1"], ["1", "2"], ["1", "2", "3"],
    ]  # fmt: skip
