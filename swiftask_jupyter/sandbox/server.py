"""The sandbox server: started from Python on a thread of its own, or run until a signal ends it."""

import asyncio
import atexit
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

from .faults import Fault, parse_fault
from .integrations import integration_id
from .model import ModelUnavailable, unmet_requirement
from .rate_limit import REQUESTS_PER_HOUR
from .requests import RecordedRequest
from .state import create_state

Result = TypeVar("Result")

SILENCED_LOGGERS = ("asyncio", "tornado.access", "tornado.application", "tornado.general")


class Sandbox:
    """A local server on 127.0.0.1 that speaks the APIs as documented, with agents of its own.

    It needs no network and no account. Use it as a context manager, or call `start` and `stop`.
    The built-in agents are `echo`, `lorem`, `slow`, `math`, `mirror`, `image`, `image-markdown`
    and `smollm2`, a real small model that has to be downloaded once.

    Args:
        port (int): the TCP port; 0 takes a free one.
        model (bool): True to load the small model in `start`, which takes about a second;
            False to load it with the first prompt to `smollm2`.
        usage (str): the usage reported for agents that count no tokens: "zero" (0 prompt and
            completion tokens but a total, as measured on the documented API), "counted" (one
            token per word) or "none".
        agents (Mapping[str, Any] | None): more agents by slug: a callable that takes the list
            of messages, a fixed text, or an `Agent`. They replace built-in agents of the same
            slug.
        seed (int | None): makes the model's answers and the generated ids repeatable; tokens
            are never seeded.
        threads (int): CPU threads for the model.
        rate_limit (int): requests per hour on `/v1/api/chat/{slug}`.
        faults (Iterable[Fault | str]): wrong responses for the first prompts, one each, in
            order: a `Fault`, or the name of one, such as "429". Also without this argument: an
            agent `fault-429`, or a request header `X-Sandbox-Fault: 429`.

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
        """Start the server, unless it runs already, and return this sandbox.

        Raises:
            OSError: the port is taken or does not exist.
            ModuleNotFoundError: tornado is not installed.
            ModelUnavailable: `model=True`, and the model is not installed or does not load.
        """
        if self._thread is not None and self._process == os.getpid():
            return self
        if self._model and (reason := unmet_requirement()):
            raise ModelUnavailable(reason)
        _require_tornado()
        self.stop()  # in a forked child: release what belongs to the parent
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
        if self._model:
            try:
                self._state.llama.start()
            except BaseException:
                self.stop()
                raise
        return self

    def stop(self) -> None:
        """Close every connection and stop the server; does nothing if it is stopped.

        It runs automatically when the process exits.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._process != os.getpid():
            self._state.llama.disown()  # a forked child: the server belongs to the parent
            return
        atexit.unregister(self.stop)
        self._state.stopping = True
        self._loop.call_soon_threadsafe(self._stopped.set)
        thread.join(timeout=10)
        self._state.llama.stop()

    @property
    def url(self) -> str:
        """The base URL, such as "http://127.0.0.1:8000", without a slash at the end."""
        return f"http://127.0.0.1:{self._bound_port}"

    @property
    def token(self) -> str:
        """The account's API key, a new one for each sandbox."""
        return self._state.token

    def client_token(self, slug: str) -> str:
        """Return the client token of one agent, a UUID; it is not valid for other agents.

        Raises:
            KeyError: the sandbox has no agent of this slug.
        """
        return self._state.client_tokens[slug]

    @property
    def agencii_token(self) -> str:
        """The token for `/get_completion` and its sibling routes; not valid on other routes."""
        return self._state.agencii_token

    def integration_id(self, slug: str, *, text_only: bool = False) -> str:
        """Return the id by which `/get_completion` knows an agent.

        Args:
            slug: the agent's slug.
            text_only: True for the integration that answers in plain text, False for JSON.
        """
        return integration_id(slug, text_only=text_only)

    @property
    def agents(self) -> tuple[str, ...]:
        """The slugs of all agents that the catalogue lists."""
        return tuple(slug for slug, each in self._state.agents.items() if each.listed)

    @property
    def requests(self) -> list[RecordedRequest]:
        """The requests received, newest last; at most 4000, or 64 MB of bodies."""
        return self._state.requests.snapshot()

    @property
    def open_streams(self) -> int:
        """The number of responses in progress."""
        return self._state.requests.open_count

    def wait_for(self, predicate: Callable[[], Result], timeout: float | None = 10) -> Result:
        """Wait until a predicate is true, and return its last value.

        Args:
            predicate: called at once, and again whenever a request arrives, gets its first
                response byte or ends.
            timeout: seconds to wait at most; None for no limit.
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
        """Answer the next matching prompts with a fault.

        Faults are queued: a request gets the first one that matches it.

        Args:
            fault: what to answer.
            agent: the slug that must be asked; None for any agent.
            path: the path that must be requested, such as "/public/bots"; None for any prompt
                to an agent. Paths without an agent need it.
            times: how many requests get the fault; None for all until `clear_faults`.

        Raises:
            ValueError: `times` is not a whole number of at least 1, nor None.
        """
        self._state.faults.add(fault, agent, path, times)

    def clear_faults(self) -> None:
        """Drop the queued faults that no request has received yet."""
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
    """Run a sandbox until SIGINT or SIGTERM; used by `swiftask-jupyter sandbox`.

    Args:
        port: the TCP port; 0 takes a free one.
        model: True to load the small model before serving.
        on_ready: called with the sandbox once it accepts connections.

    Raises:
        OSError: the port is taken or does not exist.
        ModelUnavailable: `model=True`, and the model is not installed or does not load.
    """
    stop_requested = threading.Event()

    def request_stop(_number: int, _frame: FrameType | None) -> None:
        stop_requested.set()

    previous = {each: signal.signal(each, request_stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        with Sandbox(port, model=model) as box:
            if on_ready is not None:
                on_ready(box)
            # In steps, because some systems can't interrupt a wait without a timeout.
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
