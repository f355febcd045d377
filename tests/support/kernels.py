"""A real Jupyter kernel, driven as a front end drives it: run cells, interrupt, read outputs."""

from __future__ import annotations

import os
import secrets
import signal
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty

from jupyter_client.manager import KernelManager


@dataclass
class Ran:
    """The result of one cell.

    Attributes:
        status: `ok`, `error` or `aborted`; empty while it runs.
        error: its traceback.
        idle: whether the kernel is idle again.
        outputs: its outputs, as a notebook saves them.
    """

    status: str = ""
    error: str = ""
    idle: bool = False
    outputs: list[dict] = field(default_factory=list)

    def texts(self, kind="text/plain"):
        """Return the outputs of one MIME type, after all updates in place."""
        return [output["data"][kind] for output in self.outputs if kind in output.get("data", {})]


class Kernel:
    """A kernel process: `with Kernel(environment) as kernel: kernel.run("1 + 1")`."""

    def __init__(self, environment, python=sys.executable):
        # Sockets in files: another process may take a free TCP port before the kernel binds it.
        sockets = f"{tempfile.gettempdir()}/kernel-{secrets.token_hex(4)}"
        self.manager = KernelManager(transport="ipc", ip=sockets)
        self.manager.kernel_spec.argv[0] = str(python)
        self.cells: dict[str, Ran] = {}
        self.environment = {**os.environ, **environment}

    def __enter__(self):
        self.manager.start_kernel(env=self.environment)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)
        return self

    def __exit__(self, *_):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()
        self.client.context.term() if self.client._created_context else None

    def send(self, code, cell=None):
        """Send a cell without waiting for it, as Run All does; return the id of the message."""
        content = {
            "code": code, "silent": False, "store_history": True, "user_expressions": {},
            "allow_stdin": False, "stop_on_error": True,
        }  # fmt: skip
        message = self.client.session.msg("execute_request", content)
        if cell is not None:
            message["metadata"]["cellId"] = cell
        self.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def finish(self, sent, on_output=None, timeout=60):
        """Read messages until a cell that was sent is done; return its result.

        Args:
            sent: the id that `send` returned.
            on_output: called with the result so far, again and again.
            timeout: seconds.
        """
        ran, end = self._cell(sent), time.monotonic() + timeout
        while not (ran.idle and ran.status):
            assert time.monotonic() < end, f"the cell is not done after {timeout} s"
            with suppress(Empty):
                while True:
                    self._read(self.client.get_iopub_msg(timeout=0.02))
                    if on_output is not None:
                        on_output(ran)
            with suppress(Empty):
                message = self.client.get_shell_msg(timeout=0.02)
                self._cell(message["parent_header"]["msg_id"]).status = message["content"]["status"]
        return ran

    def _cell(self, sent):
        return self.cells.setdefault(sent, Ran())

    def run(self, code, cell=None, on_output=None, timeout=60):
        """Run a cell to its end; return its result."""
        return self.finish(self.send(code, cell), on_output, timeout)

    def interrupt(self):
        """Send SIGINT, as the stop button of a front end does."""
        self.manager.interrupt_kernel()

    def kill(self):
        """Send SIGKILL at once, as when memory runs out; leaving `with` would interrupt first."""
        self.manager.signal_kernel(signal.SIGKILL)

    def _read(self, message):
        kind, content = message["msg_type"], message["content"]
        ran = self._cell(message["parent_header"].get("msg_id"))
        if kind == "update_display_data":
            identity = content["transient"]["display_id"]
            for output in ran.outputs:
                if output.get("id") == identity:
                    output["data"] = content["data"]
        elif kind in {"display_data", "execute_result"}:
            identity = content.get("transient", {}).get("display_id")
            ran.outputs.append({"type": kind, "id": identity, "data": content["data"]})
        elif kind == "stream":
            ran.outputs.append({"type": content["name"], "data": {"text/plain": content["text"]}})
        elif kind == "error":
            ran.error = "\n".join(content["traceback"])
            ran.outputs.append({"type": "error", "data": {}})
        elif kind == "status" and content["execution_state"] == "idle":
            ran.idle = True
