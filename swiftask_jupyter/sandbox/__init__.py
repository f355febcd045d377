"""A local server that speaks the documented HTTP APIs: `with Sandbox() as box: box.url`.

The sandbox is written from the documents of the services alone. It imports nothing of this
package outside this folder, so that a test of our client against it compares two separate
readings of the documents.
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
