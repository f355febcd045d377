"""What all request handlers share: recording, authorization, faults, errors, disconnects."""

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
from .faults import HEADER, Fault, error_body, fault_for_agent, parse_fault
from .requests import RecordedRequest
from .state import SandboxState
from .turn import ConnectionDropped

Route = tuple[str, type[RequestHandler], dict[str, Any]]
"""A path (a regular expression), its handler, and the handler's arguments (the state)."""

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER for 0 seconds: closing sends RST


class DialectHandler(RequestHandler):
    """Base class of the handlers of all dialects.

    A handler answers one request. It records the request, notices at once when the client
    disconnects, and can drop the connection in the middle of a response. Subclasses define the
    routes of a dialect.
    """

    error_shape = "object"
    """The error body of this dialect, unless a fault asks for another."""
    unauthorized = "Unauthorized: the API key is invalid or missing"
    """The message of a 401 response."""
    not_json = "the body must be a JSON object"
    """The message of a 400 response to a body that is not a JSON object."""
    is_recorded = True
    """Whether requests to this handler appear in `Sandbox.requests`."""

    def initialize(self, state: SandboxState) -> None:
        """Set the attributes; tornado calls this instead of `__init__`."""
        self.state = state
        self.disconnected = False
        self._dropped = False
        self._counted = False
        self._work: asyncio.Task[None] | None = None
        request = self.request
        headers = {name.lower(): value for name, value in request.headers.get_all()}
        self.record = RecordedRequest(
            request.method or "",
            request.path,
            request.query,
            headers,
            request.body,
            time.monotonic(),
        )

    def prepare(self) -> None:
        """Record the request before anything else; tornado calls this first."""
        if self.is_recorded:
            self.state.requests.add(self.record)
            self.state.requests.response_started()
            self._counted = True
        stream = getattr(self.request.connection, "stream", None)
        if stream is not None:
            stream.set_nodelay(True)

    async def run_until_disconnect(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine that writes the response; cancel it if the client disconnects."""
        self._work = asyncio.ensure_future(work)
        try:
            await self._work
        except ConnectionDropped as dropped:
            self.drop_connection(reset=dropped.reset)
        except (asyncio.CancelledError, StreamClosedError):
            if not (self.disconnected or self._dropped):
                raise
        finally:
            self._work = None

    def read_json(self) -> Any:
        """Return the body as a dict; respond 400 and return None if it is no JSON object."""
        try:
            body = json.loads(self.request.body)
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            self.respond_error(400, self.not_json)
            return None
        return body

    def check_token(self, slug: str | None = None) -> bool:
        """Tell whether the bearer token is valid: the account's, or this agent's client token.

        Respond 401 if it is not.
        """
        client_token = self.state.client_tokens.get(slug or "")
        if self.has_bearer_token(self.state.token) or (
            client_token is not None and self.has_bearer_token(client_token)
        ):
            return True
        self.respond_error(401, self.unauthorized)
        return False

    def has_bearer_token(self, token: str) -> bool:
        """Tell whether this token is the bearer token of the request."""
        header = self.request.headers.get("Authorization", "").encode()
        return hmac.compare_digest(header, f"Bearer {token}".encode())

    def check_requirement(self, agent: Agent) -> bool:
        """Tell whether the agent can answer; respond 400 with what to install if it can't."""
        if agent.unmet_requirement is None or not (reason := agent.unmet_requirement()):
            return True
        self.respond_error(400, reason)
        return False

    def take_fault(self, agent: str | None = None, path: str | None = None) -> Fault | None:
        """Return the fault for this request, None for a correct response.

        It comes from the request header, else from the queue, else from the agent's slug. An
        invalid header gives a fault of status 400 that says why.

        Args:
            agent: the slug that the request names; None on routes without an agent.
            path: the path to look up in the queue; None for that of the request.
        """
        if (header := self.request.headers.get(HEADER)) is not None:
            try:
                return parse_fault(header)
            except ValueError as error:
                return Fault(status=400, message=str(error))
        return self.state.faults.take(path or self.request.path, agent) or fault_for_agent(agent)

    async def respond_fault(self, fault: Fault | None) -> bool:
        """Send the response of a fault that replaces the whole response.

        Return False if there is no fault, or one that only changes how the agent's reply is
        sent; the caller then has to respond. Its delay and headers are applied in any case.
        """
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
            self.respond_error(fault.status or 200, fault.message, shape)
        else:
            return False
        return True

    def respond_error(self, status: int, message: str, shape: str | None = None) -> None:
        """Send an error in the given shape, or in the one of this dialect."""
        content_type, body = error_body(shape or self.error_shape, status, message)
        self.set_status(status)
        self.set_header("Content-Type", content_type)
        self.finish(body)

    def respond_json(self, value: Any) -> None:
        """Send a value as the JSON body of a successful response."""
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(encode_json(value))

    async def send_chunk(self, data: bytes) -> None:
        """Write a part of a streamed response, and wait until the socket has taken it."""
        self.write(data)
        await self.flush()

    def store_file(self, file: File) -> str:
        """Store a file that an agent made, and return its URL."""
        return self.absolute_url(self.state.uploads.add(file.content, file.type, file.name))

    def absolute_url(self, path: str) -> str:
        """Return the URL of a path of this server, with the host name that the client used."""
        return f"{self.request.protocol}://{self.request.host}{path}"

    def drop_connection(self, *, reset: bool) -> None:
        """Close the connection in the middle of the response; with `reset`, by a TCP RST."""
        self._dropped = True
        stream = getattr(self.request.connection, "stream", None)
        if stream is not None and stream.socket is not None:
            if reset:
                stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            else:
                # Closing is not enough: a forked child may hold the same socket open.
                with contextlib.suppress(OSError):
                    stream.socket.shutdown(socket.SHUT_RDWR)
            stream.close()
        self._record_end()

    def flush(self, include_footers: bool = False) -> "asyncio.Future[None]":  # noqa: FBT001, FBT002 - tornado's signature
        """Write what is buffered, and record the time of the first byte."""
        if self.record.first_byte is None and not (self.disconnected or self._dropped):
            now = time.monotonic()
            self.state.requests.update(self.record, first_byte=now, status=self.get_status())
        return super().flush(include_footers)

    def on_connection_close(self) -> None:
        """Cancel the response, because the client disconnected; tornado calls this."""
        if self._dropped:
            return
        self.disconnected = True
        if not self.state.stopping:
            self.state.requests.update(self.record, disconnected=True)
        if self._work is not None:
            self._work.cancel()
        self._record_end()

    def on_finish(self) -> None:
        """Record that the response is complete; tornado calls this."""
        self._record_end()

    def _record_end(self) -> None:
        if self._counted:
            self._counted = False
            self.state.requests.update(self.record, ended=time.monotonic())
            self.state.requests.response_ended()

    def write_error(self, status_code: int, **_kwargs: Any) -> None:
        """Send tornado's own errors in the shape of this dialect, not as HTML."""
        self.respond_error(status_code, self._reason)

    def compute_etag(self) -> None:
        """Return no ETag, so that no response becomes "304 Not Modified"."""

    def log_exception(self, *_args: Any) -> None:
        """Log nothing: the response says what went wrong."""


class NotFoundHandler(DialectHandler):
    """Handler of every path without a route: responds 404."""

    def prepare(self) -> None:
        """Record the request and send the error."""
        super().prepare()
        self.respond_error(404, f"{self.request.method} {self.request.path} is not a route")


def encode_json(value: Any) -> bytes:
    """Return compact JSON in UTF-8, as JavaScript's `JSON.stringify` writes it."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON can hold and UTF-8 can't
        return json.dumps(value, separators=(",", ":")).encode()
