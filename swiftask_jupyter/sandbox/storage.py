"""Serve stored files: PUT stores a file once at its signed URL, GET sends it as often as asked."""

from html import escape
from urllib.parse import quote

from .handler import DialectHandler, Route
from .state import SandboxState
from .uploads import ROOT, UploadRefused


def routes(state: SandboxState) -> list[Route]:
    """Return the tornado route for all stored files.

    A fault queued with the path "/files/" matches every request to this route.
    """
    return [(ROOT + r"[^/]+/[^/]+", StorageHandler, {"state": state})]


class StorageHandler(DialectHandler):
    """Tornado request handler for /files/..., which stores uploaded files and sends stored files.

    It imitates an object store such as Amazon S3, so its error responses are XML.
    """

    async def put(self) -> None:
        """Store the request body and its content type as the file at this signed URL.

        Respond 403 if the signature is wrong, expired or already used, and 400 if the request also
        has an Authorization header.
        """
        request = self.request
        if await self.respond_fault(self.take_fault(path=ROOT)):
            return
        if "Authorization" in request.headers:
            # Object stores send this error if a request to a signed URL has another credential.
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
        """Send the content of the stored file; no credential is needed.

        Respond 404 if the file does not exist or is not uploaded yet.
        """
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
        """Send an error response as XML, or in the format `shape` if a fault specifies one."""
        if shape is not None:
            super().respond_error(status, message, shape)
            return
        self.set_status(status)
        self.set_header("Content-Type", "application/xml")
        self.finish(f"<?xml version='1.0'?><Error><Message>{escape(message)}</Message></Error>")
