"""A stand-in for the service: `with Sandbox() as box: box.url`.

Written from the service's documents alone; it imports nothing of this package outside this
folder, so that a test against it compares two separate readings of those documents.
"""

from .agents import Agent, Counts, File
from .faults import Fault
from .model import ModelUnavailable, fetch_weights, weights
from .requests import RecordedRequest
from .server import Sandbox, serve_forever

__all__ = [
    "Agent",
    "Counts",
    "Fault",
    "File",
    "ModelUnavailable",
    "RecordedRequest",
    "Sandbox",
    "fetch_weights",
    "serve_forever",
    "weights",
]
