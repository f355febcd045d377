"""One request and its answer on a real socket: what every dialect does the same way."""

import asyncio
import contextlib
import hmac
import json
import socket
import struct
import time
from collections.abc import Coroutine
from typing import Any

from tornado.iostream import StreamClosedError
from tornado.web import RequestHandler

from .agents import Agent, File
from .faults import HEADER, Fault, error_body, fault_of, named
from .requests import RecordedRequest
from .state import SandboxState
from .turn import Cut

Route = tuple[str, type[RequestHandler], dict[str, Any]]
"""A path (a regular expression), who answers it, and the room it is answered in."""

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER for 0 seconds: closing sends RST


class DialectHandler(RequestHandler):
    """Records the request, knows at once when the client has gone, and can break off."""

    shape = "object"
    """The error body of this dialect, when no fault asks for another."""
    unauthorized = "Unauthorized: the API key is invalid or missing"
    not_json = "the body must be a JSON object"
    recorded = True
    """Whether its requests are among those the sandbox remembers."""

    def initialize(self, room: SandboxState) -> None:
        """Takes the room; tornado calls this."""
        self.room = room
        self.gone = False
        self._severed = False
        self._open = False
        self._work: asyncio.Task[None] | None = None
        asked = self.request
        headers = {name.lower(): value for name, value in asked.headers.get_all()}
        now = time.monotonic()
        path = asked.path
        self.seen = RecordedRequest(asked.method or "", path, asked.query, headers, asked.body, now)

    def prepare(self) -> None:
        """Writes the request down before anything else is done with it."""
        if self.recorded:
            self.room.requests.arrived(self.seen)
            self.room.requests.opened()
            self._open = True
        stream = getattr(self.request.connection, "stream", None)
        if stream is not None:
            stream.set_nodelay(True)

    async def attend(self, answering: Coroutine[Any, Any, None]) -> None:
        """Runs an answer to its end, or to the moment the client goes away."""
        self._work = asyncio.ensure_future(answering)
        try:
            await self._work
        except Cut as cut:
            self.sever(reset=cut.reset)
        except (asyncio.CancelledError, StreamClosedError):
            if not (self.gone or self._severed):
                raise
        finally:
            self._work = None

    def read_json(self) -> Any:
        """The body as JSON; answers 400 and returns None when it is not an object."""
        try:
            body = json.loads(self.request.body)
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            self.refuse(400, self.not_json)
            return None
        return body

    def authorised(self, slug: str | None = None) -> bool:
        """Whether the bearer token is the account's, or this one agent's; answers 401 if not."""
        own = self.room.client_tokens.get(slug or "")
        if self.bears(self.room.token) or (own is not None and self.bears(own)):
            return True
        self.refuse(401, self.unauthorized)
        return False

    def ready(self, agent: Agent) -> bool:
        """Whether the agent can answer; answers 400 with what to do first if not."""
        if agent.missing is None or not (reason := agent.missing()):
            return True
        self.refuse(400, reason)
        return False

    def bears(self, token: str) -> bool:
        """Whether this is the request's bearer token."""
        given = self.request.headers.get("Authorization", "").encode()
        return hmac.compare_digest(given, f"Bearer {token}".encode())

    def fault(self, agent: str | None = None, path: str | None = None) -> Fault | None:
        """What is to go wrong with this request: by its header, by order, by its agent's name."""
        if (wanted := self.request.headers.get(HEADER)) is not None:
            try:
                return named(wanted)
            except ValueError as error:
                return Fault(status=400, message=str(error))
        return self.room.faults.take(path or self.request.path, agent) or fault_of(agent)

    async def misbehave(self, fault: Fault | None) -> bool:
        """Answers as the fault says, if it is one that leaves no answer to give."""
        if fault is None:
            return False
        await asyncio.sleep(fault.delay)
        for name, value in fault.headers.items():
            self.set_header(name, value)
        if fault.redirect is not None:
            self.set_status(fault.status or 307)
            self.set_header("Location", fault.redirect)
            self.finish()
        elif fault.body is not None:
            self.set_status(fault.status or 200)
            self.set_header("Content-Type", fault.content_type)
            self.finish(fault.body)
        elif fault.status is not None or fault.error_object:
            shape = fault.shape or ("object" if fault.error_object else None)
            self.refuse(fault.status or 200, fault.message, shape)
        else:
            return False
        return True

    def refuse(self, status: int, message: str, shape: str | None = None) -> None:
        """Answers with an error."""
        kind, body = error_body(shape or self.shape, status, message)
        self.set_status(status)
        self.set_header("Content-Type", kind)
        self.finish(body)

    def give(self, answer: Any) -> None:
        """Answers with JSON."""
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(as_json(answer))

    async def send(self, text: bytes) -> None:
        """Sends a part of a stream now, and waits until the socket has taken it."""
        self.write(text)
        await self.flush()

    def keep(self, file: File) -> str:
        """Keeps a file that an agent made; its URL."""
        return self.here(self.room.uploads.keep(file.content, file.type, file.name))

    def here(self, path: str) -> str:
        """A path of this server as the URL that this client can reach."""
        return f"{self.request.protocol}://{self.request.host}{path}"

    def sever(self, *, reset: bool) -> None:
        """Closes the connection in the middle of the answer."""
        self._severed = True
        stream = getattr(self.request.connection, "stream", None)
        if stream is not None and stream.socket is not None:
            if reset:
                stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            else:
                # Not only closed: a forked child may hold the same socket open.
                with contextlib.suppress(OSError):
                    stream.socket.shutdown(socket.SHUT_RDWR)
            stream.close()
        self._settle()

    def flush(self, include_footers: bool = False) -> "asyncio.Future[None]":  # noqa: FBT001, FBT002 - tornado's signature
        """Notes the moment of the first byte on its way out."""
        if self.seen.first_byte is None and not (self.gone or self._severed):
            now = time.monotonic()
            self.room.requests.note(self.seen, first_byte=now, status=self.get_status())
        return super().flush(include_footers)

    def on_connection_close(self) -> None:
        """Ends the answer at once: the client has gone."""
        if self._severed:
            return
        self.gone = True
        if not self.room.stopping:
            self.room.requests.note(self.seen, disconnected=True)
        if self._work is not None:
            self._work.cancel()
        self._settle()

    def on_finish(self) -> None:
        """Writes down that the answer is complete."""
        self._settle()

    def _settle(self) -> None:
        if self._open:
            self._open = False
            self.room.requests.note(self.seen, ended=time.monotonic())
            self.room.requests.closed()

    def write_error(self, status_code: int, **_kwargs: Any) -> None:
        """Says in JSON what tornado would say in HTML."""
        self.refuse(status_code, self._reason)

    def compute_etag(self) -> None:
        """No entity tags: an answer is never "not modified"."""

    def log_exception(self, *_args: Any) -> None:
        """Nothing is logged: the answer says it."""


class NotFoundHandler(DialectHandler):
    """Every path that no dialect knows."""

    def prepare(self) -> None:
        """Answers 404."""
        super().prepare()
        self.refuse(404, f"{self.request.method} {self.request.path} is not a route")


def as_json(value: Any) -> bytes:
    """Compact JSON in UTF-8, as the service's own JavaScript writes it."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can hold and UTF-8 cannot
        return json.dumps(value, separators=(",", ":")).encode()
