"""The network."""

from __future__ import annotations

from swiftask_jupyter.transport.client import Transport
from swiftask_jupyter.transport.gates import Gate

__all__ = ["Gate", "Transport"]
