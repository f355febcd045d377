"""Run the sandbox server, in a background thread or in the foreground."""

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

from .announcement import Announcement, announce, withdraw
from .faults import Fault, parse_fault
from .integrations import integration_id
from .model_weights import ModelUnavailable, unmet_requirement
from .rate_limit import REQUESTS_PER_HOUR
from .request_log import RecordedRequest
from .state import create_state

Result = TypeVar("Result")

SILENCED_LOGGERS = ("asyncio", "tornado.access", "tornado.application", "tornado.general")


class Sandbox:
    """A local server on 127.0.0.1 that imitates documented HTTP APIs and runs its own agents.

    A sandbox needs no network access and no account. Use a sandbox as a context manager, or call
    `start` and `stop`. The built-in agents are `echo`, `lorem`, `slow`, `math`, `mirror`, `image`,
    `image-markdown` and `smollm2`. The agent `smollm2` is a small language model that has to be
    downloaded once.

    Args:
        port (int): the TCP port; 0 for any free port.
        model (bool): True to load the small language model in `start`. Loading takes about a
            second. If False, the first prompt to `smollm2` loads the model.
        usage (str): how to report token usage: "zero", "counted" or "none". "zero" reports 0 prompt
            tokens, 0 completion tokens and a total above 0, as the real API does. "counted" reports
            one token per word. "none" reports nothing. Only `/v1/chat/completions` reports zeros.
            Other routes treat "zero" as "counted". If an agent counts tokens itself, "zero" and
            "counted" report the agent's counts.
        agents (Mapping[str, Any] | None): a dict that maps slugs to additional agents. A slug is
            the agent's id in requests. An agent is an `Agent`, a fixed reply text, or a callable
            that takes the list of messages. An additional agent replaces a built-in agent with an
            equal slug.
        seed (int | None): a seed that makes the model's replies and the generated ids repeatable.
            Access tokens are always random.
        threads (int): the number of CPU threads for the model.
        rate_limit (int): requests allowed per hour on `/v1/api/chat/{slug}`.
        faults (Iterable[Fault | str]): deliberately wrong responses to the first prompts. Each
            prompt gets one fault, in order. A fault is a `Fault` or the name of a fault, such as
            "429". A client can also request a fault by the agent `fault-429` or by the request
            header `X-Sandbox-Fault: 429`.

    Raises:
        ValueError: `usage`, `rate_limit` or a fault's name is invalid.
        TypeError: an agent is not an `Agent`, a string or a callable.

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
        self._announced: Announcement | None = None

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
        """Start the server in a background thread, and return this sandbox.

        If the server is already running, only return this sandbox.

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
        """Close all connections and stop the server. Do nothing if the server is not running.

        When the process exits, Python calls this method automatically.
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
        """The account's API key. Each sandbox has a random key."""
        return self._state.token

    def client_token(self, slug: str) -> str:
        """Return the client token of an agent. The token is a UUID and gives access to one agent.

        Raises:
            KeyError: the sandbox has no agent with this slug.
        """
        return self._state.client_tokens[slug]

    @property
    def agencii_token(self) -> str:
        """The bearer token for `/get_completion` and `/create_new_chat`.

        Other routes reject this token.
        """
        return self._state.agencii_token

    def integration_id(self, slug: str, *, text_only: bool = False) -> str:
        """Return the id by which a request to `/get_completion` selects an agent.

        Args:
            slug: the agent's slug.
            text_only: True to get plain-text responses, False to get JSON responses.
        """
        return integration_id(slug, text_only=text_only)

    @property
    def agents(self) -> tuple[str, ...]:
        """The slugs of the agents that the catalogue lists."""
        return tuple(slug for slug, each in self._state.agents.items() if each.listed)

    @property
    def requests(self) -> list[RecordedRequest]:
        """The recorded requests, newest last.

        The list has at most 4000 requests and about 64 MB of request bodies.
        """
        return self._state.requests.snapshot()

    @property
    def open_streams(self) -> int:
        """The number of responses in progress, streamed or not."""
        return self._state.requests.open_count

    def wait_for(self, predicate: Callable[[], Result], timeout: float | None = 10) -> Result:
        """Block until `predicate` returns a true value, and return this value.

        If `timeout` seconds have passed, return the predicate's last value.

        Args:
            predicate: a function without arguments, such as a check of `requests`. The function is
                called at once, and again when a request arrives or a response starts or ends.
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
        """Queue a fault. The next matching requests get this deliberately wrong response.

        If several queued faults match a request, the request gets the oldest of these faults.

        Args:
            fault: the wrong response to send.
            agent: the slug of the agent that a request must address; None for any agent.
            path: the URL path that a request must have, such as "/public/bots". None matches every
                request to an agent. Routes without an agent need a path.
            times: how many requests get the fault; None for no limit.

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
        from .application import create_server

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
        port: the TCP port; 0 for any free port.
        model: True to load the small language model at the start.
        on_ready: a function that is called with the sandbox when the server accepts connections.

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
