"""Requests through a bare `Transport`: without a client, a session or a ledger."""

import asyncio
import contextlib

from swiftask_jupyter import errors
from swiftask_jupyter.answers.turn import Reply
from swiftask_jupyter.prompts.prompt import Prompt
from swiftask_jupyter.protocols.http import Request
from swiftask_jupyter.protocols.openai import OpenAI
from swiftask_jupyter.settings.secrets import Secret
from swiftask_jupyter.transport.client import Transport
from swiftask_jupyter.transport.connection import NO_HOOK

TOKEN = "s3cr3t-t0ken"


@contextlib.asynccontextmanager
async def open_transport():
    """Yield a transport, and close its connections at the end."""
    transport = Transport()
    try:
        yield transport
    finally:
        await transport.aclose()


async def fetch_body(transport, url):
    """Fetch a URL, and return the body."""
    _, body = await transport.fetch(Request("GET", url, {}))
    return body


def fetch_bodies(url, times=1):
    """Fetch a URL several times in sequence with one transport, and return the bodies."""

    async def fetch():
        async with open_transport() as transport:
            return [await fetch_body(transport, url) for _ in range(times)]

    return asyncio.run(fetch())


async def stream_reply(transport, protocol, read_timeout=None, hook=NO_HOOK):
    """Ask one prompt; return the reply with what arrived, and the error or `None`."""
    reply, prompt = Reply(agent="a"), Prompt("a", "hi", timeout=read_timeout)
    try:
        async with contextlib.aclosing(transport.stream(protocol, prompt, hook=hook)) as answer:
            async for events in answer:
                reply.apply(events)
    except errors.SwiftaskError as error:
        return reply, error
    return reply, None


async def ask(transport, url, dialect=OpenAI, **options):
    """Ask the service at a URL one prompt; return the reply and the error as `stream_reply`."""
    return await stream_reply(transport, dialect(f"{url}/v1", Secret(TOKEN)), **options)


def ask_once(url, **options):
    """Ask one prompt as `ask`, with a transport and an event loop for it alone."""

    async def run():
        async with open_transport() as transport:
            return await ask(transport, url, **options)

    return asyncio.run(run())
