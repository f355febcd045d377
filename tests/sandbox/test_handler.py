"""What all dialects have in common: connections, disconnects, JSON, methods."""

import asyncio
import http.client
import json
import threading

from swiftask_jupyter.sandbox.handler import encode_json
from swiftask_jupyter.sandbox.server import Sandbox
from tests.support.sandbox_requests import COMPLETIONS, HELLO, completion_request, http_client


def test_a_connection_is_reused_for_the_next_request(box):
    connection = http.client.HTTPConnection("127.0.0.1", int(box.url.rpartition(":")[2]))
    ports = set()
    for stream in (False, True, False):
        headers = {"Authorization": f"Bearer {box.token}"}
        connection.request("POST", COMPLETIONS, json.dumps(HELLO | {"stream": stream}), headers)
        assert connection.getresponse().read()
        ports.add(connection.sock.getsockname())
    connection.close()

    assert len(ports) == 1


def test_a_disconnect_is_noticed_while_the_agent_waits():
    closed = threading.Event()

    async def endless(_messages):
        try:
            yield "first"
            await asyncio.Event().wait()
        finally:
            closed.set()

    with Sandbox(agents={"mine": endless}) as box, http_client(box) as client:
        with client.stream(
            "POST", COMPLETIONS, json=completion_request("mine", stream=True)
        ) as response:
            lines = response.iter_lines()  # kept, because deleting it closes the connection
            next(lines)
            assert box.open_streams == 1

        assert box.wait_for(lambda: box.requests[-1].disconnected)
        assert box.wait_for(lambda: box.open_streams == 0)
        assert closed.wait(10)
        assert box.requests[-1].ended is not None


def test_an_unknown_method_is_status_405(account):
    assert account.request("PROPFIND", COMPLETIONS).status_code == 405


def test_a_lone_surrogate_is_returned_unchanged(account):
    body = json.dumps(completion_request(text="\ud83c!")).encode()
    response = account.post(COMPLETIONS, content=body)

    assert json.loads(response.content)["choices"][0]["message"]["content"] == "\ud83c!"


def test_json_is_compact_utf8_unless_a_lone_surrogate_forbids_it():
    assert encode_json({"a": ["é", 1]}) == '{"a":["é",1]}'.encode()
    assert encode_json("é\ud83c") == b'"\\u00e9\\ud83c"'
