"""Define the base class of all request handlers of the sandbox.

The base class logs requests, checks tokens, applies faults and sends error responses.
"""

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

from .agent_run import DropConnection
from .agents import Agent, File
from .faults import HEADER, Fault, error_body, fault_for_agent, parse_fault
from .request_log import RecordedRequest
from .state import SandboxState

Route = tuple[str, type[RequestHandler], dict[str, Any]]
"""A tornado route: a regular expression for the path, a handler class, and the keyword arguments of
its `initialize` method."""

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with 0 seconds: closing the socket sends a TCP RST


class DialectHandler(RequestHandler):
    """Base class of all request handlers of the sandbox. An instance answers one HTTP request.

    A dialect is one of the HTTP APIs that the sandbox imitates. A subclass implements routes of a
    dialect. The base class logs each request and cancels the work if the client disconnects. The
    base class can also close the connection in the middle of a response.
    """

    error_shape = "object"
    """The format of this dialect's error bodies, one of `ERROR_SHAPES`; a fault can override it."""
    unauthorized = "Unauthorized: the API key is invalid or missing"
    """The message of a 401 response."""
    not_json = "the body must be a JSON object"
    """The message of a 400 response to a body that is not a JSON object."""
    is_recorded = True
    """Whether requests to this handler appear in `Sandbox.requests`."""

    def initialize(self, state: SandboxState) -> None:
        """Set the initial attributes. Tornado calls this method for each new handler."""
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
        """Add the request to the log.

        Tornado calls this method at the start of each request.
        """
        if self.is_recorded:
            self.state.requests.add(self.record)
            self.state.requests.response_started()
            self._counted = True
        stream = getattr(self.request.connection, "stream", None)
        if stream is not None:
            stream.set_nodelay(True)

    async def run_until_disconnect(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine that writes the response.

        If the client disconnects, cancel the coroutine. If the coroutine raises
        `DropConnection`, close the connection to the client.
        """
        self._work = asyncio.ensure_future(work)
        try:
            await self._work
        except DropConnection as dropped:
            self.drop_connection(reset=dropped.reset)
        except (asyncio.CancelledError, StreamClosedError):
            if not (self.disconnected or self._dropped):
                raise
        finally:
            self._work = None

    def read_json(self) -> Any:
        """Return the request body as a dict.

        If the body is not a JSON object, send a 400 response and return None.
        """
        try:
            body = json.loads(self.request.body)
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            self.respond_error(400, self.not_json)
            return None
        return body

    def check_token(self, slug: str | None = None) -> bool:
        """Return True if the request has a valid bearer token.

        Otherwise, send a 401 response and return False. The account's API key is always valid.

        Args:
            slug: the agent whose client token is also valid; None to accept only the API key.
        """
        client_token = self.state.client_tokens.get(slug or "")
        if self.has_bearer_token(self.state.token) or (
            client_token is not None and self.has_bearer_token(client_token)
        ):
            return True
        self.respond_error(401, self.unauthorized)
        return False

    def has_bearer_token(self, token: str) -> bool:
        """Return True if `token` is the bearer token in the request's Authorization header."""
        header = self.request.headers.get("Authorization", "").encode()
        return hmac.compare_digest(header, f"Bearer {token}".encode())

    def check_requirement(self, agent: Agent) -> bool:
        """Return True if the agent is able to answer.

        Otherwise, send a 400 response and return False. The response says what is missing, such as
        a package to install.
        """
        if agent.unmet_requirement is None or not (reason := agent.unmet_requirement()):
            return True
        self.respond_error(400, reason)
        return False

    def take_fault(self, agent: str | None = None, path: str | None = None) -> Fault | None:
        """Return the fault to apply to this request, or None for a correct response.

        A fault comes from the request header `X-Sandbox-Fault`. Without this header, the fault
        comes from the queue of faults. If the queue has no matching fault, a slug `fault-<name>`
        selects the fault. An invalid header results in a fault with status 400. A fault from the
        queue counts as used.

        Args:
            agent: the slug that the request names; None on routes without an agent.
            path: the URL path to look up in the queue; None for the request's path.
        """
        if (header := self.request.headers.get(HEADER)) is not None:
            try:
                return parse_fault(header)
            except ValueError as error:
                return Fault(status=400, message=str(error))
        return self.state.faults.take(path or self.request.path, agent) or fault_for_agent(agent)

    async def respond_fault(self, fault: Fault | None) -> bool:
        """Send the response that a fault defines, and return True.

        Some faults only change the agent's reply. For such a fault and for None, send nothing and
        return False: the caller must send the response. The fault's delay and headers are always
        applied.
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
        """Send an error response.

        `shape` is the format of the body, one of `ERROR_SHAPES`. None means the dialect's own
        format.
        """
        content_type, body = error_body(shape or self.error_shape, status, message)
        self.set_status(status)
        self.set_header("Content-Type", content_type)
        self.finish(body)

    def respond_json(self, value: Any) -> None:
        """Send a value as the JSON body of the response."""
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(encode_json(value))

    async def send_chunk(self, data: bytes) -> None:
        """Send a part of a streamed response, and wait until it is written to the socket."""
        self.write(data)
        await self.flush()

    def store_file(self, file: File) -> str:
        """Store a file that an agent generated, and return the file's download URL."""
        return self.absolute_url(self.state.uploads.add(file.content, file.type, file.name))

    def absolute_url(self, path: str) -> str:
        """Return the absolute URL of a path on this server.

        The URL contains the host that the client used.
        """
        return f"{self.request.protocol}://{self.request.host}{path}"

    def drop_connection(self, *, reset: bool) -> None:
        """Close the connection to the client before the response is complete.

        If `reset` is True, the client gets a connection reset (TCP RST) in place of a normal close.
        """
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
        """Send the buffered output, and record when the response started."""
        if self.record.first_byte is None and not (self.disconnected or self._dropped):
            now = time.monotonic()
            self.state.requests.update(self.record, first_byte=now, status=self.get_status())
        return super().flush(include_footers)

    def on_connection_close(self) -> None:
        """Cancel the response. Tornado calls this method when the client disconnects."""
        if self._dropped:
            return
        self.disconnected = True
        if not self.state.stopping:
            self.state.requests.update(self.record, disconnected=True)
        if self._work is not None:
            self._work.cancel()
        self._record_end()

    def on_finish(self) -> None:
        """Record the end of the response. Tornado calls this method after a complete response."""
        self._record_end()

    def _record_end(self) -> None:
        if self._counted:
            self._counted = False
            self.state.requests.update(self.record, ended=time.monotonic())
            self.state.requests.response_ended()

    def write_error(self, status_code: int, **_kwargs: Any) -> None:
        """Send an error response for an error that tornado raised.

        The response has the dialect's own error format. Tornado's default is an HTML page.
        """
        self.respond_error(status_code, self._reason)

    def compute_etag(self) -> None:
        """Return None, so that tornado sends no ETag and never responds with status 304."""

    def log_exception(self, *_args: Any) -> None:
        """Do nothing, so that tornado does not log exceptions."""


class NotFoundHandler(DialectHandler):
    """Tornado request handler that responds 404 to every path without a route."""

    def prepare(self) -> None:
        """Add the request to the log, and send a 404 response for every HTTP method."""
        super().prepare()
        self.respond_error(404, f"{self.request.method} {self.request.path} is not a route")


def encode_json(value: Any) -> bytes:
    """Encode a value as compact UTF-8 JSON, like `JSON.stringify` in JavaScript.

    If the value contains a lone surrogate, all non-ASCII characters are escaped.
    """
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # a lone surrogate: UTF-8 can't encode it, a JSON escape can
        return json.dumps(value, separators=(",", ":")).encode()
