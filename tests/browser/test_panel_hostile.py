"""Texts made to attack their reader, in a chat panel: in questions, answers, names and errors."""

import json

import pytest
from playwright.sync_api import expect

from swiftask_jupyter import Sandbox
from swiftask_jupyter.notebook.markdown.mathml import TAGS as MATH
from swiftask_jupyter.notebook.markdown.tree import TAGS
from tests.browser.test_hostile import (
    FORMULAS,
    MORE,
    PER_CELL,
    TAME,
    Listener,
    armed,
    filed,
    listener,
)
from tests.browser.test_hostile_collections import PER_CELL as MANY
from tests.browser.test_hostile_collections import collection, split
from tests.support.hostility import LOAD, SCHEMES, Guard, echoing, shut_in
from tests.support.jupyter import Notebook
from tests.support.panels import Panel

__all__ = ["collection", "listener"]  # fixtures
pytestmark = pytest.mark.browser

# What a panel is made of, beside an answer.
PARTS = (
    "div article button svg path select option input datalist textarea bdi form progress",
    "@class @style @dir @href @rel @target @start @value @max @title @type @list @rows @role @d",
    "@tabindex @hidden @placeholder @spellcheck @multiple @viewBox @maxlength @id @aria-label",
    "@aria-disabled @aria-hidden @aria-live @aria-pressed @data-lm-suppress-shortcuts",
    "@display @displaystyle @mathvariant @stretchy @fence @form @linethickness @width @columnalign",
)
ALLOWED = TAGS | MATH | set(" ".join(PARTS).split())
SHOW = f"""{LOAD}
import json, pathlib
from swiftask_jupyter import ChatPanel
client = get_ipython().magics_manager.registry["SwiftaskMagics"].client
panel = ChatPanel(client, "echo", session=json.loads(pathlib.Path("name").read_text()),
                  transcript=False)
panel"""
ASK = """import time
for text in json.loads(pathlib.Path("texts").read_text()):
    panel.ask(text)
    while panel.chat.in_flight:
        time.sleep(.01)"""
MISNAMED = """from swiftask_jupyter.errors import SwiftaskError
client.connections.overrides = type(client.connections.overrides)(client.connections.resolve().base_url, None, "echo", "native")
for name in json.loads(pathlib.Path("names").read_text()):
    for agent, files in ((name, ()), ("echo", [(name, b"x")])):
        try:
            panel.ask(name, agent, files)
        except SwiftaskError as error:
            panel._channel.respond({"view": None}, error=str(error))
        while panel.chat.in_flight:
            time.sleep(.01)"""
PER_ROUND = 50
CLICK = "(number) => document.querySelectorAll('.st-body a')[number]?.click()"
# Nothing of an answer leaves its place: neither its boxes nor its letters.
ESCAPED = """() => [...document.querySelectorAll('.st-exchange *')].filter((each) =>
  !['static', 'relative'].includes(getComputedStyle(each).position)
  || getComputedStyle(each).zIndex !== 'auto').map((each) => each.outerHTML)"""


def happened(guard: Guard) -> dict[str, object]:
    """What must not be; the kinds of elements are a panel's here."""
    seen = guard.what_happened() | {"commands": set(guard.told("Commands")) - {"notebook:run-cell"}}
    seen = {what: value for what, value in seen.items() if value and what != "in outputs"}
    kinds = {kind for kind in guard.told("Kinds") if kind not in ALLOWED}
    schemes = set(guard.told("Schemes")) - SCHEMES
    return seen | ({"kinds": kinds} if kinds else {}) | ({"schemes": schemes} if schemes else {})


def follow_links(guard: Guard) -> None:
    """Click each link and each element of each answer."""
    shut_in(guard.notebook)
    guard.page.context.on("page", guard._close)
    for number in range(15):  # by number: a view may be drawn anew meanwhile
        guard.page.evaluate(CLICK, number)
    everything = guard.page.locator(".st-body :not(a, .st-code-toolbar, .st-code-toolbar *)")
    everything.evaluate_all("(all) => all.forEach((each) => each.click?.())")


def opened(notebook: Notebook, env: dict[str, str], name: str) -> Guard:
    """Show a panel whose conversation has that name."""
    (notebook.folder / "name").write_text(json.dumps(name))
    notebook.open("hostile.ipynb", [SHOW, ASK, MISNAMED], env=env)
    notebook.run_cell(0)
    notebook.wait_idle()
    Panel(notebook.page).ready()
    return Guard(notebook)


def asked(notebook: Notebook, texts: list[str], names: list[str]) -> None:
    """Ask all of it in the panel; and what is no agent, and with files of these names."""
    (notebook.folder / "texts").write_text(json.dumps(texts))
    (notebook.folder / "names").write_text(json.dumps(names))
    for cell in (1, 2):
        notebook.run_cell(cell)
        notebook.wait_idle()


def test_hostile_texts_do_nothing_in_a_panel(notebook: Notebook, box: Sandbox, listener: Listener):
    """No script, no request, no command, no element of their making, nothing out of its place."""
    payloads = [*TAME, *MORE, *FORMULAS, *filed()]
    texts = [armed(payload, i, listener) for i, payload in enumerate(payloads)]
    batches = ["\n\n".join(texts[i : i + PER_CELL]) for i in range(0, len(texts), PER_CELL)]
    zalgo = "z" + "\u0335\u0321\u0347" * 200

    guard = opened(notebook, echoing(box), TAME[1])
    names = [*TAME, "\u202efdp.exe", "a" * 5000]
    asked(notebook, [*batches, zalgo, "\u202egnp.exe"], names)

    page = notebook.page
    expect(page.locator(".st-error").first).to_be_visible()
    expect(page.locator(".st-body").last).to_contain_text("a" * 300)
    shown = page.locator(".swiftask-panel").text_content()
    assert "\u202e" not in shown
    assert "\u27e6U+202E\u27e7gnp.exe" in shown
    assert page.evaluate(ESCAPED) == []
    assert happened(guard) == {}
    assert notebook.foreign_requests() == []
    assert listener.connections == 0
    follow_links(guard)
    for _ in range(100):  # the browser tells of a page a moment after it was asked for
        if guard.opened <= 10:
            page.wait_for_timeout(100)
    assert guard.opened > 10
    assert listener.paths == []
    assert happened(guard) == {}


@pytest.mark.soak
@pytest.mark.timeout(3000)
def test_no_text_of_the_public_collections_does_anything_in_a_panel(
    notebook: Notebook, box: Sandbox, collection: list[str]
):
    """In the questions, in the answers, and as the names of agents and files and in errors."""
    guard = opened(notebook, echoing(box), "main")
    for some in split(collection, PER_ROUND):
        asked(notebook, ["\n\n".join(few) for few in split(some, MANY)], some)

        assert notebook.page.evaluate(ESCAPED) == []
        assert happened(guard) == {}
    assert notebook.foreign_requests() == []
    follow_links(guard)
    assert happened(guard) == {}
