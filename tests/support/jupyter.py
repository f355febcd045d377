"""JupyterLab 4 and Notebook 7 as a user has them: a server of our own, a notebook in Chromium."""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

from nbformat import NotebookNode, read, v4, write
from playwright.sync_api import Browser, Error, Locator, expect

App = Literal["lab", "notebook"]
Theme = Literal["light", "dark"]

WAIT = 60.0  # seconds after which what has not happened does not happen
TICK, TRIES = 0.1, 1200  # a server may take longer: the first one on a machine compiles it all
NOT_INHERITED = ("JUPYTER", "JPY_", "IPYTHON", "XDG_", "SWIFTASK_")
COMMAND = (
    "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1",
    # A kernel's ports are chosen before it binds them, and another process may be quicker.
    "--KernelManager.transport=ipc",
)  # fmt: skip
# With it the page's scripts reach the application, as `window.jupyterapp`.
CONFIG = {app: {"expose_app_in_browser": True} for app in ("LabApp", "JupyterNotebookApp")}

PANEL = "window.jupyterapp?.shell?.currentWidget"
KERNEL = f"{PANEL}?.sessionContext?.session?.kernel"
READY = f"""([path, theme]) => {PANEL}?.context?.path === path && {PANEL}.context.isReady
  && {KERNEL}?.status === 'idle' && document.body.dataset.jpThemeName === theme"""
RUN = f"""([command, index]) => {{
  const {{ content }} = {PANEL}, runs = window.testRuns ??= new Set();
  if (index !== null) {{ content.deselectAll(); content.activeCellIndex = index; }}
  const run = window.jupyterapp.commands.execute(command);
  runs.add(run);
  run.catch(() => {{}}).finally(() => runs.delete(run));
}}"""
IDLE = f"() => !window.testRuns?.size && {KERNEL}?.status === 'idle'"
PID = f"""() => {KERNEL}.requestExecute({{
  code: '', silent: true, user_expressions: {{ pid: "__import__('os').getpid()" }}
}}).done.then((reply) => Number(reply.content.user_expressions.pid.data['text/plain']))"""


class JupyterServer:
    """One server for both front ends, in a temporary folder; kernels inherit `env`."""

    def __init__(self, env: Mapping[str, str] | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="jupyter-", ignore_cleanup_errors=True)
        self._home = Path(self._folder.name).resolve()
        self._env = dict(env or {})
        self.root = self._made("notebooks")
        self.token = secrets.token_hex(16)

    def start(self) -> None:
        """Start, and wait until the server listens."""
        (self._made("config") / "jupyter_server_config.json").write_text(json.dumps(CONFIG))
        self.set("notification", {"fetchNews": "false", "checkForUpdates": False})
        with (self._home / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, *COMMAND, f"--IdentityProvider.token={self.token}"],
                cwd=self.root,
                env=self._environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.url = self._started()

    def close(self) -> None:
        """End the server, its kernels, and the folder."""
        self._process.terminate()  # the server ends its kernels, which are not in its group
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._folder.cleanup()

    def api(self, method: str, path: str) -> Any:
        """Ask the server's REST API."""
        request = Request(f"{self.url}{path}?token={self.token}", method=method)
        with urlopen(request, timeout=WAIT) as got:
            return json.loads(got.read() or b"null")

    def log(self) -> str:
        """All that the server and its kernels have written."""
        return (self._home / "log").read_text(errors="replace")

    def set(self, plugin: str, values: Mapping[str, object]) -> None:
        """Write the user's settings of one of the plugins in JupyterLab's apputils."""
        folder = self._made("settings/@jupyterlab/apputils-extension")
        (folder / f"{plugin}.jupyterlab-settings").write_text(json.dumps(values))

    def kernel(self, env: Mapping[str, str], python: str = sys.executable) -> str:
        """Name a kernel that starts with `env` in its environment."""
        name = f"python3-{secrets.token_hex(4)}"
        argv = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec = {"argv": argv, "display_name": "Python 3", "language": "python", "env": dict(env)}
        (self._made(f"data/kernels/{name}") / "kernel.json").write_text(json.dumps(spec))
        return name

    def _environment(self) -> dict[str, str]:
        own = {"HOME": "home", "IPYTHONDIR": "ipython"}
        own |= {f"JUPYTER_{name.upper()}_DIR": name for name in ("config", "data", "runtime")}
        own |= {f"JUPYTERLAB_{name.upper()}_DIR": name for name in ("settings", "workspaces")}
        kept = {k: v for k, v in os.environ.items() if not k.startswith(NOT_INHERITED)}
        return kept | {name: str(self._made(folder)) for name, folder in own.items()} | self._env

    def _started(self) -> str:
        """Wait for the file in which the server says where it listens."""
        for _ in range(TRIES):
            with contextlib.suppress(subprocess.TimeoutExpired):
                raise RuntimeError(f"Jupyter ended, {self._process.wait(TICK)}:\n{self.log()}")
            for file in (self._home / "runtime").glob("jpserver-*.json"):
                with contextlib.suppress(ValueError):  # half written
                    return str(json.loads(file.read_text())["url"])
        raise RuntimeError(f"Jupyter did not start:\n{self.log()}")

    def _made(self, name: str) -> Path:
        (folder := self._home / name).mkdir(parents=True, exist_ok=True)
        return folder


class Notebook:
    """A page of its own for one notebook at a time, whose file lies in a folder of its own."""

    def __init__(self, browser: Browser, server: JupyterServer) -> None:
        self.server = server
        self.folder = self.path = Path(tempfile.mkdtemp(dir=server.root))
        self.console: list[str] = []
        self.page_errors: list[str] = []
        self.requests: list[str] = []
        self.context = browser.new_context(viewport={"width": 1280, "height": 900})
        self.context.on("request", lambda request: self.requests.append(request.url))
        self.page = self.context.new_page()
        self.page.on("websocket", lambda socket: self.requests.append(socket.url))
        self.page.on("console", lambda said: self.console.append(f"{said.type}: {said.text}"))
        self.page.on("pageerror", lambda error: self.page_errors.append(str(error)))

    def close(self) -> None:
        """Close the page and end its kernels."""
        self.context.close()
        for session in self.server.api("GET", "api/sessions"):
            self.server.api("DELETE", f"api/sessions/{session['id']}")

    def open(
        self,
        name: str,
        cells: Sequence[str | NotebookNode] | None = None,
        *,
        app: App = "lab",
        theme: Theme = "light",
        env: Mapping[str, str] | None = None,
        python: str = sys.executable,
    ) -> None:
        """Open a notebook of `cells` (a str is code), or, without, the file as it lies on disk."""
        self.path = self.folder / name
        if cells is not None:
            spec = {"name": self.server.kernel(env or {}, python), "display_name": "Python 3"}
            nodes = [v4.new_code_cell(cell) if isinstance(cell, str) else cell for cell in cells]
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write(v4.new_notebook(cells=nodes, metadata={"kernelspec": spec}), self.path)
        dress = f"JupyterLab {theme.title()}"
        self.server.set("themes", {"theme": dress, "adaptive-theme": False})
        self.page.emulate_media(color_scheme=theme)
        path = self.path.relative_to(self.server.root).as_posix()
        fresh = f"lab/workspaces/{secrets.token_hex(4)}/tree"  # without the last test's tabs
        url = f"{self.server.url}{fresh if app == 'lab' else 'notebooks'}/{quote(path)}"
        with self._told():
            self.page.goto(f"{url}?token={self.server.token}")
            self.page.wait_for_function(READY, arg=[path, dress], timeout=WAIT * 1000)
        self.page_errors.clear()  # Notebook 7 starts with some of its own

    def run_cell(self, i: int) -> None:
        """Run cell `i`; returns at once."""
        self.page.evaluate(RUN, ["notebook:run-cell", i])

    def run_all(self) -> None:
        """Run every cell; returns at once."""
        self.page.evaluate(RUN, ["notebook:run-all-cells", None])

    def interrupt(self, by: Literal["button", "menu"] = "button") -> None:
        """Press the toolbar's stop button, or choose Kernel > Interrupt Kernel."""
        if by == "button":
            self.page.locator('[data-jp-item-name="interrupt"]:visible').click()
        else:
            self.page.get_by_role("menuitem", name="Kernel", exact=True).click()
            self.page.locator('.lm-Menu-item[data-command="kernelmenu:interrupt"]').click()

    def wait_idle(self) -> None:
        """Wait until all that was run has ended and the kernel says it is idle."""
        with self._told():
            self.page.wait_for_function(IDLE, timeout=WAIT * 1000)

    def wait_text(self, i: int, text: str) -> None:
        """Wait until the output of cell `i` has `text` in it."""
        with self._told():
            expect(self.output(i)).to_contain_text(text, timeout=WAIT * 1000)

    def output(self, i: int) -> Locator:
        """The output area of cell `i`, to look into, wait for, or click."""
        return self._cell(i).locator(".jp-Cell-outputArea")

    def output_html(self, i: int) -> str:
        """The DOM of cell `i`'s output, as it is now."""
        return self.output(i).inner_html()

    def output_text(self, i: int) -> str:
        """What a reader sees of cell `i`'s output, as it is now."""
        return "\n".join(self.output(i).locator(".jp-OutputArea-output").all_inner_texts())

    def prompt(self, i: int) -> str:
        """The prompt of cell `i`: `[ ]:`, `[*]:` or `[3]:`."""
        return self._cell(i).locator(".jp-InputPrompt").inner_text().strip()

    def save(self) -> None:
        """Save as the user's Ctrl-S does, and wait for it."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")

    def saved(self) -> NotebookNode:
        """The notebook as it lies on disk."""
        return read(self.path, as_version=4)

    def screenshot(self, path: Path) -> None:
        """Write what the page shows to a .png file."""
        self.page.screenshot(path=path)

    def kernel_pid(self) -> int:
        """The kernel's process id; the kernel answers, so it must not be busy."""
        return int(self.page.evaluate(PID))

    def foreign_requests(self) -> list[str]:
        """Every request of this page that did not go to the Jupyter server."""
        server = urlsplit(self.server.url).netloc  # data: and blob: have no host
        return [url for url in self.requests if urlsplit(url).netloc not in ("", server)]

    def _cell(self, i: int) -> Locator:
        return self.page.locator(".jp-NotebookPanel:visible .jp-Cell").nth(i)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Add what the page shows and says to what goes wrong."""
        try:
            yield
        except (AssertionError, Error) as error:
            cells = self.page.locator(".jp-Cell:visible").all_inner_texts()
            error.add_note("\n".join([*cells, *self.page_errors, *self.console]))
            raise
