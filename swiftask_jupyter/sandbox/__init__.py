"""Run a local server that imitates the HTTP APIs of the AI services, for tests and offline use.

`with Sandbox() as box:` starts the server, and `box.url` is its base URL.

The sandbox is written from the services' documentation and observed responses. It imports nothing
else of `swiftask_jupyter`, so a test of the client against the sandbox compares two independent
implementations of the documentation.
"""

from .agents import Agent, File, TokenCounts
from .faults import Fault
from .model import ModelUnavailable, fetch_weights, weights_path
from .requests import RecordedRequest
from .server import Sandbox, serve_forever

__all__ = [
    "Agent",
    "Fault",
    "File",
    "ModelUnavailable",
    "RecordedRequest",
    "Sandbox",
    "TokenCounts",
    "fetch_weights",
    "serve_forever",
    "weights_path",
]
