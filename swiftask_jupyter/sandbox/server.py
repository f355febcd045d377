"""Run the sandbox server, in a background thread or in the foreground until a signal stops it."""

import asyncio
import atexit
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

from .announcement import announce, withdraw
from .faults import Fault, parse_fault
from .integrations import integration_id
from .model import ModelUnavailable, unmet_requirement
from .rate_limit import REQUESTS_PER_HOUR
from .requests import RecordedRequest
from .state import create_state

Result = TypeVar("Result")

SILENCED_LOGGERS = ("asyncio", "tornado.access", "tornado.application", "tornado.general")


class Sandbox:
    """A local server on 127.0.0.1 that imitates the documented HTTP APIs and runs its own agents.

    It needs no network access and no account. Use it as a context manager, or call `start` and
    `stop`. The built-in agents are `echo`, `lorem`, `slow`, `math`, `mirror`, `image`,
    `image-markdown` and `smollm2`, a small language model that has to be downloaded once.

    Args:
        port (int): the TCP port; 0 takes a free one.
        model (bool): True to load the small model in `start`, which takes about a second;
            False to load it when `smollm2` gets its first prompt.
        usage (str): the token usage to report: "zero" (0 prompt tokens and 0 completion tokens,
            but a total above 0, as measured on the real API), "counted" (one token per word) or
            "none". Only `/v1/chat/completions` reports zeros; other routes treat "zero" as
            "counted". If an agent counts its own tokens, its counts are reported, unless the
            setting is "none".
        agents (Mapping[str, Any] | None): additional agents by slug, the agent's id in requests:
            a callable that takes the list of messages, a fixed text, or an `Agent`. They replace
            built-in agents of the same slug.
        seed (int | None): a seed that makes the model's answers and the generated ids
            repeatable; access tokens are always random.
        threads (int): CPU threads for the model.
        rate_limit (int): requests allowed per hour on `/v1/api/chat/{slug}`.
        faults (Iterable[Fault | str]): deliberately wrong responses to the first prompts, one per
            prompt, in order. Each is a `Fault` or the name of a fault, such as "429". A client
            can also request a fault: by the agent `fault-429`, or by the request header
            `X-Sandbox-Fault: 429`.

    Raises:
        ValueError: `usage`, `rate_limit` or a fault's name is invalid.
        TypeError: an agent is neither a callable, nor a text, nor an `Agent`.

    Example:
        >>> from swiftask_jupyter import Sandbox, Swiftask
        >>> with (
        ...     Sandbox(agents={"hello": "Hello!"}) as box,
        ...     Swiftask(base_url=box.url, token=box.token, dialect="openai") as client,
        ... ):
        ...     client.ask("Who is there?", "hello").text
        'Hello!'
    """

    def __init__(
        self,
        port: int = 0,
        *,
        model: bool = False,
        usage: str = "zero",
        agents: Mapping[str, Any] | None = None,
        seed: int | None = None,
        threads: int = 1,
        rate_limit: int = REQUESTS_PER_HOUR,
        faults: Iterable[Fault | str] = (),
    ) -> None:
        self._port = port
        self._model = model
        self._state = create_state(agents, usage, seed, threads, rate_limit)
        for each in faults:
            self.fail(parse_fault(each) if isinstance(each, str) else each)
        self._thread: threading.Thread | None = None
        self._process = 0
        self._bound_port = 0
        self._announced: Path | None = None

    def __repr__(self) -> str:
        where = self.url if self._thread is not None else "stopped"
        return f"<Sandbox {where}, agents: {', '.join(self.agents)}>"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Start the server in a background thread, unless it is running, and return this sandbox.

        Raises:
            OSError: the port is in use or not a valid port.
            ModuleNotFoundError: tornado is not installed.
            ModelUnavailable: `model=True`, but the model is not installed or can't be loaded.
        """
        if self._thread is not None and self._process == os.getpid():
            return self
        if self._model and (reason := unmet_requirement()):
            raise ModelUnavailable(reason)
        _require_tornado()
        self.stop()  # in a forked child: forget the server of the parent process
        listener = _listen(self._port)
        self._bound_port = listener.getsockname()[1]
        self._process = os.getpid()
        self._state.stopping = False
        self._loop = asyncio.SelectorEventLoop()
        self._stopped = asyncio.Event()
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(listener, ready), name="swiftask-sandbox", daemon=True
        )
        self._thread.start()
        atexit.register(self.stop)
        ready.wait()
        self._announced = announce(self._bound_port)
        if self._model:
            try:
                self._state.llama.start()
            except BaseException:
                self.stop()
                raise
        return self

    def stop(self) -> None:
        """Close all connections and stop the server; do nothing if the server is not running.

        This method runs automatically when the process exits.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._process != os.getpid():
            self._state.llama.disown()  # a forked child: the server belongs to the parent
            return
        atexit.unregister(self.stop)
        withdraw(self._announced)
        self._state.stopping = True
        self._loop.call_soon_threadsafe(self._stopped.set)
        thread.join(timeout=10)
        self._state.llama.stop()

    @property
    def url(self) -> str:
        """The base URL, such as "http://127.0.0.1:8000", without a trailing slash."""
        return f"http://127.0.0.1:{self._bound_port}"

    @property
    def token(self) -> str:
        """The account's API key, which is generated at random for each sandbox."""
        return self._state.token

    def client_token(self, slug: str) -> str:
        """Return the client token of an agent: a UUID that gives access to this agent only.

        Raises:
            KeyError: the sandbox has no agent with this slug.
        """
        return self._state.client_tokens[slug]

    @property
    def agencii_token(self) -> str:
        """The bearer token for `/get_completion` and `/create_new_chat`; other routes reject it."""
        return self._state.agencii_token

    def integration_id(self, slug: str, *, text_only: bool = False) -> str:
        """Return the id by which a request to `/get_completion` selects an agent.

        Args:
            slug: the agent's slug.
            text_only: True for the id whose responses are plain text, False for JSON.
        """
        return integration_id(slug, text_only=text_only)

    @property
    def agents(self) -> tuple[str, ...]:
        """The slugs of the agents that the catalogue lists."""
        return tuple(slug for slug, each in self._state.agents.items() if each.listed)

    @property
    def requests(self) -> list[RecordedRequest]:
        """The recorded requests, newest last: at most 4000, and at most 64 MB of request bodies."""
        return self._state.requests.snapshot()

    @property
    def open_streams(self) -> int:
        """The number of responses in progress, streamed or not."""
        return self._state.requests.open_count

    def wait_for(self, predicate: Callable[[], Result], timeout: float | None = 10) -> Result:
        """Block until the predicate returns a true value, and return this value.

        If the time runs out, return the predicate's last value.

        Args:
            predicate: a function without arguments, such as a check of `requests`. It is called at
                once, and again when a request arrives, its response starts, or its response ends.
            timeout: the maximum number of seconds to wait; None for no limit.
        """
        return self._state.requests.wait_for(predicate, timeout)

    def fail(
        self,
        fault: Fault,
        *,
        agent: str | None = None,
        path: str | None = None,
        times: int | None = 1,
    ) -> None:
        """Queue a fault, so that the next matching requests get a deliberately wrong response.

        If several queued faults match a request, the request gets the one that was queued first.

        Args:
            fault: the wrong response to send.
            agent: the slug of the agent that a request must address; None for any agent.
            path: the path that a request must have, such as "/public/bots"; None for requests to an
                agent on any path. It is required for routes that address no agent.
            times: how many requests get the fault; None for every matching request until
                `clear_faults` is called.

        Raises:
            ValueError: `times` is neither None nor an integer of at least 1.
        """
        self._state.faults.add(fault, agent, path, times)

    def clear_faults(self) -> None:
        """Remove all queued faults."""
        self._state.faults.clear()

    def _run(self, listener: socket.socket, ready: threading.Event) -> None:
        server_thread = threading.get_ident()
        loggers = [logging.getLogger(name) for name in SILENCED_LOGGERS]

        def from_other_threads(record: logging.LogRecord) -> bool:
            return record.thread != server_thread

        for each in loggers:
            each.addFilter(from_other_threads)
        try:
            self._loop.run_until_complete(self._serve(listener, ready))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            ready.set()
            self._loop.close()
            for each in loggers:
                each.removeFilter(from_other_threads)

    async def _serve(self, listener: socket.socket, ready: threading.Event) -> None:
        from .dialects import create_server

        server = create_server(self._state)
        executor = ThreadPoolExecutor(64, "swiftask-sandbox-agent")
        self._state.agent_threads = executor
        self._loop.set_default_executor(executor)
        server.add_socket(listener)
        ready.set()
        await self._stopped.wait()
        server.stop()
        await server.close_all_connections()
        await _cancel_remaining_tasks()
        executor.shutdown(wait=False, cancel_futures=True)


def serve_forever(
    port: int = 0, *, model: bool = False, on_ready: Callable[[Sandbox], None] | None = None
) -> None:
    """Run a sandbox until the process gets SIGINT or SIGTERM.

    The command `swiftask-jupyter sandbox` calls this function.

    Args:
        port: the TCP port; 0 takes a free one.
        model: True to load the small model before serving.
        on_ready: called with the sandbox once the server accepts connections.

    Raises:
        OSError: the port is in use or not a valid port.
        ModelUnavailable: `model=True`, but the model is not installed or can't be loaded.
    """
    stop_requested = threading.Event()

    def request_stop(_number: int, _frame: FrameType | None) -> None:
        stop_requested.set()

    previous = {each: signal.signal(each, request_stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        with Sandbox(port, model=model) as box:
            if on_ready is not None:
                on_ready(box)
            # With a timeout, because on some systems a signal can't interrupt a wait without one.
            while not stop_requested.wait(0.5):
                pass
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)


def _require_tornado() -> None:
    try:
        import tornado.web  # noqa: F401 - to see whether it is installed
    except ImportError as error:
        reason = 'the sandbox needs tornado; run: pip install "swiftask-jupyter[sandbox]"'
        raise ModuleNotFoundError(reason, name="tornado") from error


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(1024)
        listener.setblocking(False)  # noqa: FBT003 - the socket's own signature
    except (OSError, OverflowError) as error:
        listener.close()
        words = getattr(error, "strerror", None) or str(error)
        reason = f"can't listen on port {port} of 127.0.0.1 ({words}); choose another port"
        number = getattr(error, "errno", None)  # an OverflowError has none
        raise (OSError(reason) if number is None else OSError(number, reason)) from error
    return listener


async def _cancel_remaining_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
