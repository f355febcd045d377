"""A large body sent bit by bit, with how far it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from swiftask_jupyter.protocols import Request

LARGE = 1024 * 1024  # bytes of a body from which on its progress is told
PIECE = 256 * 1024
BAR = 20  # characters


async def in_pieces(request: Request, note: Callable[[str], None]) -> AsyncIterator[bytes]:
    """Yield a large body bit by bit, and say how far it is."""
    content = request.content
    for at in range(0, len(content), PIECE):
        note(f"sending {request.label or 'a file'} {bar(at, len(content))}")
        yield content[at : at + PIECE]
    note("")


def bar(done: int, whole: int) -> str:
    """Return how far it is, as a bar and in words."""
    full = BAR * done // whole
    return f"{'█' * full}{'░' * (BAR - full)} {done >> 20} of {whole >> 20} MB"
