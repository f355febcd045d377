"""Responses that are written down as JSON: serves them on a raw socket and compares the outcome.

`tests/protocols/fixtures/README.md` explains the fields of a case.
"""

import contextlib
import gzip
import json
import time
from pathlib import Path

import pandas as pd

from swiftask_jupyter import Swiftask, errors
from tests.support.servers import RawServer, chunk

FIXTURES = Path(__file__).parents[1] / "protocols" / "fixtures"
BETWEEN_PIECES = 0.02  # seconds
PATHS = {"openai": "/v1", "native": "/api", "chat": "/v1/api"}
TIMEOUT = 15
COUNTS = ("input_tokens", "output_tokens", "total_tokens")


def load(name):
    """Return the cases of a file, and their names for pytest."""
    cases = json.loads((FIXTURES / name).read_text("utf-8"))
    return cases, [case["name"] for case in cases]


def _head(case):
    lines = [f"HTTP/1.1 {case['status']} OK"]
    if case.get("content_type"):
        lines.append(f"Content-Type: {case['content_type']}")
    lines += [f"{name}: {value}" for name, value in case.get("headers", {}).items()]
    if case.get("gzip_each"):
        lines.append("Content-Encoding: gzip")
    lines.append("Transfer-Encoding: chunked" if case.get("chunked") else "Connection: close")
    return "\r\n".join([*lines, "", ""]).encode()


def serve(case):
    """Return a `serve` function of `RawServer` that answers each POST with the case's response."""

    def answer(server, connection):
        while (request := server.read_request(connection)) is not None:
            if not request.startswith(b"POST"):
                connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                continue
            connection.sendall(_head(case))
            for piece in case["pieces"]:
                time.sleep(BETWEEN_PIECES)
                data = piece.encode()
                data = gzip.compress(data) if case.get("gzip_each") else data
                connection.sendall(chunk(data) if case.get("chunked") else data)
            if case.get("chunked") == "open":
                connection.recv(1)  # until the client closes, or for the socket's timeout of 20 s
            return

    return answer


def ask(case, base_url):
    """Ask one prompt by the public API; return the text, the error's line and the ledger's row."""
    error = ""
    with Swiftask(
        base_url=base_url, token="t0ken", agent="agent", dialect=case["dialect"]
    ) as client:
        stream = client.stream("hello", timeout=TIMEOUT)
        text = []
        with contextlib.closing(stream):
            try:
                text += (getattr(event, "text", "") for event in stream)
            except errors.SwiftaskError as caught:
                error = str(caught)
        row = client.usage().iloc[0]
    return "".join(text), error, row


def outcome(case, base_url=None):
    """Serve a case, ask, and return what differs from its expectations; `{}` if nothing does."""
    with RawServer(serve(case)) as server:
        started = time.monotonic()
        text, error, row = ask(case, base_url or server.url)
        return differences(case["expect"], text, error, row, time.monotonic() - started)


def differences(expect, text, error, row, seconds=0.0):
    """Return the expectations that do not hold, with what was found instead."""
    found = {"status": row["status"], "finish_reason": row["finish_reason"]}
    found |= {name: None if pd.isna(row[name]) else int(row[name]) for name in COUNTS}
    wrong = {name: found[name] for name in found.keys() & expect.keys()
             if found[name] != expect[name]}  # fmt: skip
    if "text" in expect and text != expect["text"]:
        wrong["text"] = text
    if expect.get("text_has", "") not in text:
        wrong["text_has"] = text
    if expect.get("error_has", "") not in error:
        wrong["error_has"] = error
    if "error_lacks" in expect and expect["error_lacks"] in error:
        wrong["error_lacks"] = error
    if seconds > expect.get("within", TIMEOUT):
        wrong["within"] = seconds
    if wrong and error:
        wrong["error"] = error
    return wrong
