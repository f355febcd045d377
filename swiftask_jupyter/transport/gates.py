"""When a request may leave: asked at the last moment, told of what came at the first."""

from __future__ import annotations

from swiftask_jupyter.protocols import Head


class Gate:
    """One that is always open; others may close when they hear that a service asks to wait."""

    def leaving(self) -> None:
        """Let the request go, or raise: nothing of it has been written yet.

        A connection is there, and nothing else happens in between.
        """

    def heard(self, head: Head) -> None:
        """Hear the head of the answer, before anything else is done with it."""


OPEN = Gate()
