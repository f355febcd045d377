"""A stand-in for the service: `with Sandbox() as box: box.url`.

Written from the service's documents alone; it imports nothing of this package outside this
folder, so that a test against it compares two separate readings of those documents.
"""

from .agents import Agent, Counts, File
from .faults import Fault
from .forever import serve_forever
from .model import ModelUnavailable, fetch_weights, weights
from .requests import Seen
from .server import Sandbox

__all__ = [
    "Agent",
    "Counts",
    "Fault",
    "File",
    "ModelUnavailable",
    "Sandbox",
    "Seen",
    "fetch_weights",
    "serve_forever",
    "weights",
]
