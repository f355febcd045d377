"""Which dialects a sandbox speaks: each is a module here with `routes(room)`."""

from importlib import import_module
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.web import Application

from .handler import NotFoundHandler
from .state import SandboxState

DIALECTS = ("openai", "catalogue", "native", "widget", "chat", "agencii", "storage", "control")
"""A new dialect is a new file and its name in this line."""

LARGEST_BODY = 128 * 1024 * 1024  # an upload may have 100 MB


def server_for(room: SandboxState) -> HTTPServer:
    """A server with every dialect, all of them in the same room."""
    modules = [import_module(f".{name}", __package__) for name in DIALECTS]
    application = Application(
        [route for module in modules for route in module.routes(room)],
        default_handler_class=NotFoundHandler,
        default_handler_args={"room": room},
        log_function=_silently,
    )
    return HTTPServer(application, max_body_size=LARGEST_BODY, max_buffer_size=2 * LARGEST_BODY)


def _silently(_answered: Any) -> None:
    """Keeps tornado's access log to itself."""
