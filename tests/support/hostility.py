"""What a hostile answer must not do to a page, and how it is seen if it does."""

import re
from urllib.parse import urlsplit

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from playwright.sync_api import Dialog, Page, Route

from swiftask_jupyter import Sandbox
from swiftask_jupyter.notebook.markdown.tree import TAGS
from swiftask_jupyter.sandbox.faults import Fault
from tests.support.jupyter import Notebook
from tests.support.panels import LOAD, environment  # noqa: F401 - whoever opens such a notebook loads us

CODE_TAGS = {"b", "i", "tt", "var", "dfn", "samp"}
OURS = TAGS | CODE_TAGS | {"div", "style", "mjx-container"}
OURS |= {f"@{name}" for name in ("class", "dir", "href", "jax", "rel", "start", "style", "target")}
COMMANDS = (["notebook:run-all-cells"], ["notebook:run-cell"])
SCHEMES = {"http:", "https:", "mailto:"}
IN_A_FORMULA = re.compile(r"in a formula: (mjx-[a-z-]+|m[a-z]+|@(?!on|href|src|id|data|xlink).+)")

# In the page and in each frame of it: what a script does first, it does to be seen.
WRAP = """() => {
  const mark = (name) => {
    try { (top.testMarks ??= []).push(name); } catch { console.error(`testMark ${name}`); }
  };
  for (const name of ['alert', 'confirm', 'prompt', 'print', 'open'])
    window[name] = () => { mark(name); return null; };
  const own = window.eval;
  window.eval = (code) => {
    if (!new Error().stack.includes('UtilityScript')) mark('eval');  // or it is Playwright's
    return own(code);
  };
  for (const name of ['write', 'writeln']) document[name] = () => mark(`document.${name}`);
  for (const name of ['setTimeout', 'setInterval']) {
    const own = window[name];
    window[name] = (code, ...rest) => {
      if (typeof code !== 'function') { mark(name); return 0; }
      return own.call(window, code, ...rest);
    };
  }
}"""

# Keeps what happens to the page, and every kind of element that an output has ever had in it.
WATCH = """(index) => {
  window.testMarks = []; window.testCommands = [];
  window.testKinds = new Set(); window.testTexts = new Set(); window.testSchemes = new Set();
  window.pwn = (mark) => window.testMarks.push(mark);
  window.jupyterapp.commands.commandExecuted.connect((_, { id }) => window.testCommands.push(id));
  const watched = document.querySelectorAll('.jp-NotebookPanel .jp-Cell')[index]
    ?? document.querySelector('.jp-NotebookPanel');
  const look = (element) => {
    const output = element.closest('.jp-OutputArea-output');
    if (!output || output === element || !watched.contains(output)) return;
    const within = element.parentElement.closest('mjx-container') ? 'in a formula: ' : '';
    const attributes = element.getAttributeNames().map((name) => `@${name}`);
    for (const kind of [element.localName, ...attributes]) window.testKinds.add(within + kind);
    const ownStyle = !within && element.localName !== 'mjx-container';  // MathJax places things
    const bad = ownStyle ? /url|image|position/i : /url|image/i;
    if (bad.test(element.getAttribute('style')))
      window.testKinds.add('a style that fetches or covers');
    if (element.hasAttribute('href')) {
      const url = URL.parse(element.getAttribute('href'));
      window.testSchemes.add(url ? url.protocol : 'no address of its own');
    }
  };
  new MutationObserver((changes) => {
    for (const { target, addedNodes } of changes)
      for (const node of [target, ...addedNodes])
        if (node instanceof Element) [node, ...node.querySelectorAll('*')].forEach(look);
    for (const answer of watched.querySelectorAll('.jp-OutputArea-output .swiftask'))
      window.testTexts.add(answer.textContent);
  }).observe(watched, { subtree: true, childList: true, attributes: true });
}"""
CLICKABLE = "a, area, button, input, summary, [href], [role=button]"
CLICK_ALL = "(elements) => elements.forEach((element) => element.click?.())"


def echoing(box: Sandbox) -> dict[str, str]:
    """Start kernels with this; the agent says everything back in small pieces, taking its time."""
    box.fail(Fault(pause=0.003), agent="echo", times=None)
    return environment(box)


def question(text: str) -> NotebookNode:
    """A cell that has the text said back, and does not show it itself."""
    hidden = {"jupyter": {"source_hidden": True}}
    return new_code_cell(f"%%swiftask echo --raw\n{text}", metadata=hidden)


class Guard:
    """What happens to a page while hostile output is on it."""

    def __init__(self, notebook: Notebook, cell: int | None = None) -> None:
        self.notebook, self.page = notebook, notebook.page
        self.url, self.title = self.page.url, self.page.title()
        self.dialogs: list[str] = []
        self.opened = 0
        self.asked: list[str] = []
        self.page.on("dialog", self._refuse)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.evaluate(WATCH, cell)

    def told(self, name: str) -> list:
        """What the page has kept: its Marks, Commands, Kinds, Schemes or Texts."""
        return self.page.evaluate(f"() => [...window.test{name}]")

    def click_everything(self) -> int:
        """Click each element of each output; pages that open get nothing, and are closed."""
        shut_in(self.notebook)
        self.page.context.on("page", self._close)
        outputs = self.page.locator(".jp-OutputArea-output")
        links = outputs.locator(CLICKABLE).element_handles()
        for link in links:  # one by one, as a browser allows one new page for each call
            link.evaluate("(link) => link.click()")
        outputs.locator("*").evaluate_all(CLICK_ALL)
        return len(links)

    def what_happened(self) -> dict[str, object]:
        """Return all that was kept of what must not be, by what it is; {} if all is well."""
        commands = self.told("Commands")  # running the notebook is the one that was given
        kinds = [kind for kind in self.told("Kinds") if kind not in OURS]
        hosts = {"", urlsplit(self.notebook.server.url).netloc}
        seen = {
            "scripts": self.told("Marks"),
            "dialogs": self.dialogs,
            "commands": commands if commands not in COMMANDS else [],
            "in outputs": [kind for kind in kinds if not IN_A_FORMULA.fullmatch(kind)],
            "links to": sorted(set(self.told("Schemes")) - SCHEMES),
            "foreign requests": [url for url in self.asked if urlsplit(url).netloc not in hosts],
            "requests": [url for url in self.asked if "hostile" in urlsplit(url).query],
            "page": "" if self.page.url == self.url else self.page.url,
            "title": "" if self.page.title() == self.title else self.page.title(),
            "errors": self.notebook.page_errors,
        }
        return {what: value for what, value in seen.items() if value}

    def _refuse(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _close(self, page: Page) -> None:
        self.opened += 1
        page.close()


def shut_in(notebook: Notebook) -> None:
    """Let nothing leave the Jupyter server, though it is still seen to be asked for."""
    host = re.escape(urlsplit(notebook.server.url).netloc)
    notebook.context.route(re.compile(rf"^https?://(?!{host}/)"), _refuse)


def wrap_scripts(notebook: Notebook) -> None:
    """Mark the page, from its next address on, when a script does what a payload's first does."""
    notebook.context.add_init_script(f"({WRAP})()")


def _refuse(route: Route) -> None:
    route.abort()
