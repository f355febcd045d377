"""The file routes: PUT a file once to its signed URL, GET it as often as wanted."""

from html import escape
from urllib.parse import quote

from .handler import DialectHandler, Route
from .state import SandboxState
from .uploads import ROOT, UploadRefused


def routes(state: SandboxState) -> list[Route]:
    """Return the routes of stored files; a fault for all of them has the path "/files/"."""
    return [(ROOT + r"[^/]+/[^/]+", StorageHandler, {"state": state})]


class StorageHandler(DialectHandler):
    """Handler of /files/...: behaves like an object store, so its errors are XML."""

    async def put(self) -> None:
        """Store the body and its content type under the signed URL."""
        request = self.request
        if await self.respond_fault(self.take_fault(path=ROOT)):
            return
        if "Authorization" in request.headers:
            # The answer of such stores to a signed URL with a second credential.
            self.respond_error(400, "Only one auth mechanism allowed")
            return
        try:
            content_type = request.headers.get("Content-Type")
            self.state.uploads.receive(request.path, request.query, request.body, content_type)
        except UploadRefused as refused:
            self.respond_error(403, str(refused))
        else:
            self.finish()

    async def get(self) -> None:
        """Send the stored bytes; no credential is needed."""
        if await self.respond_fault(self.take_fault(path=ROOT)):
            return
        stored = self.state.uploads.find(self.request.path)
        if stored is None or stored.content is None:
            self.respond_error(404, "The specified key does not exist")
            return
        self.set_header("Content-Type", stored.type)
        self.set_header("Content-Disposition", f"inline; filename*=UTF-8''{quote(stored.name)}")
        # An uploaded HTML page must not run scripts with this server's origin.
        self.set_header("Content-Security-Policy", "sandbox")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Access-Control-Allow-Origin", "*")
        self.finish(stored.content)

    def respond_error(self, status: int, message: str, shape: str | None = None) -> None:
        """Send an error as XML, or in the given shape if a fault asks for one."""
        if shape is not None:
            super().respond_error(status, message, shape)
            return
        self.set_status(status)
        self.set_header("Content-Type", "application/xml")
        self.finish(f"<?xml version='1.0'?><Error><Message>{escape(message)}</Message></Error>")
