"""Run a local server that imitates HTTP APIs of AI services, for tests and offline use.

`with Sandbox() as box:` starts the server. `box.url` is the server's base URL.

The sandbox follows the services' documentation and responses that were observed. The sandbox shares
no code with the client `Swiftask`, so an error in the client is not repeated in the sandbox.
"""

from .agents import Agent, File, TokenCounts
from .faults import Fault
from .model_weights import ModelUnavailable, fetch_weights, weights_path
from .request_log import RecordedRequest
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
