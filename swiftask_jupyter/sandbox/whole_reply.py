"""Responses that hold an agent's whole reply, sent once the reply is complete."""

import contextlib
from collections.abc import Callable

from .agents import AgentFailed, AgentRefused
from .handler import DialectHandler
from .turn import ConnectionDropped, StreamFault, Turn

JSON = "application/json; charset=utf-8"


class WholeReplyHandler(DialectHandler):
    """Base class of handlers that respond with the whole reply of an agent."""

    async def respond_whole(
        self,
        turn: Turn,
        encode: Callable[[str], bytes],
        *,
        content_type: str = JSON,
        on_failure: Callable[[str], None] | None = None,
    ) -> str | None:
        """Collect the reply of a turn and send it as one body.

        If the fault of the turn drops the connection, half of the promised body is sent first.

        Args:
            turn: the turn, not yet started.
            encode: returns the response body for the reply's text.
            content_type: the Content-Type of that body.
            on_failure: called with the reason to respond in place of status 500, if the agent
                fails.

        Returns:
            The text of the reply; None if it failed.
        """
        texts: list[str] = []
        try:
            return await self._collect_and_send(turn, encode, content_type, texts)
        except AgentRefused as error:
            self.respond_error(400, str(error))
        except AgentFailed as error:
            if on_failure is None:
                self.respond_error(500, str(error))
            else:
                on_failure(str(error))
        except ConnectionDropped:
            half = encode("".join(texts))
            self.set_header("Content-Type", content_type)
            self.set_header("Content-Length", str(2 * len(half) + 1))
            await self.send_chunk(half)
            raise
        return None

    async def _collect_and_send(
        self, turn: Turn, encode: Callable[[str], bytes], content_type: str, texts: list[str]
    ) -> str | None:
        invalid = False
        async with contextlib.aclosing(turn.pieces()) as pieces:
            async for piece in pieces:
                if piece is StreamFault.ERROR:
                    # An error body with a status of success: clients must cope with that too.
                    self.respond_error(200, turn.fault.message)
                    return None
                invalid = invalid or piece is StreamFault.GARBAGE
                texts.append(piece if isinstance(piece, str) else "")
        text = "".join(texts)
        self.set_header("Content-Type", content_type)
        self.finish(b'{"torn' + encode(text) if invalid else encode(text))
        return text
