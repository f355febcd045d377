"""Replies sent as one body, once they are complete."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from swiftask_jupyter.sandbox.agents import AgentRefused
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.sandbox.server import Sandbox
from tests.support.sandbox_requests import ask_native, http_client


def test_nothing_is_sent_before_the_reply_is_complete():
    going_on = threading.Event()

    def halting(_messages):
        yield "first "
        going_on.wait(30)
        yield "second"

    with (
        Sandbox(agents={"mine": halting}) as box,
        http_client(box) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        waiting = pool.submit(ask_native, client, "mine")
        assert box.wait_for(lambda: box.open_streams == 1)
        assert box.requests[-1].first_byte is None
        going_on.set()
        assert waiting.result().json()["text"] == "first second"


def test_a_disconnect_is_noticed_before_the_reply_is_complete(box, account):
    with pytest.raises(httpx.ReadTimeout):
        account.post("/api/ai/slow", json={"input": "x"}, timeout=0.3)

    assert box.wait_for(lambda: box.open_streams == 0) is True
    assert box.requests[-1].disconnected is True


def test_a_response_can_be_cut_reset_invalid_or_replaced(box, account):
    box.fail(Fault(cut_after=1))
    with pytest.raises(httpx.RemoteProtocolError):
        ask_native(account)
    box.fail(Fault(reset_after=0))
    with pytest.raises(httpx.ReadError):
        ask_native(account)
    box.fail(Fault(garbage_after=0))
    with pytest.raises(json.JSONDecodeError):
        ask_native(account).json()
    box.fail(Fault(body="<b>down</b>", content_type="text/html", status=502))
    assert ask_native(account).text == "<b>down</b>"


def test_a_cut_response_promises_more_bytes_than_it_sends(box, account):
    box.fail(Fault(cut_after=1))
    url = f"{box.url}/api/ai/echo"
    received = []
    with account.stream("POST", url, json={"input": "hello"}) as response:
        promised = int(response.headers["content-length"])
        with pytest.raises(httpx.RemoteProtocolError):
            received.extend(response.iter_raw())

    body = b"".join(received)
    assert json.loads(body)["text"] == "hell"
    assert promised == 2 * len(body) + 1


def test_an_agent_that_refuses_the_prompt_is_status_400():
    def refuse(_messages):
        raise AgentRefused("not this one")

    with Sandbox(agents={"mine": refuse}) as box, http_client(box) as client:
        response = ask_native(client, "mine")

    assert (response.status_code, response.json()) == (400, {"error": "not this one"})
