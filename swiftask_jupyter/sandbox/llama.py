"""Implement the agent `smollm2`, a small language model.

llama.cpp runs the model in a child process.
"""

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

from .agents import Agent, AgentFailed, AgentInput, AgentRefused, TokenCounts
from .model_weights import ModelUnavailable, unmet_requirement, weights_path

DEFAULT_MAX_TOKENS = 1024
"""The token limit for prompts that set no limit, because a small model may never stop by itself."""
SYSTEM_MESSAGE = {"role": "system", "content": "You are a helpful assistant."}
"""The system message for prompts without one. It replaces the longer default of the model's chat
template, which makes the answers worse (measured: only with this short message does the model name
the capital of France)."""
OK = 200


class LlamaServer:
    """A llama.cpp server in a child process.

    The first prompt starts the child process. `answer` streams a reply. To stop a reply, close the
    generator that `answer` returns.

    Args:
        threads: the number of CPU threads for the model.
        seed: the sampling seed for repeatable replies; None for a random seed.
    """

    def __init__(self, *, threads: int = 1, seed: int | None = None) -> None:
        self._threads = threads
        self._seed = seed
        self._key = secrets.token_hex(16)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._url = ""

    def agent(self) -> Agent:
        """Return an `Agent` of the sandbox that replies with this model."""
        name = "SmolLM2 135M: a real small model on this machine"
        return Agent(self.answer, name, takes_prompt=True, unmet_requirement=unmet_requirement)

    def start(self) -> str:
        """Start the llama.cpp server, and return the server's URL.

        This method blocks for about a second. If the server is already running, return the URL at
        once.

        Raises:
            ModelUnavailable: the model is not installed, or llama.cpp can't load the model.
        """
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                return self._url
            self._kill()
            reason = unmet_requirement()
            if reason:
                raise ModelUnavailable(reason)
            script = Path(__file__).with_name("llama_process.py")
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, our module
                # -P keeps the script's folder off sys.path; its modules, such as `openai.py`,
                # would shadow installed libraries of the same name.
                [sys.executable, "-P", str(script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            self._url = self._load_model(self._process)
            return self._url

    def stop(self) -> None:
        """End the child process. Do nothing if no child process is running."""
        with self._lock:
            self._kill()

    def disown(self) -> None:
        """Forget the child process, but let the child process continue.

        A forked copy of the Python process calls this method. The child process belongs to the
        original Python process.
        """
        process, self._process = self._process, None
        if process is not None:
            process.returncode = 0
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    async def answer(self, prompt: AgentInput) -> AsyncGenerator[str | TokenCounts, None]:
        """Yield the reply token by token, and finally one `TokenCounts`.

        Raises:
            AgentRefused: the model is not installed, or llama.cpp rejects the prompt.
            AgentFailed: llama.cpp reports an error or ends in the middle of the reply.
        """
        loop = asyncio.get_running_loop()
        try:
            url = await loop.run_in_executor(None, self.start)
        except ModelUnavailable as error:
            raise AgentRefused(str(error)) from error
        finish_reason = "stop"
        async with contextlib.aclosing(self._events(url, self._body(prompt))) as events:
            async for event in events:
                if "error" in event:
                    raise AgentFailed(_error_message(json.dumps(event).encode()))
                for choice in event.get("choices") or ():
                    finish_reason = choice.get("finish_reason") or finish_reason
                    if text := choice["delta"].get("content"):
                        yield text
                if usage := event.get("usage"):
                    counts = usage["prompt_tokens"], usage["completion_tokens"]
                    yield TokenCounts(*counts, finish_reason)

    def _body(self, prompt: AgentInput) -> dict[str, Any]:
        messages = prompt.messages
        system = () if messages[0]["role"] == "system" else (SYSTEM_MESSAGE,)
        body: dict[str, Any] = {
            "messages": (*system, *({k: m[k] for k in ("role", "content")} for m in messages)),
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": DEFAULT_MAX_TOKENS if prompt.max_tokens is None else prompt.max_tokens,
        }
        if prompt.temperature is not None:
            body["temperature"] = prompt.temperature
        if self._seed is not None:
            body["seed"] = self._seed
        return body

    async def _events(self, url: str, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        # Plain sockets, because closing the connection stops llama.cpp at once, no matter whether
        # it is processing the prompt, waiting or generating.
        address = urlsplit(url)
        reader, writer = await asyncio.open_connection(
            address.hostname, address.port, limit=1 << 20
        )
        try:
            payload = json.dumps(body).encode()
            writer.write(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: llama\r\nConnection: close\r\n"
                b"Content-Type: application/json\r\nAuthorization: Bearer %s\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (self._key.encode(), len(payload), payload)
            )
            status, chunked = await _read_head(reader)
            if status != OK:
                raise AgentRefused(_error_message(await reader.read()))
            async for line in _read_lines(reader, chunked=chunked):
                if line.startswith(b"data: {"):
                    yield json.loads(line[6:])
                elif line.startswith(b"error: "):
                    raise AgentFailed(_error_message(b'{"error":' + line[7:] + b"}"))
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            raise AgentFailed("llama.cpp ended in the middle of an answer") from error
        finally:
            writer.close()

    def _load_model(self, process: subprocess.Popen[str]) -> str:
        """Send the load options to the child process, and return the URL of the llama.cpp server.

        Raises:
            ModelUnavailable: the child process reports an error or ends.
        """
        assert process.stdin is not None
        assert process.stdout is not None
        order = {"weights": str(weights_path()), "key": self._key, "threads": self._threads}
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
        line = process.stdout.readline()
        response = json.loads(line) if line else {"error": "the process ended while loading"}
        if "error" in response:
            self._kill()
            raise ModelUnavailable(f"llama.cpp did not start: {response['error']}")
        return str(response["url"])

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()  # it has no state worth saving
            process.communicate()


async def _read_head(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """Read the head of an HTTP response.

    Return the HTTP status, and True if the body is chunked.
    """
    head = await reader.readuntil(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), b"transfer-encoding: chunked" in head.lower()


async def _read_lines(reader: asyncio.StreamReader, *, chunked: bool) -> AsyncIterator[bytes]:
    rest = b""
    while True:
        size = int(await reader.readuntil(b"\r\n"), 16) if chunked else 1 << 16
        block = await (reader.readexactly(size + 2) if chunked else reader.read(size))
        data = block[:size]
        if not data:
            break
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line


def _error_message(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return "llama.cpp refused: " + body[:200].decode(errors="replace")
