"""Measure the browser for `panel_stream.py`, which prints the results as its second table.

Runs that take minutes are not repeated for the peers. At 200 tokens/s the runs of 50 KB take place
at the same time, each with its own page and kernel, because they leave the machine mostly idle. Of
200 KB the first 150 KB come in a burst and the rest is measured, where the answer is longest; the
number of tasks is that of all 200 KB.
"""

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psutil
from _measure import interleaved, median, table
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.support.find_chromium import find_chromium
from tests.support.jupyter import JupyterServer, Notebook

TIMEOUT = 900_000  # ms; an `HTML` widget takes minutes
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
FEED = """
import threading, time
def feed(text, rate, take, head=0):
    if head:
        take(text[:head])
        time.sleep(4)
    text = text[head:]
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
from swiftask_jupyter.notebook.panel.reply_publisher import ReplyPublisher
from swiftask_jupyter.notebook.panel.exchange_view import ExchangeView
from swiftask_jupyter.answers.turn import Delta
from swiftask_jupyter.answers.turn import Reply
client = Swiftask(base_url="http://127.0.0.1:9", token="none", agent="none")
panel = ChatPanel(client, transcript=False)
class Played:
    def __init__(self, reply, text, rate, head):
        self.reply, self.text, self.rate, self.head = reply, text, rate, head
    def batches(self, tick):
        pieces, done = [], threading.Event()
        def work():
            feed(self.text, self.rate, lambda piece: self.reply.apply([Delta(piece)]),
                self.head)
            done.set()
        threading.Thread(target=work).start()
        while not done.wait(.02):
            yield None
        self.reply.status = "ok"
        publisher.turn_ended.set()
    def close(self): pass
def begin(text, rate, head):
    global publisher
    import contextvars
    reply = Reply(agent="agent", id=str(time.time()), number=1)
    exchange, stream = ExchangeView("q", reply), Played(reply, text, rate, head)
    panel.chat._add(exchange)
    publisher = ReplyPublisher(exchange, panel._channel, stream, lambda _: None)
    publisher.start(contextvars.copy_context())
""",
    "HTML widget": """
import ipywidgets
from swiftask_jupyter.notebook.markdown.document import to_html
panel = ipywidgets.HTML()
def begin(text, rate, head):
    def work():
        so_far, last = [], 0
        def take(piece):
            nonlocal last
            so_far.append(piece)
            if time.perf_counter() - last > .1:
                panel.value = to_html("".join(so_far))
                last = time.perf_counter()
        feed(text, rate, take, head)
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
    from swiftask_jupyter.answers.turn import Turn
    answer = "A question, answered with *some* words and `code`.\\n\\n- one\\n- two\\n"
    for n in range({0}):
        panel.chat.exchanges.append(ExchangeView.from_history(Turn(
            id=f"{{n:032}}", number=n + 1, slot=str(n), surface="panel", agent="agent",
            dialect="openai", status="ok", prompt=f"question {{n}}", answer=answer)))
    panel.chat.refresh = lambda: None
"""
HAS_EXCHANGES = "() => document.querySelectorAll('.st-exchange').length === {}"
SCROLL_TO_END = """() => {
  const log = document.querySelector('.st-log');
  if (log) log.scrollTop = log.scrollHeight;
}"""
RECORD_LONG_TASKS = """() => {
  window.longTasks = [];
  new PerformanceObserver((list) => list.getEntries().forEach(({duration}) =>
    window.longTasks.push(duration))).observe({type: 'longtask'});
}"""
PEER_ENDED = """() => { const walk = (root) => [...root.querySelectorAll('*')].some((each) =>
  each.shadowRoot && (each.shadowRoot.textContent.includes(' END') || walk(each.shadowRoot)));
  return walk(document); }"""
ENDED = {
    "panel": """() => {
      const last = document.querySelector('.st-exchange:last-child');
      return last?.data.prompt === 'q' && last.querySelector('.st-footer-text');
    }""",  # the messages before it have footers too
    "HTML widget": """() => [...document.querySelectorAll('.widget-html i')]
      .at(-1)?.textContent === 'END'""",
}


class Meter:
    """Measure a page: bytes of its WebSockets, CPU of its main thread, long tasks."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.bytes = 0
        self._cdp: CDPSession = page.context.new_cdp_session(page)
        self._cdp.send("Performance.setTimeDomain", {"timeDomain": "threadTicks"})
        for domain in ("Network", "Performance"):
            self._cdp.send(f"{domain}.enable")
        self._cdp.on("Network.webSocketFrameReceived", self._count)
        page.evaluate(RECORD_LONG_TASKS)

    def _count(self, event: dict) -> None:
        frame = event["response"]
        length = len(frame["payloadData"])
        self.bytes += length if frame["opcode"] == 1 else length * 3 // 4  # base64

    def seconds(self) -> float:
        """Return the CPU seconds of the page's main thread."""
        metrics = self._cdp.send("Performance.getMetrics")["metrics"]
        return next(each["value"] for each in metrics if each["name"] == "TaskDuration")


@dataclass
class Run:
    """An answer that can be streamed into a page.

    Attributes:
        page: the page.
        begin_by: the script that starts the stream.
        ended: the script that tells whether it has ended.
        size: the length of the answer.
        process: the process that sends the answer.
        head: the length of the part that comes at once and is not measured.
    """

    page: Page
    begin_by: str
    ended: str
    size: int
    process: psutil.Process
    head: int = 0

    def begin(self) -> None:
        """Measure the process while nothing streams, then start the stream."""
        self._meter = Meter(self.page)
        self.page.wait_for_timeout(500)
        since, idle = time.perf_counter(), self._cpu()
        self.page.wait_for_timeout(1000)
        self._idle = (self._cpu() - idle) / (time.perf_counter() - since)
        self.page.evaluate("() => { window.longTasks.length = 0; }")
        if self.head:
            self._stream()
            self.page.wait_for_timeout(3000)
        self._since, self._kernel = time.perf_counter(), self._cpu()
        self._seconds, self._bytes = self._meter.seconds(), self._meter.bytes
        if not self.head:
            self._stream()

    def _stream(self) -> None:
        self.page.evaluate(self.begin_by)

    def end(self) -> dict[str, float]:
        """Wait until the stream has ended, and return the measurements."""
        self.page.wait_for_function(self.ended, timeout=TIMEOUT)
        self.page.wait_for_timeout(500)
        idle = self._idle * (time.perf_counter() - self._since)
        size = self.size - self.head
        return {
            "bytes": (self._meter.bytes - self._bytes) / size,
            "kernel": (self._cpu() - self._kernel - idle) * 1e6 / size,
            "cpu": (self._meter.seconds() - self._seconds) * 1e6 / size,
            "tasks": self.page.evaluate("() => window.longTasks.length"),
            "worst": self.page.evaluate("() => Math.max(0, ...window.longTasks)"),
        }

    def _cpu(self) -> float:
        taken = self.process.cpu_times()
        return taken.user + taken.system


@contextmanager
def in_lab(  # noqa: PLR0917 - in the order of the table
    browser: Browser,
    server: JupyterServer,
    kind: str,
    text: str,
    rate: int,
    before: int = 0,
    head: int = 0,
) -> Iterator[Run]:
    """Open a widget in JupyterLab, below `before` earlier messages."""
    with closing(Notebook(browser, server)) as notebook:
        (notebook.folder / "text").write_text(text)
        notebook.open("a.ipynb", [f"{FEED}{LAB[kind]}{EARLIER.format(before)}panel"])
        notebook.run_cell(0)
        notebook.wait_idle()
        more = notebook.page.get_by_role("button", name="Show earlier messages")
        for shown in range(30, before, 30):
            notebook.page.wait_for_function(HAS_EXCHANGES.format(min(shown, before)))
            more.click()
        notebook.page.wait_for_function(HAS_EXCHANGES.format(before))
        notebook.page.evaluate(SCROLL_TO_END)
        begin = f"begin(open('text').read(), {rate}, {head})"
        run = f"""() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel
          .requestExecute({{ code: {begin!r} }}).done"""
        kernel = psutil.Process(notebook.kernel_pid())
        yield Run(notebook.page, run, ENDED[kind], len(text), kernel, head)


@contextmanager
def served(text: str) -> Iterator[tuple[str, psutil.Process]]:
    """Run Panel's server with its ChatInterface; yield its URL and its process."""
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
            yield url, psutil.Process(run.pid)
            run.terminate()


@contextmanager
def in_panel(browser: Browser, text: str, rate: int) -> Iterator[Run]:
    """Open Panel's ChatInterface."""
    with served(text) as (url, process), closing(browser.new_context()) as context:
        page = context.new_page()
        page.goto(url)
        box = page.locator("textarea").first
        box.fill(str(rate))
        page.locator("textarea").first.evaluate("(box) => { window.box = box; }")
        enter = """() => window.box.dispatchEvent(new KeyboardEvent('keydown',
          { key: 'Enter', code: 'Enter', keyCode: 13, bubbles: true, composed: true }))"""
        yield Run(page, enter, PEER_ENDED, len(text), process)


@contextmanager
def started() -> Iterator[tuple[Browser, JupyterServer]]:
    """Start a browser and a Jupyter server."""
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS) as browser,
        closing(JupyterServer()) as server,
    ):
        server.start()
        yield browser, server


Case = partial[AbstractContextManager[Run]]
Figures = dict[str, float]


def alone(case: Case) -> Figures:
    """Do one run and return its measurements."""
    return at_once(case, 1)[0]


def at_once(case: Case, rounds: int) -> list[Figures]:
    """Do several runs at the same time and return their measurements."""
    with ExitStack() as stack:
        runs = [stack.enter_context(case()) for _ in range(rounds)]
        for run in runs:
            run.begin()
        return [run.end() for run in runs]


def _alone(cases: dict[str, Case]) -> dict[str, Callable[[], Figures]]:
    return {kind: partial(alone, case) for kind, case in cases.items()}


class Bench:
    """Runs the cases and collects the rows of the table.

    Args:
        rounds: the number of runs of our panel.
    """

    def __init__(self, browser: Browser, server: JupyterServer, rounds: int) -> None:
        self._browser, self._server, self._rounds = browser, server, rounds
        self.rows: list[list[str]] = []

    def bursts(self, name: str, text: str, *, peers: bool) -> None:
        """Measure a burst: all kinds in turn, without a pause between two pieces."""
        self._add(f"{name}, burst", 0, self._in_turn(text, 0, self._rounds, peers=peers))

    def fast(self, name: str, text: str, rate: int) -> None:
        """Measure a high rate: our panel in consecutive runs, each peer once."""
        taken = self._in_turn(text, rate, 1, peers=True)
        more = self._in_turn(text, rate, self._rounds - 1, peers=False)
        self._add(
            f"{name}, {rate} t/s", rate, {"panel": taken.pop("panel") + more["panel"], **taken}
        )

    def slow(self, name: str, text: str, rate: int) -> None:
        """Measure a low rate: all runs of our panel at the same time, each peer once."""
        cases = self._cases(text, rate)
        taken = {"panel": at_once(cases.pop("panel"), self._rounds)}
        self._add(f"{name}, {rate} t/s", rate, taken | interleaved(_alone(cases), 1))

    def last(self, name: str, text: str, rate: int, head: int) -> None:
        """Measure our panel on the part of an answer after `head` characters."""
        case = partial(self._cases(text, rate)["panel"], head=head)
        self._add(f"{name}, {rate} t/s", rate, interleaved(_alone({"panel": case}), self._rounds))

    def _cases(self, text: str, rate: int) -> dict[str, Case]:
        ours = {
            kind: partial(in_lab, self._browser, self._server, kind, text, rate) for kind in LAB
        }
        theirs = {"Panel's chat": partial(in_panel, self._browser, text, rate)}
        return ours | (theirs if find_spec("panel") else {})

    def _in_turn(
        self, text: str, rate: int, rounds: int, *, peers: bool
    ) -> dict[str, list[Figures]]:
        cases = self._cases(text, rate)
        wanted = cases if peers else {"panel": cases["panel"]}
        return interleaved(_alone(wanted), rounds)

    def _add(self, name: str, rate: int, taken: dict[str, list[Figures]]) -> None:
        for kind, runs in taken.items():
            self.rows.append([f"{name}, {kind}", *figures(runs, burst=not rate)])
            print("  ".join(self.rows[-1]), file=sys.stderr, flush=True)  # shows progress


def in_the_browser(rounds: int, mixed: str, others: dict[str, str]) -> None:
    """Measure the browser and print the tables."""
    head = [
        "",
        "runs",
        "bytes/byte",
        "kernel CPU ms/KB",
        "main CPU ms/KB",
        "tasks over 50 ms",
        "worst ms",
    ]
    with started() as (browser, server):
        bench = Bench(browser, server, rounds)
        for size in (50_000, 200_000):
            bench.bursts(f"{size // 1000} KB", mixed[:size], peers=True)
        for name, text in others.items():
            bench.bursts(name, text, peers=False)
        bench.fast("200 KB", mixed[:200_000], 2000)
        bench.slow("50 KB", mixed[:50_000], 200)
        bench.last("200 KB, its last 50 KB", mixed[:200_000], 200, head=150_000)
        table("In the browser", head, bench.rows)
        # A new question removes old exchanges from the page. That costs once, in the first 10 KB.
        case = partial(in_lab, browser, server, "panel", mixed[:20_000], 200, head=10_000)
        cases = {
            f"below {count} messages": partial(alone, partial(case, before=count))
            for count in (5, 500)
        }
        taken = interleaved(cases, rounds)
        table(
            "10 more KB at 200 tokens/s in a long conversation (target: at most 1.5 times the CPU)",
            head,
            [[name, *figures(runs)] for name, runs in taken.items()],
        )


def figures(runs: list[Figures], *, burst: bool = False) -> list[str]:
    """Return the number of runs and the medians.

    The kernel's CPU is left out of slow runs, because there it is mostly that of the player.
    """
    middle = {key: median([each[key] for each in runs]) for key in runs[0]}
    few = [
        f"{middle['bytes']:.1f}",
        f"{middle['kernel']:.1f}" if burst else "",
        f"{middle['cpu']:.1f}",
    ]
    return [str(len(runs)), *few, f"{middle['tasks']:.0f}", f"{middle['worst']:.0f}"]
