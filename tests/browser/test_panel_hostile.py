"""Hostile texts in the questions, answers, names and errors of a chat panel do nothing."""

import json

import pytest
from playwright.sync_api import expect

from swiftask_jupyter import Sandbox
from swiftask_jupyter.notebook.markdown.html import TAGS
from swiftask_jupyter.notebook.markdown.mathml import TAGS as MATH
from tests.support.hostility import (
    PER_CELL,
    SCHEMES,
    Listener,
    PageGuard,
    arm,
    slow_echo_environment,
    split,
)
from tests.support.jupyter import Notebook
from tests.support.panels import CLIENT, Panel
from tests.support.payloads import FORMULAS, MORE, TAME, TYPEABLE_PAYLOADS

pytestmark = pytest.mark.browser

# The elements and attributes of a panel, apart from those of an answer.
PARTS = (
    "div article button svg path select option input datalist textarea bdi form progress",
    "@class @style @dir @href @rel @target @start @value @max @title @type @list @rows @role @d",
    "@tabindex @hidden @placeholder @spellcheck @multiple @viewBox @maxlength @id @aria-label",
    "@aria-disabled @aria-hidden @aria-live @aria-pressed @data-lm-suppress-shortcuts",
    "@display @displaystyle @mathvariant @stretchy @fence @form @linethickness @width @columnalign",
)
ALLOWED = TAGS | MATH | set(" ".join(PARTS).split())
SHOW = f"""{CLIENT}
import json, pathlib
from swiftask_jupyter import ChatPanel
panel = ChatPanel(client, "echo", session=json.loads(pathlib.Path("name").read_text()),
                  transcript=False)
panel"""
ASK = """import time
for text in json.loads(pathlib.Path("texts").read_text()):
    panel.ask(text)
    while panel.chat.in_flight:
        time.sleep(.01)"""
ASK_NAMES = """from swiftask_jupyter.errors import SwiftaskError
connections = client.connections
url, kind = connections.resolve().base_url, type(connections.overrides)
connections.overrides = kind(url, None, "echo", "native")
for name in json.loads(pathlib.Path("names").read_text()):
    for agent, files in ((name, ()), ("echo", [(name, b"x")])):
        try:
            panel.ask(name, agent, files)
        except SwiftaskError as error:
            panel._channel.respond({"view": None}, error=str(error))
        while panel.chat.in_flight:
            time.sleep(.01)"""
PER_QUESTION, PER_ROUND = 25, 50
CLICK = "(number) => document.querySelectorAll('.st-body a')[number]?.click()"
# The elements that may cover others: with a position or a z-index.
POSITIONED = """() => [...document.querySelectorAll('.st-exchange *')].filter((each) =>
  !['static', 'relative'].includes(getComputedStyle(each).position)
  || getComputedStyle(each).zIndex !== 'auto').map((each) => each.outerHTML)"""


def what_happened(guard: PageGuard) -> dict[str, object]:
    """Return what must not happen and did; elements of a panel are allowed."""
    seen = guard.what_happened() | {
        "commands": set(guard.recorded("Commands")) - {"notebook:run-cell"}
    }
    seen = {what: value for what, value in seen.items() if value and what != "in outputs"}
    kinds = {kind for kind in guard.recorded("Kinds") if kind not in ALLOWED}
    schemes = set(guard.recorded("Schemes")) - SCHEMES
    return seen | ({"kinds": kinds} if kinds else {}) | ({"schemes": schemes} if schemes else {})


def click_everything(guard: PageGuard) -> None:
    """Click the first links and then every element of every answer."""
    guard.block_other_hosts()
    for number in range(15):  # by number, because the view may be drawn again meanwhile
        guard.page.evaluate(CLICK, number)
    everything = guard.page.locator(".st-body :not(a, .st-code-toolbar, .st-code-toolbar *)")
    everything.evaluate_all("(all) => all.forEach((each) => each.click?.())")


def open_panel(notebook: Notebook, env: dict[str, str], name: str) -> PageGuard:
    """Display a panel with a session of that name."""
    (notebook.folder / "name").write_text(json.dumps(name))
    notebook.open("hostile.ipynb", [SHOW, ASK, ASK_NAMES], env=env)
    notebook.run_cell(0)
    notebook.wait_idle()
    Panel(notebook.page).ready()
    return PageGuard(notebook)


def ask(notebook: Notebook, texts: list[str], names: list[str]) -> None:
    """Ask the texts in the panel, then the names: of agents that do not exist, and of files."""
    (notebook.folder / "texts").write_text(json.dumps(texts))
    (notebook.folder / "names").write_text(json.dumps(names))
    for cell in (1, 2):
        notebook.run_cell(cell)
        notebook.wait_idle()


def test_hostile_texts_do_nothing_in_a_panel(notebook: Notebook, box: Sandbox, listener: Listener):
    """No script, request or command runs; no element is added and none covers others."""
    payloads = [*TAME, *MORE, *FORMULAS, *TYPEABLE_PAYLOADS]
    texts = [arm(payload, i, listener) for i, payload in enumerate(payloads)]
    batches = ["\n\n".join(texts[i : i + PER_CELL]) for i in range(0, len(texts), PER_CELL)]
    zalgo = "z" + "\u0335\u0321\u0347" * 200

    guard = open_panel(notebook, slow_echo_environment(box), TAME[1])
    names = [*TAME, "\u202efdp.exe", "a" * 5000]
    ask(notebook, [*batches, zalgo, "\u202egnp.exe"], names)

    page = notebook.page
    expect(page.locator(".st-error").first).to_be_visible()
    expect(page.locator(".st-body").last).to_contain_text("a" * 300)
    text = page.locator(".swiftask-panel").text_content()
    assert "\u202e" not in text
    assert "\u27e6U+202E\u27e7gnp.exe" in text
    assert page.evaluate(POSITIONED) == []
    assert what_happened(guard) == {}
    assert notebook.foreign_requests() == []
    assert listener.connections == 0
    click_everything(guard)
    for _ in range(100):  # the browser announces a page with some delay
        if guard.opened <= 10:
            page.wait_for_timeout(100)
    assert guard.opened > 10
    assert listener.paths == []
    assert what_happened(guard) == {}


@pytest.mark.soak
@pytest.mark.timeout(3000)
def test_no_text_of_the_public_collections_does_anything_in_a_panel(
    notebook: Notebook, box: Sandbox, collection: list[str]
):
    """In questions, answers and errors, and as the names of agents and files."""
    guard = open_panel(notebook, slow_echo_environment(box), "main")
    for some in split(collection, PER_ROUND):
        ask(notebook, ["\n\n".join(few) for few in split(some, PER_QUESTION)], some)

        assert notebook.page.evaluate(POSITIONED) == []
        assert what_happened(guard) == {}
    assert notebook.foreign_requests() == []
    click_everything(guard)
    assert what_happened(guard) == {}
