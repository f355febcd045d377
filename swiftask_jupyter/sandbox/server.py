"""A sandbox that a process of its own serves until it is told to end.

`with Sandbox() as box: box.url`: a server of our own on this machine, for nobody else.
"""

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

from .faults import Fault, named
from .integrations import integration_id
from .model import ModelUnavailable, missing
from .rate_limit import STANDARD
from .requests import RecordedRequest
from .state import room_for

Found = TypeVar("Found")

LOGGERS = ("asyncio", "tornado.access", "tornado.application", "tornado.general")


class Sandbox:
    """The service's stand-in: the same dialects on 127.0.0.1, with agents of its own.

    Args:
        port: where to listen; 0 finds a free port.
        model: load the real small model at the start, or say at once why it can't be.
        usage: what agents that count no tokens report: "zero" (as measured on the documented
            API), "counted" (words) or "none".
        agents: your own, by slug: a callable taking the messages, a text, or an `Agent`.
        seed: makes the model's answers and the made-up ids repeat.
        threads: how many the model may use.
        rate_limit: how many requests an hour `/chat/{slug}` answers.
        faults: what goes wrong with the first questions, one each: a `Fault`, or a name such as
            "429". Also: an agent `fault-429`, or a request's header `X-Sandbox-Fault: 429`.
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
        rate_limit: int = STANDARD,
        faults: Iterable[Fault | str] = (),
    ) -> None:
        self._port = port
        self._model = model
        self._room = room_for(agents, usage, seed, threads, rate_limit)
        for each in faults:
            self.fail(named(each) if isinstance(each, str) else each)
        self._thread: threading.Thread | None = None
        self._process = 0
        self._bound = 0

    def __repr__(self) -> str:
        state = self.url if self._thread is not None else "stopped"
        return f"<Sandbox {state}, agents: {', '.join(self.agents)}>"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Starts the server, unless it runs; OSError says plainly when the port is taken."""
        if self._thread is not None and self._process == os.getpid():
            return self
        if self._model and (reason := missing()):
            raise ModelUnavailable(reason)
        _need_tornado()
        self.stop()  # in a forked child: lets go of the parent's
        listening = _listen(self._port)
        self._bound = listening.getsockname()[1]
        self._process = os.getpid()
        self._room.stopping = False
        self._loop = asyncio.SelectorEventLoop()
        self._stopped = asyncio.Event()
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(listening, ready), name="swiftask-sandbox", daemon=True
        )
        self._thread.start()
        atexit.register(self.stop)
        ready.wait()
        if self._model:
            try:
                self._room.llama.start()
            except BaseException:
                self.stop()
                raise
        return self

    def stop(self) -> None:
        """Closes every connection and ends the server; may be called again, and at exit."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._process != os.getpid():
            self._room.llama.disown()  # a forked child: the server is the parent's
            return
        atexit.unregister(self.stop)
        self._room.stopping = True
        self._loop.call_soon_threadsafe(self._stopped.set)
        thread.join(timeout=10)
        self._room.llama.stop()

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        return f"http://127.0.0.1:{self._bound}"

    @property
    def token(self) -> str:
        """The one API key it accepts; a new one for each sandbox."""
        return self._room.token

    def client_token(self, slug: str) -> str:
        """The token of this one agent, a UUID as its Developer page shows; opens no other."""
        return self._room.client_tokens[slug]

    @property
    def agencii_token(self) -> str:
        """The platform token that `/get_completion` and its kin accept; nothing else does."""
        return self._room.agencii_token

    def integration_id(self, slug: str, *, text_only: bool = False) -> str:
        """What `/get_completion` knows this agent by; with text_only, by plain text answers."""
        return integration_id(slug, text_only=text_only)

    @property
    def agents(self) -> tuple[str, ...]:
        """The slugs of its agents."""
        return tuple(slug for slug, each in self._room.agents.items() if each.listed)

    @property
    def requests(self) -> list[RecordedRequest]:
        """The last few thousand requests, newest last."""
        return self._room.requests.snapshot()

    @property
    def open_streams(self) -> int:
        """How many requests are being answered now."""
        return self._room.requests.open

    def wait_for(self, predicate: Callable[[], Found], timeout: float | None = 10) -> Found:
        """Waits until the predicate holds or the time is up; returns its last value.

        It is asked again whenever a request arrives, gets its first byte, or ends.
        """
        return self._room.requests.wait_for(predicate, timeout)

    def fail(
        self,
        fault: Fault,
        *,
        agent: str | None = None,
        path: str | None = None,
        times: int | None = 1,
    ) -> None:
        """Serves the fault to the next `times` questions (None: to all), one after the other.

        With `path` it is for requests to that path only, which may also be the catalogue's.
        """
        self._room.faults.add(fault, agent, path, times)

    def clear_faults(self) -> None:
        """Forgets every fault not yet served."""
        self._room.faults.clear()

    def _run(self, listening: socket.socket, ready: threading.Event) -> None:
        here = threading.get_ident()
        quiet = [logging.getLogger(name) for name in LOGGERS]

        def others(record: logging.LogRecord) -> bool:
            return record.thread != here

        for each in quiet:
            each.addFilter(others)
        try:
            self._loop.run_until_complete(self._serve(listening, ready))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            ready.set()
            self._loop.close()
            for each in quiet:
                each.removeFilter(others)

    async def _serve(self, listening: socket.socket, ready: threading.Event) -> None:
        from .dialects import server_for

        server = server_for(self._room)
        self._room.threads = threads = ThreadPoolExecutor(64, "swiftask-sandbox-agent")
        self._loop.set_default_executor(threads)
        server.add_socket(listening)
        ready.set()
        await self._stopped.wait()
        server.stop()
        await server.close_all_connections()
        await _end_the_rest()
        threads.shutdown(wait=False, cancel_futures=True)


def _need_tornado() -> None:
    try:
        import tornado.web  # noqa: F401 - to see whether it is there
    except ImportError as error:
        reason = 'the sandbox needs tornado; run: pip install "swiftask-jupyter[sandbox]"'
        raise ModuleNotFoundError(reason, name="tornado") from error


def _listen(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen(1024)
        listening.setblocking(False)  # noqa: FBT003 - the socket's own signature
    except (OSError, OverflowError) as error:
        listening.close()
        words = getattr(error, "strerror", None) or str(error)
        reason = f"can't listen on port {port} of 127.0.0.1 ({words}); choose another port"
        number = getattr(error, "errno", None)  # none where there is no such port at all
        raise (OSError(reason) if number is None else OSError(number, reason)) from error
    return listening


async def _end_the_rest() -> None:
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


def serve_forever(
    port: int = 0, *, model: bool = False, on_ready: Callable[[Sandbox], None] | None = None
) -> None:
    """Serves until SIGINT or SIGTERM; `on_ready` is called once it listens."""
    asked = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        asked.set()

    before = {each: signal.signal(each, end) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        with Sandbox(port, model=model) as box:
            if on_ready is not None:
                on_ready(box)
            while not asked.wait(0.5):  # in steps: an endless wait can't be interrupted everywhere
                pass
    finally:
        for each, former in before.items():
            signal.signal(each, former)
