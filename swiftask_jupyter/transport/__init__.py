"""The network."""

from __future__ import annotations

from swiftask_jupyter.transport.client import Transport

__all__ = ["Transport"]
