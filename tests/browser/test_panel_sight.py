"""What is visible and readable in a chat panel: scrolling, contrast, lists, the transcript."""

import pytest
from playwright.sync_api import expect

from tests.support.jupyter import Notebook
from tests.support.panels import SHOW_PANEL, USE_DARK_THEME, Panel, show_panel

pytestmark = pytest.mark.browser

HAS_GROWN = """() => {
  const { textContent } = document.querySelector('.st-running .st-answer .st-body');
  return textContent.length > (window.lengthBefore ??= textContent.length) + 20;
}"""
LONG = "a question\n" * 12
TABLE = "| opened | volume | ticker |\n|--:|--:|---|\n" + "| 101.25 | 1234567.25 | LONGNAME |\n" * 3
# The cells of a table whose text takes more than one line.
WRAPPED_CELLS = """(answer) => [...answer.querySelectorAll('th, td')].filter((cell) => {
  const range = document.createRange();
  range.selectNodeContents(cell);
  return new Set([...range.getClientRects()].map((each) => each.top)).size > 1;
}).map((cell) => cell.innerText)"""
LISTS = (
    "1. \u0645\u0631\u062d\n2. abc\n\nand\n\n- \u0645\u0631\u062d\n\n- abc\n   - \u0645\u0631\u062d"
)
# The side on which each list item begins, and whether there is space for its marker.
MARKERS = """(answer) => {
  const all = answer.closest('.st-message').getBoundingClientRect();
  return [...answer.querySelectorAll('li')].map((item) => {
    const { left, right } = item.getBoundingClientRect();
    const fromRight = getComputedStyle(item).direction === 'rtl';
    return [fromRight ? 'right' : 'left', (fromRight ? all.right - right : left - all.left) > 20];
  });
}"""
# The distance of the running exchange from the top of the log, in pixels.
BELOW_TOP = """(log) => log.querySelector('.st-running').getBoundingClientRect().top
  - log.getBoundingClientRect().top"""
AT_THE_END = """() => {
  const log = document.querySelector('.swiftask-panel [role=log]');
  return log.scrollHeight - log.scrollTop - log.clientHeight < 2;
}"""
# For each name in a transcript: the gap above it minus the gap below it, in pixels.
NAME_GAPS = """() => [...document.querySelectorAll('details b')].map(({ parentElement: name }) => {
  const box = (each) => each.getBoundingClientRect(), { previousElementSibling: above } = name;
  return above && box(name).top - box(above).bottom
    - (box(name.nextElementSibling).top - box(name).bottom);
})"""

# The lowest contrast ratio of each kind of text with its background.
CONTRAST = """(where) => {
  const pen = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const light = () => [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const paint = (colour) => { pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1); return light(); };
  const found = {};
  for (const each of document.querySelectorAll(where)) {
    const behind = [];
    for (let at = each; at; at = at.parentElement) behind.unshift(getComputedStyle(at));
    paint(behind[0].colorScheme === 'dark' ? 'black' : 'white');
    let back;
    for (const { backgroundColor } of behind) back = paint(backgroundColor);
    const front = paint(getComputedStyle(each).color), kind = each.className || each.tagName;
    const ratio = (Math.max(front, back) + .05) / (Math.min(front, back) + .05);
    found[kind] = Math.min(found[kind] ?? 21, ratio);
  }
  return found;
}"""
IN_PANEL = ".swiftask-panel :is(pre span, pre code, .st-error, .st-footer-text)"
IN_CELL = ".swiftask :is(pre code, pre code *)"
# As on a page without JupyterLab's theme: remove the definitions of its colours.
REMOVE_THEME = """(scheme) => {
  document.documentElement.style.colorScheme = scheme;
  document.body.style.background = document.body.style.color = '';
  for (const sheet of document.styleSheets) for (const rule of sheet.cssRules) {
    const names = rule.selectorText === ':root' ? [...rule.style] : [];
    for (const name of names) if (name.startsWith('--jp-')) rule.style.removeProperty(name);
  }
}"""


def test_text_has_enough_contrast(notebook: Notebook, env: dict[str, str]):
    """Checked in a panel and in a cell, light and dark, with JupyterLab's themes and without."""
    cells = [
        SHOW_PANEL,
        "%%swiftask lorem\ncode",
        "%%swiftask echo\n```python\n# c\nclass A: 1\n```",
    ]
    notebook.open("colours.ipynb", cells, env=env)
    panel, page = show_panel(notebook), notebook.page
    for cell in (1, 2):
        notebook.run_cell(cell)
        notebook.wait_idle()
    panel.choose("nosuch")
    panel.ask("an error")
    panel.ended(3)
    check_contrast(panel)
    page.evaluate(USE_DARK_THEME)
    page.wait_for_function("() => document.body.dataset.jpThemeName === 'JupyterLab Dark'")
    check_contrast(panel)
    for scheme in ("dark", "light"):
        page.evaluate(REMOVE_THEME, scheme)
        check_contrast(panel)


def check_contrast(panel: Panel) -> None:
    """Check that each kind of text has a contrast of 4.5:1 at least."""
    for where, count in ((IN_PANEL, 9), (IN_CELL, 7)):
        found = panel.page.evaluate(CONTRAST, where)
        assert len(found) >= count, found
        assert {kind: ratio for kind, ratio in found.items() if ratio < 4.5} == {}


def test_list_markers_are_on_the_side_where_the_items_begin(
    notebook: Notebook, env: dict[str, str]
):
    """This holds for bullets and numbers, in left-to-right and right-to-left languages."""
    notebook.open("lists.ipynb", [SHOW_PANEL], env=env)
    panel = show_panel(notebook)
    panel.choose("echo")

    panel.ask(LISTS)

    found = panel.ended().evaluate(MARKERS)
    assert found == [[side, True] for side in ("right", "left", "right", "left", "right")]


def test_the_running_exchange_is_in_sight(notebook: Notebook, env: dict[str, str]):
    """This holds for an early question that is asked again, and after a resize."""
    notebook.open("sight.ipynb", [SHOW_PANEL], env=env)
    panel, page = show_panel(notebook), notebook.page
    panel.choose("echo")
    for count in range(1, 5):
        panel.ask(LONG)
        panel.ended(count)
    panel.ask(TABLE)
    answer = panel.ended(5)
    for width in ("200px", "320px", ""):
        panel.root.evaluate("(root, width) => { root.style.width = width; }", width)
        page.wait_for_function(AT_THE_END)
        expect(panel.button("Go to the newest message")).to_be_hidden()
        assert answer.evaluate(WRAPPED_CELLS) == []  # a wide table scrolls instead

    panel.choose("slow")
    panel.button("Edit and ask again").nth(1).click()
    panel.ask(LONG)
    check_watched(panel)
    panel.button("Stop").click()
    panel.ended(5)
    panel.button("Ask slow again").first.click()
    check_watched(panel)
    panel.button("Go to the newest message").click()
    page.wait_for_function(AT_THE_END)
    check_behind_a_tab(panel)
    panel.button("Stop").click()
    panel.ended(5)

    panel.ask("stopped")
    panel.button("Stop").click()
    panel.choose("echo")
    for count in (7, 8):
        panel.ask(LONG)
        panel.ended(count)
    panel.button("Ask slow again").last.click()  # it never had an answer, so it moves to the end
    expect(panel.answers.last).to_contain_text("word12 ")
    page.wait_for_function(AT_THE_END)
    panel.button("Stop").click()
    panel.ended(8)
    assert notebook.page_errors == []


def test_running_a_cell_again_leaves_the_panels_own_answer_in_sight(
    notebook: Notebook, env: dict[str, str]
):
    """While it streams; otherwise the question of the cell is shown."""
    notebook.open("cell.ipynb", [SHOW_PANEL, f"%%swiftask echo\n{LONG}"], env=env)
    panel, page = show_panel(notebook), notebook.page
    notebook.run_cell(1)
    panel.ended(1)
    panel.choose("echo")
    for count in (2, 3, 4):
        panel.ask(LONG)
        panel.ended(count)
    panel.choose("slow")
    panel.ask("go on")
    expect(panel.answers.last).to_contain_text("word2 ")

    notebook.run_cell(1)
    expect(panel.footers.first).to_contain_text("turn 6")
    notebook.wait_idle()
    page.wait_for_function(AT_THE_END)
    panel.button("Stop").click()
    panel.ended(5)

    notebook.run_cell(1)
    expect(panel.footers.first).to_contain_text("turn 7")
    expect(panel.button("Go to the newest message")).to_be_visible()


def check_behind_a_tab(panel: Panel) -> None:
    """Check that a view that was scrolled up stays there after another tab was in front."""
    page = panel.page
    panel.log.evaluate("(log) => { log.scrollTop = 40; }")
    expect(panel.button("Go to the newest message")).to_be_visible()
    page.evaluate("() => window.jupyterapp.shell.currentWidget.hide()")
    page.wait_for_function(HAS_GROWN)
    page.evaluate("() => window.jupyterapp.shell.currentWidget.show()")
    expect(panel.button("Go to the newest message")).to_be_visible()
    assert panel.log.evaluate("(log) => log.scrollTop") == 40


def check_watched(panel: Panel) -> None:
    """Check that the running question stays at the top while its answer grows."""
    expect(panel.button("Edit and ask again").first).to_be_disabled()
    expect(panel.button("Ask echo again").first).to_be_disabled()
    for word in ("word3 ", "word12 "):
        expect(panel.answers.nth(1)).to_contain_text(word)
        assert 0 <= panel.log.evaluate(BELOW_TOP) < 20


def test_a_name_in_a_transcript_is_closer_to_its_own_text_than_to_the_text_above(
    notebook: Notebook, env: dict[str, str]
):
    notebook.open("names.ipynb", [SHOW_PANEL], env=env)
    panel = show_panel(notebook)
    panel.choose("echo")
    for count in (1, 2):
        panel.ask("hello")
        panel.ended(count)
    notebook.page.get_by_text("Transcript of the chat · 2 turns").click()
    _, *gaps = notebook.page.evaluate(NAME_GAPS)
    assert len(gaps) == 3
    assert min(gaps) > 5
