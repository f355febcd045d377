"""Create one tornado server that serves every dialect of the sandbox.

A dialect is one of the HTTP APIs that the sandbox imitates.
"""

from importlib import import_module
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.web import Application

from .handler import NotFoundHandler
from .state import SandboxState

DIALECTS = ("openai", "catalogue", "native", "widget", "chat", "agencii", "storage", "control")
"""The names of the modules in this folder that define routes, each in a function `routes(state)`.
To add a dialect, write a module for it and append the module's name here."""

MAX_BODY_BYTES = 128 * 1024 * 1024  # uploads may have 100 MB


def create_server(state: SandboxState) -> HTTPServer:
    """Return a tornado server with the routes of every dialect.

    The server does not listen on a port yet. All request handlers share `state`. A request for an
    unknown path gets status 404.
    """
    modules = [import_module(f".{name}", __package__) for name in DIALECTS]
    application = Application(
        [route for module in modules for route in module.routes(state)],
        default_handler_class=NotFoundHandler,
        default_handler_args={"state": state},
        log_function=_discard_access_log,
    )
    return HTTPServer(application, max_body_size=MAX_BODY_BYTES, max_buffer_size=2 * MAX_BODY_BYTES)


def _discard_access_log(_handler: Any) -> None:
    """Do nothing. Tornado calls this function to log a request."""
