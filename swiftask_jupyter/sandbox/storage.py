"""Serve stored files: PUT uploads a file to a signed URL, GET downloads a file.

A signed URL accepts only one upload.
"""

from html import escape
from urllib.parse import quote

from .handler import DialectHandler, Route
from .state import SandboxState
from .uploads import ROOT, UploadRefused


def routes(state: SandboxState) -> list[Route]:
    """Return the tornado route for all stored files.

    A queued fault with the path "/files/" applies to every stored file.
    """
    return [(ROOT + r"[^/]+/[^/]+", StorageHandler, {"state": state})]


class StorageHandler(DialectHandler):
    """Tornado request handler that stores and sends files: PUT and GET of /files/...

    The handler imitates an object store such as Amazon S3. Error responses are XML.
    """

    async def put(self) -> None:
        """Store the request body as the content of the file at the signed URL.

        If the signature is wrong, expired or already used, send a 403 response. If the request has
        an Authorization header, send a 400 response.
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
        """Send the content of a stored file. No token is needed.

        If the file does not exist or is not uploaded yet, send a 404 response.
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
        """Send an error response.

        `shape` is the format of the body, one of `ERROR_SHAPES`. None means XML.
        """
        if shape is not None:
            super().respond_error(status, message, shape)
            return
        self.set_status(status)
        self.set_header("Content-Type", "application/xml")
        self.finish(f"<?xml version='1.0'?><Error><Message>{escape(message)}</Message></Error>")
