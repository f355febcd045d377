"""JupyterLab 4 and Notebook 7 as a user has them: a Jupyter server, and notebooks in Chromium."""

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

WAIT = 60.0  # seconds to wait for anything on a page
# For the server: the first start on a machine takes long, because Python compiles every module.
POLL_SECONDS, MAX_POLLS = 0.1, 1200
NOT_INHERITED = ("JUPYTER", "JPY_", "IPYTHON", "XDG_", "SWIFTASK_")
COMMAND = (
    "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1",
    # With TCP, a kernel's ports are chosen before it binds them, and another process may take them.
    "--KernelManager.transport=ipc",
)  # fmt: skip
# Lets scripts in the page use the application, as `window.jupyterapp`.
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
    """One server for both front ends, in a temporary folder.

    Args:
        env: environment variables for the server and its kernels.

    Attributes:
        root: the folder with the notebooks.
        token: the token of the server.
        url: the URL of the server, after `start`.
    """

    def __init__(self, env: Mapping[str, str] | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="jupyter-", ignore_cleanup_errors=True)
        self._home = Path(self._folder.name).resolve()
        self._env = dict(env or {})
        self.root = self._folder_for("notebooks")
        self.token = secrets.token_hex(16)

    def start(self) -> None:
        """Start the server and wait until it listens."""
        (self._folder_for("config") / "jupyter_server_config.json").write_text(json.dumps(CONFIG))
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
        self.url = self._wait_for_url()

    def close(self) -> None:
        """End the server and its kernels, and remove the folder."""
        self._process.terminate()  # the server ends its kernels, which are in other process groups
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._folder.cleanup()

    def api(self, method: str, path: str) -> Any:
        """Send a request to the server's REST API and return the JSON of the response."""
        request = Request(f"{self.url}{path}?token={self.token}", method=method)
        with urlopen(request, timeout=WAIT) as got:
            return json.loads(got.read() or b"null")

    def log(self) -> str:
        """Return all output of the server and its kernels."""
        return (self._home / "log").read_text(errors="replace")

    def set(self, plugin: str, values: Mapping[str, object]) -> None:
        """Write user settings for one of JupyterLab's apputils plugins."""
        folder = self._folder_for("settings/@jupyterlab/apputils-extension")
        (folder / f"{plugin}.jupyterlab-settings").write_text(json.dumps(values))

    def kernel(self, env: Mapping[str, str], python: str = sys.executable) -> str:
        """Register a kernel that starts with `env` in its environment, and return its name."""
        name = f"python3-{secrets.token_hex(4)}"
        argv = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec = {"argv": argv, "display_name": "Python 3", "language": "python", "env": dict(env)}
        (self._folder_for(f"data/kernels/{name}") / "kernel.json").write_text(json.dumps(spec))
        return name

    def _environment(self) -> dict[str, str]:
        own = {"HOME": "home", "IPYTHONDIR": "ipython"}
        own |= {f"JUPYTER_{name.upper()}_DIR": name for name in ("config", "data", "runtime")}
        own |= {f"JUPYTERLAB_{name.upper()}_DIR": name for name in ("settings", "workspaces")}
        kept = {k: v for k, v in os.environ.items() if not k.startswith(NOT_INHERITED)}
        return (
            kept | {name: str(self._folder_for(folder)) for name, folder in own.items()} | self._env
        )

    def _wait_for_url(self) -> str:
        """Wait for the file in which the server publishes its URL."""
        for _ in range(MAX_POLLS):
            with contextlib.suppress(subprocess.TimeoutExpired):
                raise RuntimeError(
                    f"Jupyter ended, {self._process.wait(POLL_SECONDS)}:\n{self.log()}"
                )
            for file in (self._home / "runtime").glob("jpserver-*.json"):
                with contextlib.suppress(ValueError):  # the file is incomplete
                    return str(json.loads(file.read_text())["url"])
        raise RuntimeError(f"Jupyter did not start:\n{self.log()}")

    def _folder_for(self, name: str) -> Path:
        (folder := self._home / name).mkdir(parents=True, exist_ok=True)
        return folder


class Notebook:
    """A page that shows one notebook at a time, with a new folder for its files.

    Attributes:
        folder: the folder.
        path: the path of the notebook.
        page: the page.
        requests: the URL of each request of the page.
        console: the messages of the page's console.
        page_errors: the uncaught errors of the page's scripts.
    """

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
        self.page.on(
            "console", lambda message: self.console.append(f"{message.type}: {message.text}")
        )
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
        """Open a notebook on the page and wait until its kernel is idle.

        Args:
            name: the file name.
            cells: the cells to write to the file first, a string for a code cell; `None` opens the
                file as it is.
            app: the front end.
            theme: JupyterLab's theme.
            env: environment variables for the kernel.
            python: the kernel's Python.
        """
        self.path = self.folder / name
        if cells is not None:
            spec = {"name": self.server.kernel(env or {}, python), "display_name": "Python 3"}
            nodes = [v4.new_code_cell(cell) if isinstance(cell, str) else cell for cell in cells]
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write(v4.new_notebook(cells=nodes, metadata={"kernelspec": spec}), self.path)
        theme_name = f"JupyterLab {theme.title()}"
        self.server.set("themes", {"theme": theme_name, "adaptive-theme": False})
        self.page.emulate_media(color_scheme=theme)
        path = self.path.relative_to(self.server.root).as_posix()
        fresh = f"lab/workspaces/{secrets.token_hex(4)}/tree"  # has no tabs of earlier tests
        url = f"{self.server.url}{fresh if app == 'lab' else 'notebooks'}/{quote(path)}"
        with self._page_in_errors():
            self.page.goto(f"{url}?token={self.server.token}")
            self.page.wait_for_function(READY, arg=[path, theme_name], timeout=WAIT * 1000)
        self.page_errors.clear()  # Notebook 7 itself has some errors at its start

    def run_cell(self, i: int) -> None:
        """Start cell `i` and return at once."""
        self.page.evaluate(RUN, ["notebook:run-cell", i])

    def run_all(self) -> None:
        """Start every cell and return at once."""
        self.page.evaluate(RUN, ["notebook:run-all-cells", None])

    def interrupt(self, by: Literal["button", "menu"] = "button") -> None:
        """Interrupt the kernel by the toolbar's stop button or the Kernel menu."""
        if by == "button":
            self.page.locator('[data-jp-item-name="interrupt"]:visible').click()
        else:
            self.page.get_by_role("menuitem", name="Kernel", exact=True).click()
            self.page.locator('.lm-Menu-item[data-command="kernelmenu:interrupt"]').click()

    def wait_idle(self) -> None:
        """Wait until every started cell has ended and the kernel is idle."""
        with self._page_in_errors():
            self.page.wait_for_function(IDLE, timeout=WAIT * 1000)

    def wait_text(self, i: int, text: str) -> None:
        """Wait until the output of cell `i` contains `text`."""
        with self._page_in_errors():
            expect(self.output(i)).to_contain_text(text, timeout=WAIT * 1000)

    def output(self, i: int) -> Locator:
        """Return the output area of cell `i`."""
        return self._cell(i).locator(".jp-Cell-outputArea")

    def output_html(self, i: int) -> str:
        """Return the present HTML of cell `i`'s output."""
        return self.output(i).inner_html()

    def output_text(self, i: int) -> str:
        """Return the present text of cell `i`'s output, as it is rendered."""
        return "\n".join(self.output(i).locator(".jp-OutputArea-output").all_inner_texts())

    def prompt(self, i: int) -> str:
        """Return the prompt of cell `i`: `[ ]:`, `[*]:` or `[3]:`."""
        return self._cell(i).locator(".jp-InputPrompt").inner_text().strip()

    def save(self) -> None:
        """Save the notebook as Ctrl-S does, and wait until it is saved."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")

    def saved(self) -> NotebookNode:
        """Return the notebook in the file."""
        return read(self.path, as_version=4)

    def screenshot(self, path: Path) -> None:
        """Write a screenshot of the page to a .png file."""
        self.page.screenshot(path=path)

    def kernel_pid(self) -> int:
        """Return the process id of the kernel, which must be idle."""
        return int(self.page.evaluate(PID))

    def foreign_requests(self) -> list[str]:
        """Return every request of this page that did not go to the Jupyter server."""
        server = urlsplit(self.server.url).netloc  # data: and blob: URLs have no host
        return [url for url in self.requests if urlsplit(url).netloc not in ("", server)]

    def _cell(self, i: int) -> Locator:
        return self.page.locator(".jp-NotebookPanel:visible .jp-Cell").nth(i)

    @contextlib.contextmanager
    def _page_in_errors(self) -> Iterator[None]:
        """Add the cells, errors and console of the page to an error."""
        try:
            yield
        except (AssertionError, Error) as error:
            cells = self.page.locator(".jp-Cell:visible").all_inner_texts()
            error.add_note("\n".join([*cells, *self.page_errors, *self.console]))
            raise
