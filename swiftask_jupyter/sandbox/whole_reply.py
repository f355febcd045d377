"""Send an agent's complete reply as one response body."""

import contextlib
from collections.abc import Callable

from .agent_run import AgentRun, DropConnection, StreamFault
from .agents import AgentFailed, AgentRefused
from .handler import DialectHandler

JSON = "application/json; charset=utf-8"


class WholeReplyHandler(DialectHandler):
    """Base class of request handlers that send an agent's complete reply as one response body."""

    async def respond_whole(
        self,
        run: AgentRun,
        encode: Callable[[str], bytes],
        *,
        content_type: str = JSON,
        on_failure: Callable[[str], None] | None = None,
    ) -> str | None:
        """Run an agent, and send the complete reply as one response body.

        If the agent fails, send an error response. If a fault closes the connection, send the
        incomplete reply with a Content-Length that is too large.

        Args:
            run: the prompt to answer, and the agent that answers.
            encode: a function that converts the text of the reply to the response body.
            content_type: the Content-Type of the response.
            on_failure: a function that sends the response if the agent fails. The argument is the
                error message. None means a response with status 500.

        Returns:
            The text of the reply. None if the agent failed or a fault replaced the reply with an
            error.

        Raises:
            DropConnection: the fault closes the connection.
        """
        texts: list[str] = []
        try:
            return await self._collect_and_send(run, encode, content_type, texts)
        except AgentRefused as error:
            self.respond_error(400, str(error))
        except AgentFailed as error:
            if on_failure is None:
                self.respond_error(500, str(error))
            else:
                on_failure(str(error))
        except DropConnection:
            half = encode("".join(texts))
            self.set_header("Content-Type", content_type)
            self.set_header("Content-Length", str(2 * len(half) + 1))
            await self.send_chunk(half)
            raise
        return None

    async def _collect_and_send(
        self, run: AgentRun, encode: Callable[[str], bytes], content_type: str, texts: list[str]
    ) -> str | None:
        invalid = False
        async with contextlib.aclosing(run.pieces()) as pieces:
            async for piece in pieces:
                if piece is StreamFault.ERROR:
                    # An error body with status 200, because clients must handle this case too.
                    self.respond_error(200, run.fault.message)
                    return None
                invalid = invalid or piece is StreamFault.GARBAGE
                texts.append(piece if isinstance(piece, str) else "")
        text = "".join(texts)
        self.set_header("Content-Type", content_type)
        self.finish(b'{"torn' + encode(text) if invalid else encode(text))
        return text
