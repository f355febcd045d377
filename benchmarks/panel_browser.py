"""The browser's half of `panel_stream.py`."""

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from _measure import interleaved, median, table
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from browser.find_chromium import find_chromium
from browser.jupyter import JupyterServer, Notebook

SIZES, RATES = (50_000, 200_000), (0, 2000)
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
FEED = """
import threading, time
def feed(text, rate, take):
    start, at = time.perf_counter(), 0
    while at < len(text):
        until = len(text) if rate == 0 else int((time.perf_counter() - start) * rate * 4)
        if until > at:
            take(text[at:until])
            at = until
        time.sleep(.005)
"""
LAB = {
    "panel": """
from swiftask_jupyter import ChatPanel, Sandbox, Swiftask
from swiftask_jupyter.notebook.panel.following import Following
from swiftask_jupyter.notebook.panel.shown import Shown
from swiftask_jupyter.replies import Delta, Reply
client = Swiftask(base_url="http://127.0.0.1:9", token="none", agent="none")
panel = ChatPanel(client, transcript=False)
class Played:
    def __init__(self, reply, text, rate):
        self.reply, self.text, self.rate = reply, text, rate
    def batches(self, tick):
        pieces, done = [], threading.Event()
        def work():
            feed(self.text, self.rate, lambda piece: self.reply.apply([Delta(piece)]))
            done.set()
        threading.Thread(target=work).start()
        while not done.wait(.02):
            yield None
        self.reply.status = "ok"
        following.over.set()
    def close(self): pass
def begin(text, rate):
    global following
    import contextvars
    reply = Reply("agent", turn=str(time.time()), number=1)
    shown = Shown("q", reply)
    panel.chat._put(shown)
    following = Following(shown, panel._channel, Played(reply, text, rate), lambda _: None)
    following.start(contextvars.copy_context())
""",
    "HTML widget": """
import ipywidgets
from swiftask_jupyter.notebook.markdown.document import to_html
panel = ipywidgets.HTML()
def begin(text, rate):
    def work():
        so_far, last = [], 0
        def take(piece):
            nonlocal last
            so_far.append(piece)
            if time.perf_counter() - last > .1:
                panel.value = to_html("".join(so_far))
                last = time.perf_counter()
        feed(text, rate, take)
        panel.value = to_html("".join(so_far)) + "<i>END</i>"
    threading.Thread(target=work).start()
""",
}
SERVED = """
import sys, panel as pn
{feed}
text = open(sys.argv[1]).read()
async def answer(contents, user, instance):
    import asyncio
    rate, so_far = int(contents), ""
    start, at = time.perf_counter(), 0
    while at < len(text):
        until = len(text) if rate == 0 else int((time.perf_counter() - start) * rate * 4)
        if until > at:
            so_far, at = text[:until], until
            yield so_far
        await asyncio.sleep(.1)
    yield text + " END"
app = pn.chat.ChatInterface(callback=answer, show_activity_dot=False)
pn.serve(app, port=int(sys.argv[2]), show=False, admin=False)
"""
EARLIER = """
if {0}:
    from swiftask_jupyter.conversation import Exchange
    said = "A question, answered with *some* words and `code`.\\n\\n- one\\n- two\\n"
    for n in range({0}):
        panel.chat.shown.append(Shown.before(Exchange(
            f"{{n:032}}", 0.0, n + 1, str(n), None, None, "panel", "agent", "openai",
            prompt=f"question {{n}}", answer=said)))
    panel.chat.refresh = lambda: None
"""
HOLDS = "() => document.querySelectorAll('.st-exchange').length === {}"
TO_THE_END = """() => {
  const log = document.querySelector('.st-log');
  if (log) log.scrollTop = log.scrollHeight;
}"""
OBSERVE = """() => {
  window.longTasks = [];
  new PerformanceObserver((list) => list.getEntries().forEach(({duration}) =>
    window.longTasks.push(duration))).observe({type: 'longtask'});
}"""
SAID = """() => { const walk = (root) => [...root.querySelectorAll('*')].some((each) =>
  each.shadowRoot && (each.shadowRoot.textContent.includes(' END') || walk(each.shadowRoot)));
  return walk(document); }"""
ENDED = {
    "panel": "() => document.querySelector('.st-exchange:last-child .st-note')",
    "HTML widget": """() => [...document.querySelectorAll('.widget-html i')]
      .at(-1)?.textContent === 'END'""",
}


class Meter:
    """What a page takes: bytes of its WebSockets, CPU of its main thread, long tasks."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._bytes = 0
        self._cdp: CDPSession = page.context.new_cdp_session(page)
        for domain in ("Network", "Performance"):
            self._cdp.send(f"{domain}.enable")
        self._cdp.on("Network.webSocketFrameReceived", self._count)
        page.evaluate(OBSERVE)

    def _count(self, event: dict) -> None:
        frame = event["response"]
        length = len(frame["payloadData"])
        self._bytes += length if frame["opcode"] == 1 else length * 3 // 4  # base64

    def run(self, begin: str, ended: str, size: int) -> dict[str, float]:
        """Begin, wait for the end, and return the figures."""
        self._page.wait_for_timeout(500)
        self._page.evaluate("() => { window.longTasks.length = 0; }")
        before, received = self._seconds(), self._bytes
        self._page.evaluate(begin)
        self._page.wait_for_function(ended, timeout=120_000)
        self._page.wait_for_timeout(500)
        return {
            "bytes": (self._bytes - received) / size,
            "cpu": (self._seconds() - before) * 1e6 / size,
            "tasks": self._page.evaluate("() => window.longTasks.length"),
            "worst": self._page.evaluate("() => Math.max(0, ...window.longTasks)"),
        }

    def _seconds(self) -> float:
        metrics = self._cdp.send("Performance.getMetrics")["metrics"]
        return next(each["value"] for each in metrics if each["name"] == "TaskDuration")


def in_lab(  # noqa: PLR0917 - what is measured, in the order of the table
    browser: Browser, server: JupyterServer, kind: str, text: str, rate: int, before: int = 0
) -> dict:
    """Stream into a widget of JupyterLab, below so many earlier messages."""
    with closing(Notebook(browser, server)) as notebook:
        (notebook.folder / "text").write_text(text)
        notebook.open("a.ipynb", [f"{FEED}{LAB[kind]}{EARLIER.format(before)}panel"])
        notebook.run_cell(0)
        notebook.wait_idle()
        more = notebook.page.get_by_role("button", name="Show earlier messages")
        for shown in range(50, before, 50):
            notebook.page.wait_for_function(HOLDS.format(min(shown, before)))
            more.click()
        notebook.page.wait_for_function(HOLDS.format(before))
        notebook.page.evaluate(TO_THE_END)
        begin = f"begin(open('text').read(), {rate})"
        run = f"""() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel
          .requestExecute({{ code: {begin!r} }}).done"""
        return Meter(notebook.page).run(run, ENDED[kind], len(text))


@contextmanager
def served(text: str) -> Iterator[str]:
    """Panel's own server with its ChatInterface; yields its address."""
    with tempfile.TemporaryDirectory() as folder, closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        (Path(folder) / "text").write_text(text)
        code = SERVED.format(feed=FEED)
        command = [sys.executable, "-c", code, str(Path(folder) / "text"), str(port)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
            url = f"http://127.0.0.1:{port}/"
            for _ in range(600):
                with suppress(URLError, ConnectionError), urlopen(url):
                    break
                time.sleep(0.1)
            yield url
            run.terminate()


def in_panel(browser: Browser, text: str, rate: int) -> dict:
    """Stream into Panel's ChatInterface."""
    with served(text) as url, closing(browser.new_context()) as context:
        page = context.new_page()
        page.goto(url)
        box = page.locator("textarea").first
        box.fill(str(rate))
        meter = Meter(page)
        page.locator("textarea").first.evaluate("(box) => { window.box = box; }")
        enter = """() => window.box.dispatchEvent(new KeyboardEvent('keydown',
          { key: 'Enter', code: 'Enter', keyCode: 13, bubbles: true, composed: true }))"""
        return meter.run(enter, SAID, len(text))


@contextmanager
def started() -> Iterator[tuple[Browser, JupyterServer]]:
    """A browser and a Jupyter server."""
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS) as browser,
        closing(JupyterServer()) as server,
    ):
        server.start()
        yield browser, server


def in_the_browser(rounds: int, mixed: str) -> None:
    """Measure and print."""
    kinds = [*LAB, *(["Panel's chat"] if find_spec("panel") else [])]
    rows = []
    with started() as (browser, server):
        for size, rate in product(SIZES, RATES):
            text = mixed[:size]
            runs = interleaved(
                {
                    kind: partial(in_lab, browser, server, kind, text, rate)
                    if kind in LAB else partial(in_panel, browser, text, rate)
                    for kind in kinds
                },
                rounds,
            )  # fmt: skip
            pace = f"{rate} t/s" if rate else "burst"
            rows += [
                [f"{size // 1000} KB, {pace}, {kind}", *figures(taken)]
                for kind, taken in runs.items()
            ]
        head = ["", "bytes/byte", "main CPU ms/KB", "tasks over 50 ms", "worst ms"]
        table("What the browser has of it", head, rows)
        cases = {
            f"below {count} messages": partial(
                in_lab, browser, server, "panel", mixed[:10_000], 200, count
            )
            for count in (5, 500)
        }
        taken = interleaved(cases, rounds)
        table(
            "10 KB at 200 tokens/s in a long conversation (target: at most 1.5 times the CPU)",
            head,
            [[name, *figures(runs)] for name, runs in taken.items()],
        )


def figures(runs: list[dict]) -> list[str]:
    """The medians of several runs."""
    middle = {key: median([each[key] for each in runs]) for key in runs[0]}
    few = [f"{middle['bytes']:.1f}", f"{middle['cpu']:.1f}"]
    return [*few, f"{middle['tasks']:.0f}", f"{middle['worst']:.0f}"]
