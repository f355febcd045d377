"""Detect what hostile text does to a page: scripts, requests, commands, unknown elements."""

import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket
from typing import Any
from urllib.parse import urlsplit

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from playwright.sync_api import Dialog, Page, Route

from swiftask_jupyter import Sandbox
from swiftask_jupyter.notebook.markdown.html import TAGS
from swiftask_jupyter.sandbox.faults import Fault
from tests.support.jupyter import Notebook
from tests.support.panels import environment

PER_CELL = 12  # payloads in one prompt
# What an output may contain: tags, and attributes as @name.
CODE_TAGS = {"b", "i", "tt", "var", "dfn", "samp"}
OURS = TAGS | CODE_TAGS | {"div", "style", "mjx-container"}
OURS |= {f"@{name}" for name in ("class", "dir", "href", "jax", "rel", "start", "style", "target")}
COMMANDS = (["notebook:run-all-cells"], ["notebook:run-cell"])
SCHEMES = {"http:", "https:", "mailto:"}
# What MathJax adds inside its container, recorded by WATCH with this prefix.
IN_A_FORMULA = re.compile(r"in a formula: (mjx-[a-z-]+|m[a-z]+|@(?!on|href|src|id|data|xlink).+)")

# Runs in the page and each of its frames: record a call of the functions that payloads call.
WRAP_FUNCTIONS = """() => {
  const mark = (name) => {
    try { (top.testMarks ??= []).push(name); } catch { console.error(`testMark ${name}`); }
  };
  for (const name of ['alert', 'confirm', 'prompt', 'print', 'open'])
    window[name] = () => { mark(name); return null; };
  const own = window.eval;
  window.eval = (code) => {
    if (!new Error().stack.includes('UtilityScript')) mark('eval');  // else Playwright called it
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

# Record what happens to the page, and every kind of element that an output has ever contained.
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
    // MathJax positions its elements.
    const ownStyle = !within && element.localName !== 'mjx-container';
    const bad = ownStyle ? /url|image|position/i : /url|image/i;
    if (bad.test(element.getAttribute('style')))
      window.testKinds.add('a style that fetches or covers');
    if (element.hasAttribute('href')) {
      const url = URL.parse(element.getAttribute('href'));
      window.testSchemes.add(url ? url.protocol : 'relative');
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


class Listener(ThreadingHTTPServer):
    """A server to which no payload may send anything, on another port than Jupyter's.

    Attributes:
        host: its host and port.
        connections: the number of connections, whatever was sent on them.
        paths: the path of each request.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _NotFound)
        self.host = f"127.0.0.1:{self.server_port}"
        self.connections = 0
        self.paths: list[str] = []

    def get_request(self) -> tuple[socket, Any]:
        """Count a connection and accept it."""
        self.connections += 1
        return super().get_request()


class _NotFound(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def arm(payload: str, mark: int, listener: Listener) -> str:
    """Return the payload with a mark in place of `alert(1)` and our server as evil.example."""
    payload = payload.replace("alert(1)", f"top.pwn({mark})")
    payload = re.sub(r"https?://evil\.example", f"http://{listener.host}", payload)
    return payload.replace("//evil.example", f"//{listener.host}")


def split(items: list, size: int) -> list[list]:
    """Return the items in lists of at most `size`."""
    return [items[i : i + size] for i in range(0, len(items), size)]


def slow_echo_environment(box: Sandbox) -> dict[str, str]:
    """Return a kernel's environment; let the agent "echo" answer slowly in small pieces."""
    box.fail(Fault(pause=0.003), agent="echo", times=None)
    return environment(box)


def question(text: str) -> NotebookNode:
    """Return a cell that asks the agent "echo" the text, with its source hidden."""
    hidden = {"jupyter": {"source_hidden": True}}
    return new_code_cell(f"%%swiftask echo --raw\n{text}", metadata=hidden)


class PageGuard:
    """Record what happens to a page from now on.

    Args:
        notebook: the notebook on the page.
        cell: record the outputs of this cell only.

    Attributes:
        opened: the number of pages that were opened, and closed at once.
        requests: the URL of each request.
        dialogs: the text of each dialog.
    """

    def __init__(self, notebook: Notebook, cell: int | None = None) -> None:
        self.notebook, self.page = notebook, notebook.page
        self.url, self.title = self.page.url, self.page.title()
        self.dialogs: list[str] = []
        self.opened = 0
        self.requests: list[str] = []
        self.page.on("dialog", self._dismiss)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.evaluate(WATCH, cell)

    def recorded(self, name: str) -> list:
        """Return what the page has recorded: its Marks, Commands, Kinds, Schemes or Texts."""
        return self.page.evaluate(f"() => [...window.test{name}]")

    def click_everything(self) -> int:
        """Click each element of each output; return the number of clickable ones.

        Pages that open get no response and are closed.
        """
        self.block_other_hosts()
        outputs = self.page.locator(".jp-OutputArea-output")
        links = outputs.locator(CLICKABLE).element_handles()
        for link in links:  # one by one: a browser allows one new page per call
            link.evaluate("(link) => link.click()")
        outputs.locator("*").evaluate_all(CLICK_ALL)
        return len(links)

    def block_other_hosts(self) -> None:
        """Abort requests to other hosts and close pages that open, so that links can be clicked."""
        block_other_hosts(self.notebook)
        self.page.context.on("page", self._close)

    def what_happened(self) -> dict[str, object]:
        """Return what must not happen and did, by kind; {} if nothing did."""
        commands = self.recorded("Commands")  # the tests themselves run the cells
        kinds = [kind for kind in self.recorded("Kinds") if kind not in OURS]
        hosts = {"", urlsplit(self.notebook.server.url).netloc}
        seen = {
            "scripts": self.recorded("Marks"),
            "dialogs": self.dialogs,
            "commands": commands if commands not in COMMANDS else [],
            "in outputs": [kind for kind in kinds if not IN_A_FORMULA.fullmatch(kind)],
            "links to": sorted(set(self.recorded("Schemes")) - SCHEMES),
            "foreign requests": [url for url in self.requests if urlsplit(url).netloc not in hosts],
            "requests": [url for url in self.requests if "hostile" in urlsplit(url).query],
            "page": "" if self.page.url == self.url else self.page.url,
            "title": "" if self.page.title() == self.title else self.page.title(),
            "errors": self.notebook.page_errors,
        }
        return {what: value for what, value in seen.items() if value}

    def _dismiss(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _close(self, page: Page) -> None:
        self.opened += 1
        page.close()


def block_other_hosts(notebook: Notebook) -> None:
    """Abort every request to another host than the Jupyter server; requests are still recorded."""
    host = re.escape(urlsplit(notebook.server.url).netloc)
    notebook.context.route(re.compile(rf"^https?://(?!{host}/)"), _abort)


def wrap_scripts(notebook: Notebook) -> None:
    """On pages loaded from now on, record each call of `alert`, `eval`, `open` and the like."""
    notebook.context.add_init_script(f"({WRAP_FUNCTIONS})()")


def _abort(route: Route) -> None:
    route.abort()
