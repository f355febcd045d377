"""The agent `smollm2`: a real small model, run by llama.cpp in a process of its own."""

import asyncio
import contextlib
import json
import secrets
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .agents import Agent, AgentFailed, AgentRefused, Counts, Question
from .model import ModelUnavailable, missing, weights

LONGEST = 1024
"""Tokens of an answer when the question sets no limit: a small model may never stop by itself."""
INSTRUCTION = {"role": "system", "content": "You are a helpful assistant."}
"""Given when the question brings no instructions: with the long ones of the model's own template
it wanders off (measured: it names France's capital with these and not with those)."""
OK = 200


class Llama:
    """One llama.cpp, started on the first question; its answers stream, and stop when closed."""

    def __init__(self, *, threads: int = 1, seed: int | None = None) -> None:
        self._threads = threads
        self._seed = seed
        self._key = secrets.token_hex(16)
        self._starting = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._url = ""

    def agent(self) -> Agent:
        """This model as an agent of the sandbox."""
        name = "SmolLM2 135M: a real small model on this machine"
        return Agent(self.answer, name, takes_question=True, missing=missing)

    def start(self) -> str:
        """Loads the model unless it is loaded; returns where it listens. Takes a second; blocks."""
        with self._starting:
            if self._process is not None and self._process.poll() is None:
                return self._url
            self._end()
            reason = missing()
            if reason:
                raise ModelUnavailable(reason)
            script = Path(__file__).with_name("llama_process.py")
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, our module
                # -P: the script's own folder stays off the path, where its siblings would hide
                # libraries of the same name.
                [sys.executable, "-P", str(script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            self._url = self._order(self._process)
            return self._url

    def stop(self) -> None:
        """Ends the process and gives its memory back."""
        with self._starting:
            self._end()

    def disown(self) -> None:
        """In a forked child: the process belongs to the parent."""
        process, self._process = self._process, None
        if process is not None:
            process.returncode = 0
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    async def answer(self, question: Question) -> AsyncGenerator[str | Counts, None]:
        """Streams the model's tokens as they are made, then llama.cpp's own counts."""
        loop = asyncio.get_running_loop()
        try:
            url = await loop.run_in_executor(None, self.start)
        except ModelUnavailable as error:
            raise AgentRefused(str(error)) from error
        finish = "stop"
        async with contextlib.aclosing(self._events(url, self._body(question))) as events:
            async for event in events:
                if "error" in event:
                    raise AgentFailed(_complaint(json.dumps(event).encode()))
                for choice in event.get("choices") or ():
                    finish = choice.get("finish_reason") or finish
                    if text := choice["delta"].get("content"):
                        yield text
                if usage := event.get("usage"):
                    yield Counts(usage["prompt_tokens"], usage["completion_tokens"], finish)

    def _body(self, question: Question) -> dict[str, Any]:
        said = question.messages
        instructions = () if said[0]["role"] == "system" else (INSTRUCTION,)
        body: dict[str, Any] = {
            "messages": (*instructions, *({k: m[k] for k in ("role", "content")} for m in said)),
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": LONGEST if question.max_tokens is None else question.max_tokens,
        }
        if question.temperature is not None:
            body["temperature"] = question.temperature
        if self._seed is not None:
            body["seed"] = self._seed
        return body

    async def _events(self, url: str, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        # Closing the connection is what stops llama.cpp, whether it reads, waits or writes.
        place = urlsplit(url)
        reader, writer = await asyncio.open_connection(place.hostname, place.port, limit=1 << 20)
        try:
            payload = json.dumps(body).encode()
            writer.write(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: llama\r\nConnection: close\r\n"
                b"Content-Type: application/json\r\nAuthorization: Bearer %s\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (self._key.encode(), len(payload), payload)
            )
            status, chunked = await _head(reader)
            if status != OK:
                raise AgentRefused(_complaint(await reader.read()))
            async for line in _lines(reader, chunked=chunked):
                if line.startswith(b"data: {"):
                    yield json.loads(line[6:])
                elif line.startswith(b"error: "):
                    raise AgentFailed(_complaint(b'{"error":' + line[7:] + b"}"))
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            raise AgentFailed("llama.cpp ended in the middle of an answer") from error
        finally:
            writer.close()

    def _order(self, process: subprocess.Popen[str]) -> str:
        assert process.stdin is not None
        assert process.stdout is not None
        order = {"weights": str(weights()), "key": self._key, "threads": self._threads}
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
        line = process.stdout.readline()
        reply = json.loads(line) if line else {"error": "it ended while loading"}
        if "error" in reply:
            self._end()
            raise ModelUnavailable(f"llama.cpp did not start: {reply['error']}")
        return str(reply["url"])

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()  # it holds nothing worth saving
            process.communicate()


async def _head(reader: asyncio.StreamReader) -> tuple[int, bool]:
    head = await reader.readuntil(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), b"transfer-encoding: chunked" in head.lower()


async def _lines(reader: asyncio.StreamReader, *, chunked: bool) -> AsyncIterator[bytes]:
    rest = b""
    while True:
        size = int(await reader.readuntil(b"\r\n"), 16) if chunked else 1 << 16
        block = await (reader.readexactly(size + 2) if chunked else reader.read(size))
        data = block[:size]
        if not data:
            break
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            yield line


def _complaint(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return "llama.cpp refused: " + body[:200].decode(errors="replace")
