"""The notebook is the conversation: what a front end's own editing does to it."""

import pytest

from swiftask_jupyter import Sandbox, Swiftask
from swiftask_jupyter.conversation import rules as conversation
from tests.support.jupyter import App, Notebook

pytestmark = pytest.mark.browser

# One clock is the file's and the kernel's here, so that a cell may leave as soon as it has run.
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
    """A notebook whose cells ask; `page.run(1)` runs one and returns what was sent."""
    monkeypatch.setattr(conversation, "CLOCK_SKEW", 0.0)
    return Page(notebook, box, env | {"SWIFTASK_DIALECT": "openai"})


class Page:
    """A notebook in a browser, whose cells ask."""

    def __init__(self, notebook: Notebook, box: Sandbox, env: dict[str, str]) -> None:
        self.notebook, self.box, self.env = notebook, box, env

    def open(self, texts: list[str], app: App) -> None:
        """Open a notebook of prompts; cell 0 loads the extension and is run."""
        cells = [LOAD, *(f"%%swiftask echo\n{text}" for text in texts)]
        self.notebook.open("talk.ipynb", cells, app=app, env=self.env)
        self.notebook.run_cell(0)
        self.notebook.wait_idle()

    def write(self, i: int, text: str) -> None:
        """Write another prompt into a cell."""
        self.notebook.page.evaluate(WRITE, [i, f"%%swiftask echo\n{text}"])

    def run(self, i: int) -> list[str]:
        """Run a cell; return the prompts that its request held."""
        count = len(self.box.requests)
        self.notebook.run_cell(i)
        self.notebook.wait_idle()
        assert len(self.box.requests) == count + 1
        return [each["content"] for each in self.box.requests[-1].json["messages"]][::2]

    def do(self, i: int, *commands: str) -> None:
        """Do what a user does with a cell."""
        self.notebook.page.evaluate(DO, [i, *(f"notebook:{command}" for command in commands)])

    def holds(self, expected: list[str]) -> None:
        """Save, until the file says what is expected: a front end edits and saves in its time."""
        for _ in range(TRIES):
            self.notebook.save()
            if self.held() == expected:
                return
            self.notebook.page.wait_for_timeout(100)
        assert self.held() == expected

    def held(self) -> list[str]:
        """What the conversation holds, as a kernel that starts now would find it."""
        with Swiftask(notebook=str(self.notebook.path)) as client:
            return [each.prompt for each in client.session().history()]


@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_the_story_of_a_notebook(page: Page, app: App):
    """Each request holds what stands above its cell; nothing later is lost."""
    page.open(["1", "2", "", "", "5"], app)

    assert page.run(1) == ["1"]
    assert page.run(2) == ["1", "2"]
    page.write(1, "1'")
    assert page.run(1) == ["1'"]
    assert page.run(5) == ["1'", "2", "5"]
    page.write(2, "2'")
    assert page.run(2) == ["1'", "2'"]
    assert page.notebook.output_text(2).endswith("1 later answer predates this")
    page.holds(["1'", "2'", "5"])


def test_editing_the_notebook_edits_the_conversation(page: Page):
    """What was saved is what is held; the ledger keeps every call."""
    page.open(["1", "2", "3"], "lab")
    for i in (1, 2, 3):
        page.run(i)
    page.notebook.save()

    page.do(1, "move-cell-down")  # moved: its turn moves along
    page.holds(["2", "1", "3"])
    page.do(1, "cut-cell", "paste-cell-below")  # cut and pasted: the same cell elsewhere
    page.holds(["1", "2", "3"])
    page.do(3, "duplicate-below")  # a copy is a new cell, and has said nothing yet
    page.holds(["1", "2", "3"])
    assert page.run(4) == ["1", "2", "3", "3"]
    page.notebook.page.wait_for_timeout(700)  # what is done within half a second is undone at once
    page.do(2, "delete-cell")  # deleted, and undone
    page.holds(["1", "3", "3"])
    page.do(1, "undo-cell-action")
    page.holds(["1", "2", "3", "3"])
    page.do(1, "merge-cell-below")  # merged: a new cell, which has said nothing yet
    page.holds(["3", "3"])
    page.write(1, "1 and 2")
    assert page.run(1) == ["1 and 2"]
    page.notebook.page.evaluate(CURSOR, [1, 1])  # split: one half keeps the id
    page.do(1, "split-cell-at-cursor")
    page.holds(["1 and 2", "3", "3"])
    with Swiftask() as client:
        assert list(client.usage()["status"]) == ["ok"] * 5


def test_an_inserted_cell_and_a_restart_send_what_a_fresh_notebook_sends(page: Page):
    """Restart and Run All go through the cells in their order."""
    page.open(["1", "3"], "lab")
    page.run(1)
    page.run(2)
    page.do(1, "insert-cell-below")
    page.write(2, "2")
    page.notebook.save()
    page.notebook.open("talk.ipynb", env=page.env)  # the page again, with a kernel of its own
    count = len(page.box.requests)

    page.notebook.run_all()
    page.notebook.wait_idle()

    sent = [seen.json["messages"] for seen in page.box.requests[count:]]
    assert [[each["content"] for each in messages][::2] for messages in sent] == [
        ["1"], ["1", "2"], ["1", "2", "3"],
    ]  # fmt: skip
