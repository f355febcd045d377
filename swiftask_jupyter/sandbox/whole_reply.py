"""An answer told whole, at the end: the same for every dialect but in how it is written."""

import contextlib
from collections.abc import Callable

from .agents import AgentFailed, AgentRefused
from .handler import DialectHandler
from .turn import Cut, Quirk, Turn

JSON = "application/json; charset=utf-8"


class WholeReplyHandler(DialectHandler):
    """A request whose answer may be one body."""

    async def tell(
        self,
        turn: Turn,
        written: Callable[[str], bytes],
        *,
        kind: str = JSON,
        failed: Callable[[str], None] | None = None,
    ) -> str | None:
        """Answers with what the agent says, as `written` writes it; its text if it succeeded.

        `failed` answers in place of a 500 when the agent fails, and is given the reason.
        """
        said: list[str] = []
        try:
            return await self._whole(turn, written, kind, said)
        except AgentRefused as error:
            self.refuse(400, str(error))
        except AgentFailed as error:
            if failed is None:
                self.refuse(500, str(error))
            else:
                failed(str(error))
        except Cut:
            half = written("".join(said))
            self.set_header("Content-Type", kind)
            self.set_header("Content-Length", str(2 * len(half) + 1))
            await self.send(half)
            raise
        return None

    async def _whole(
        self, turn: Turn, written: Callable[[str], bytes], kind: str, said: list[str]
    ) -> str | None:
        garbled = False
        async with contextlib.aclosing(turn.pieces()) as pieces:
            async for piece in pieces:
                if piece is Quirk.ERROR:
                    # The status says success and the body does not (contract: any status).
                    self.refuse(200, turn.fault.message)
                    return None
                garbled = garbled or piece is Quirk.GARBAGE
                said.append(piece if isinstance(piece, str) else "")
        whole = "".join(said)
        self.set_header("Content-Type", kind)
        self.finish(b'{"torn' + written(whole) if garbled else written(whole))
        return whole
