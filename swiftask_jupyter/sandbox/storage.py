"""Where signed URLs lead: PUT a file once, GET it as often as wanted."""

from html import escape
from urllib.parse import quote

from .handler import DialectHandler, Route
from .state import SandboxState
from .uploads import ROOT, SignatureRefused


def routes(room: SandboxState) -> list[Route]:
    """Where the files lie; faults are asked for with the path "/files/"."""
    return [(ROOT + r"[^/]+/[^/]+", StorageHandler, {"room": room})]


class StorageHandler(DialectHandler):
    """One file, kept as an object store keeps it; its errors are XML, as there."""

    async def put(self) -> None:
        """Takes the bytes, with the content type they are said to have."""
        asked = self.request
        if await self.misbehave(self.fault(path=ROOT)):
            return
        if "Authorization" in asked.headers:
            # What such stores answer when a signed URL comes with a second credential.
            self.refuse(400, "Only one auth mechanism allowed")
            return
        try:
            kind = asked.headers.get("Content-Type")
            self.room.uploads.receive(asked.path, asked.query, asked.body, kind)
        except SignatureRefused as refused:
            self.refuse(403, str(refused))
        else:
            self.finish()

    async def get(self) -> None:
        """Gives the bytes back, to anyone who knows where they are."""
        if await self.misbehave(self.fault(path=ROOT)):
            return
        stored = self.room.uploads.find(self.request.path)
        if stored is None or stored.content is None:
            self.refuse(404, "The specified key does not exist")
            return
        self.set_header("Content-Type", stored.type)
        self.set_header("Content-Disposition", f"inline; filename*=UTF-8''{quote(stored.name)}")
        self.set_header("Content-Security-Policy", "sandbox")  # a page in it can do nothing here
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Access-Control-Allow-Origin", "*")
        self.finish(stored.content)

    def refuse(self, status: int, message: str, shape: str | None = None) -> None:
        """Answers with an error, in XML unless a fault asks for another shape."""
        if shape is not None:
            super().refuse(status, message, shape)
            return
        self.set_status(status)
        self.set_header("Content-Type", "application/xml")
        self.finish(f"<?xml version='1.0'?><Error><Message>{escape(message)}</Message></Error>")
