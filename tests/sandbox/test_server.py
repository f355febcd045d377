"""The stand-in on a real socket, against what the service's documents say; none of our client."""

import ast
import asyncio
import http.client
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from swiftask_jupyter.cli import main
from swiftask_jupyter.sandbox.agents import Agent, TokenCounts
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.sandbox.server import Sandbox

CHAT = "/v1/chat/completions"
HELLO = {"model": "echo", "messages": [{"role": "user", "content": "Hello there, friend 🌱"}]}
USAGE = {"stream_options": {"include_usage": True}}


@pytest.fixture
def box():
    with Sandbox() as box:
        yield box


@pytest.fixture
def client(box):
    with client_for(box) as client:
        yield client


def client_for(box):
    headers = {"Authorization": f"Bearer {box.token}"}
    return httpx.Client(base_url=box.url, headers=headers, timeout=30, trust_env=False)


def ask(agent="echo", text="hello", **more):
    return {"model": agent, "messages": [{"role": "user", "content": text}], **more}


def events(text):
    """The JSON of each data line; the closing mark as the string it is."""
    lines = [line[6:] for line in text.split("\n") if line.startswith("data: ")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def content(chunks):
    choices = [each["choices"][0] for each in chunks if each != "[DONE]" and each["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def streamed(client, body):
    return events(client.post(CHAT, json=body | {"stream": True}).raise_for_status().text)


# What the documents say


def test_a_question_is_answered_in_the_documented_shape(client):
    answer = client.post(CHAT, json=HELLO)

    assert answer.status_code == 200
    choice = answer.json()["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": "Hello there, friend 🌱"}
    assert choice["finish_reason"] == "stop"


def test_the_documented_curl_command_works_with_host_and_token_changed(box):
    """The documents print SDK samples; this is the request those SDKs make."""
    command = ["curl", "-sS", "--noproxy", "*", box.url + CHAT]
    command += ["-H", f"Authorization: Bearer {box.token}", "-H", "Content-Type: application/json"]
    body = ask(text="Hello, how can you help me?")
    try:
        said = subprocess.run(
            [*command, "-d", json.dumps(body)], capture_output=True, check=True, timeout=30
        )
    except FileNotFoundError:
        pytest.skip("curl is not installed here")

    message = json.loads(said.stdout)["choices"][0]["message"]["content"]
    assert message == "Hello, how can you help me?"


def test_the_stock_openai_sdk_works_streaming_and_not(box):
    openai = pytest.importorskip("openai", reason="the documents recommend this SDK")
    with openai.OpenAI(api_key=box.token, base_url=box.url + "/v1", max_retries=0) as sdk:
        messages = [{"role": "user", "content": "Tell me a story."}]
        whole = sdk.chat.completions.create(model="echo", messages=messages)
        stream = sdk.chat.completions.create(model="echo", messages=messages, stream=True)
        told = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
        with pytest.raises(openai.BadRequestError, match="nobody"):
            sdk.chat.completions.create(model="nobody", messages=messages)
        with pytest.raises(openai.AuthenticationError):
            sdk.with_options(api_key="wrong").chat.completions.create(
                model="echo", messages=messages
            )

    assert whole.choices[0].message.content == told == "Tell me a story."


def test_a_stream_is_pieces_then_finish_then_usage_then_done(client):
    answer = client.post(CHAT, json=HELLO | {"stream": True} | USAGE)

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["transfer-encoding"] == "chunked"
    *pieces, finish, usage, done = events(answer.text)
    assert pieces[0]["choices"][0]["delta"]["role"] == "assistant"
    assert content(pieces) == "Hello there, friend 🌱"
    assert finish["choices"][0] == {"index": 0, "delta": {}, "finish_reason": "stop"}
    assert usage["choices"] == []
    assert done == "[DONE]"


def test_usage_is_zero_beside_a_total_that_is_not_as_measured(client):
    """Measured: prompt and completion tokens 0 on every turn, the total non-zero."""
    whole = client.post(CHAT, json=HELLO).json()["usage"]
    usage = streamed(client, HELLO | USAGE)[-2]["usage"]

    assert whole == usage
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (0, 0)
    assert usage["total_tokens"] > 1


def test_a_stream_without_include_usage_has_no_usage_event(client):
    assert all(each == "[DONE]" or each["choices"] for each in streamed(client, HELLO))


@pytest.mark.parametrize(("usage", "counts"), [("counted", (3, 3, 6)), ("none", None)])
def test_a_sandbox_may_count_words_or_report_no_usage(usage, counts):
    with Sandbox(usage=usage) as box, client_for(box) as client:
        body = ask(text="one two three")
        whole = client.post(CHAT, json=body).json().get("usage")
        stream = streamed(client, body | USAGE)

    assert (whole and tuple(whole.values())) == counts
    assert any(each != "[DONE]" and not each["choices"] for each in stream) is bool(counts)


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Basic x", "Bearer x y", "Bearer \u00e9"])
def test_a_missing_or_wrong_key_is_401(box, header):
    headers = {} if header is None else {"Authorization": header.encode()}
    answer = httpx.post(box.url + CHAT, json=HELLO, headers=headers, trust_env=False)

    assert answer.status_code == 401
    assert "error" in answer.json()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": "nobody"}, "nobody"),
        ({"reasoning_effort": "low"}, '"reasoning_effort" is not allowed'),
        ({"messages": []}, '"messages" must'),
        ({"messages": [{"role": "user"}]}, '"messages" must'),
        ({"messages": [{"role": "king", "content": "x"}]}, '"messages" must'),
        ({"stream": "yes"}, '"stream" must be a boolean'),
        ({"max_tokens": 0}, '"max_tokens" must'),
        ({"temperature": True}, '"temperature" must'),
        ({"model": 3}, '"model" must be a string'),
    ],
)
def test_a_request_it_does_not_understand_is_400_and_says_why(client, change, words):
    """Documented: an unknown slug is 400, not 404. Measured: unknown keys are "not allowed"."""
    answer = client.post(CHAT, json=HELLO | change)

    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_400(client, body):
    assert client.post(CHAT, content=body).status_code == 400


@pytest.mark.parametrize("missing", ["model", "messages"])
def test_a_required_field_is_required(client, missing):
    body = {key: value for key, value in HELLO.items() if key != missing}
    answer = client.post(CHAT, json=body)

    assert answer.json()["error"]["message"] == f'"{missing}" is required'


def test_every_accepted_field_is_accepted(client):
    extra = {"temperature": 0.5, "max_tokens": 100, "stateless": True, "stream": False}
    assert client.post(CHAT, json=HELLO | extra | USAGE).status_code == 200


def test_the_model_list_is_a_stub_of_eight_with_or_without_a_key(box, client):
    with_key = client.get("/v1/models").json()
    without = httpx.get(box.url + "/v1/models", trust_env=False).json()

    assert with_key == without
    assert len(with_key["data"]) == 8
    assert "echo" not in {each["id"] for each in with_key["data"]}


def test_the_catalogue_lists_this_sandboxes_agents_without_a_key():
    with Sandbox(agents={"tool": Agent(lambda _: "x", "A tool", chat=False)}) as box:
        bots = httpx.get(box.url + "/public/bots", trust_env=False).json()

    by_slug = {each["slug"]: each for each in bots}
    assert set(by_slug) == {
        "echo", "lorem", "slow", "smollm2", "math", "mirror", "image", "image-markdown", "tool",
    }  # fmt: skip
    assert by_slug["tool"] == {"slug": "tool", "name": "A tool", "isChatLMM": False}
    assert by_slug["echo"]["isChatLMM"] is True


def test_an_unknown_path_is_404_in_json(client):
    answer = client.get("/v2/chat")

    assert answer.status_code == 404
    assert "/v2/chat" in answer.json()["error"]["message"]


def test_a_method_that_nobody_knows_is_405(client):
    assert client.request("PROPFIND", CHAT).status_code == 405


# Agents


def test_a_megabyte_comes_back_byte_for_byte_in_at_most_two_thousand_pieces(client):
    text = ('é🌱\u2028\x00\\" line\n' * 100_000)[: 1 << 20]
    chunks = streamed(client, ask(text=text))

    assert content(chunks) == text
    assert len(chunks) <= 2000


def test_half_a_surrogate_pair_comes_back_as_it_went(client):
    body = json.dumps(ask(text="\ud83c!")).encode()
    answer = client.post(CHAT, content=body)

    assert json.loads(answer.content)["choices"][0]["message"]["content"] == "\ud83c!"


def test_lorem_holds_everything_markdown_can_and_ends(client):
    box_text = client.post(CHAT, json=ask("lorem")).json()["choices"][0]["message"]["content"]

    everything = (
        "# ",
        "- [x]",
        "|:--",
        "```python",
        "~~",
        "> ",
        "$$",
        "$\\",
        "![",
        "---",
        "🌱",
        "ש",
    )
    assert [each for each in everything if each not in box_text] == []


def test_max_tokens_cuts_the_answer_and_says_length(client):
    chunks = streamed(client, ask(text="one two  three four", max_tokens=3))
    uncut = streamed(client, ask(text="one two  three", max_tokens=3))

    assert content(chunks) == "one two  three "
    assert chunks[-2]["choices"][0]["finish_reason"] == "length"
    assert uncut[-2]["choices"][0]["finish_reason"] == "stop"


async def counting(_messages):
    for number in range(3):
        yield str(number)


async def later(_messages):
    return ["a", "b"]


def drawn(messages):
    yield from (each["content"] for each in messages)


@pytest.mark.parametrize(
    ("agent", "answer"),
    [
        (lambda _: ["a", "b"], "ab"),
        (lambda _: "ab", "ab"),
        ("ab", "ab"),
        (counting, "012"),
        (later, "ab"),
        (drawn, "hello"),
        (lambda _: iter(()), ""),
        (lambda _: ["ab", TokenCounts(5, 7)], "ab"),
    ],
)
def test_an_agent_may_be_any_callable_that_gives_text(agent, answer):
    with Sandbox(agents={"mine": agent}) as box, client_for(box) as client:
        whole = client.post(CHAT, json=ask("mine")).json()
        chunks = streamed(client, ask("mine"))

    assert whole["choices"][0]["message"]["content"] == content(chunks) == answer
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"


def test_an_agent_that_counts_its_tokens_is_believed():
    agents = {"mine": lambda _: ["ab", TokenCounts(5, 7, "length")]}
    with Sandbox(agents=agents) as box, client_for(box) as client:
        answer = client.post(CHAT, json=ask("mine")).json()

    assert tuple(answer["usage"].values()) == (5, 7, 12)
    assert answer["choices"][0]["finish_reason"] == "length"


def failing(_messages):
    yield "so far"
    raise SystemExit("so bad\nand more")


@pytest.mark.parametrize("agent", [failing, lambda _: 1 / 0, lambda _: [3], lambda _: 3])
def test_an_error_inside_an_agent_is_told_and_the_server_lives_on(agent):
    with Sandbox(agents={"mine": agent}) as box, client_for(box) as client:
        whole = client.post(CHAT, json=ask("mine"))
        stream = client.post(CHAT, json=ask("mine", stream=True))

        assert client.post(CHAT, json=HELLO).status_code == 200
    assert whole.status_code == 500
    assert "\n" not in whole.json()["error"]["message"]
    if agent is failing:
        assert events(stream.text)[-1]["error"]["message"] == "SystemExit: so bad"
    else:
        assert stream.status_code == 500


def test_an_agent_that_blocks_its_thread_keeps_nobody_else_waiting():
    asleep = threading.Event()

    def blocking(_messages):
        asleep.wait(30)
        return "woken"

    with (
        Sandbox(agents={"mine": blocking}) as box,
        client_for(box) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        waiting = pool.submit(client.post, CHAT, json=ask("mine"))
        assert box.wait_for(lambda: box.open_streams == 1)
        with client_for(box) as other:
            assert other.post(CHAT, json=HELLO).status_code == 200
        asleep.set()
        assert waiting.result().json()["choices"][0]["message"]["content"] == "woken"


# Connections


def test_pieces_arrive_as_they_are_made_and_not_at_the_end(client):
    with client.stream("POST", CHAT, json=ask("slow", stream=True)) as answer:
        first = next(answer.iter_lines())

    assert json.loads(first[6:])["choices"][0]["delta"]["content"] == "word1 "


def test_a_client_that_goes_away_is_noticed_while_the_agent_pauses():
    closed = threading.Event()

    async def endless(_messages):
        try:
            yield "first"
            await asyncio.Event().wait()
        finally:
            closed.set()

    with Sandbox(agents={"mine": endless}) as box, client_for(box) as client:
        with client.stream("POST", CHAT, json=ask("mine", stream=True)) as answer:
            lines = answer.iter_lines()  # held: letting it go would close the connection
            next(lines)
            assert box.open_streams == 1

        assert box.wait_for(lambda: box.requests[-1].disconnected)
        assert box.wait_for(lambda: box.open_streams == 0)
        assert closed.wait(10)
        assert box.requests[-1].ended is not None


def test_a_generator_of_the_users_is_closed_when_the_client_goes_away():
    closed = threading.Event()

    def endless(_messages):
        try:
            while True:
                yield "again "
        finally:
            closed.set()

    with Sandbox(agents={"mine": endless}) as box, client_for(box) as client:
        with client.stream("POST", CHAT, json=ask("mine", stream=True)) as answer:
            lines = answer.iter_lines()  # held: letting it go would close the connection
            next(lines)

        assert closed.wait(10)


def test_a_connection_is_kept_for_the_next_question(box):
    connection = http.client.HTTPConnection("127.0.0.1", int(box.url.rpartition(":")[2]))
    ports = set()
    for stream in (False, True, False):
        headers = {"Authorization": f"Bearer {box.token}"}
        connection.request("POST", CHAT, json.dumps(HELLO | {"stream": stream}), headers)
        assert connection.getresponse().read()
        ports.add(connection.sock.getsockname())
    connection.close()

    assert len(ports) == 1


def test_two_hundred_streams_at_once_all_complete():
    everyone = asyncio.Event()
    arrived = []

    async def together(messages):
        """Answers when all two hundred have asked, so that they are really open at once."""
        arrived.append(messages)
        if len(arrived) == 200:
            everyone.set()
        await everyone.wait()
        for word in messages[-1]["content"].split(" "):
            yield word + " "

    def one(number):
        with client_for(box) as client:
            return streamed(client, ask("mine", text=f"number {number}"))

    with Sandbox(agents={"mine": together}) as box, ThreadPoolExecutor(200) as pool:
        answers = list(pool.map(one, range(200)))

    assert [content(each) for each in answers] == [f"number {n} " for n in range(200)]


def test_what_was_asked_is_remembered(box, client):
    client.post(CHAT + "?a=1", json=HELLO, headers={"X-Mine": "yes"})
    seen = box.requests[-1]

    assert (seen.method, seen.path, seen.query) == ("POST", CHAT, "a=1")
    assert seen.headers["x-mine"] == "yes"
    assert seen.json == HELLO
    assert box.wait_for(lambda: seen.ended is not None)
    assert seen.arrived <= seen.first_byte <= seen.ended
    assert (seen.status, seen.disconnected) == (200, False)


def test_no_token_is_shown_by_repr(box, client):
    client.post(CHAT, json=HELLO)

    assert box.token not in repr(box) + repr(box.requests) + repr(box._state)


# Faults


@pytest.mark.parametrize(
    ("shape", "where"),
    [
        ("string", lambda r: r.json()["error"]),
        ("object", lambda r: r.json()["error"]["message"]),
        ("message", lambda r: r.json()["message"]),
        ("detail", lambda r: r.json()["detail"]),
        ("data", lambda r: r.json()["error"]["message"] if r.json()["data"] is None else ""),
        ("text", lambda r: r.text),
        ("html", lambda r: r.text.split("<h1>")[1].split("</h1>")[0]),
    ],
)
@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
def test_any_status_may_come_with_any_error_body(box, client, status, shape, where):
    fault = Fault(status=status, shape=shape, message="too much", headers={"Retry-After": "7"})
    box.fail(fault)
    answer = client.post(CHAT, json=HELLO)

    assert answer.status_code == status
    assert answer.headers["retry-after"] == "7"
    assert where(answer) == "too much"
    assert client.post(CHAT, json=HELLO).status_code == 200


@pytest.mark.parametrize("stream", [True, False])
def test_a_cut_answer_ends_without_its_end(box, client, stream):
    box.fail(Fault(cut_after=2))
    with pytest.raises(httpx.RemoteProtocolError):
        client.post(CHAT, json=HELLO | {"stream": stream})

    assert box.wait_for(lambda: box.open_streams == 0) is True
    assert box.requests[-1].disconnected is False


def test_a_reset_connection_is_reset(box, client):
    box.fail(Fault(reset_after=1))
    with pytest.raises(httpx.ReadError):
        client.post(CHAT, json=HELLO | {"stream": True})


def test_a_stream_may_end_without_its_closing_mark(box, client):
    box.fail(Fault(no_done=True))
    chunks = streamed(client, HELLO)

    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


def test_a_line_that_is_not_json_may_stand_in_the_stream(box, client):
    box.fail(Fault(garbage_after=1))
    lines = client.post(CHAT, json=HELLO | {"stream": True}).text.split("\n\n")

    with pytest.raises(json.JSONDecodeError):
        json.loads(lines[1][6:])
    assert json.loads(lines[2][6:])["choices"]


def test_an_error_may_stand_in_the_stream_and_end_it(box, client):
    box.fail(Fault(error_after=1))
    first, error = streamed(client, HELLO)

    assert content([first]) == "Hell"
    assert error["error"]["message"]


def test_a_failure_may_be_disguised_as_success(box, client):
    """Measured: 200, finish_reason stop, an apology, usage 0, 0 and 1."""
    box.fail(Fault(disguised=True))
    answer = client.post(CHAT, json=HELLO).json()

    assert answer["choices"][0]["finish_reason"] == "stop"
    assert tuple(answer["usage"].values()) == (0, 0, 1)
    assert "Hello" not in answer["choices"][0]["message"]["content"]


def test_an_answer_may_be_two_quotes_and_nothing_between(box, client):
    box.fail(Fault(empty=True))
    assert client.post(CHAT, json=HELLO).json()["choices"][0]["message"]["content"] == '""'


def test_any_body_may_be_sent_in_place_of_an_answer(box, client):
    box.fail(Fault(body="<b>down</b>", content_type="text/html", status=502))
    answer = client.post(CHAT, json=HELLO)

    assert (answer.status_code, answer.text) == (502, "<b>down</b>")
    assert answer.headers["content-type"] == "text/html"


def test_a_question_may_be_redirected(box, client):
    box.fail(Fault(redirect="http://127.0.0.1:1/elsewhere"))
    answer = client.post(CHAT, json=HELLO)

    assert answer.status_code == 307
    assert answer.headers["location"] == "http://127.0.0.1:1/elsewhere"


def test_a_first_byte_may_come_late_and_a_burst_makes_no_pause(box, client):
    box.fail(Fault(delay=0.2, burst=True))
    chunks = streamed(client, ask("slow"))
    seen = box.requests[-1]

    assert content(chunks).split()[-1] == "word650"
    assert seen.first_byte - seen.arrived >= 0.2


def test_faults_are_served_in_order_to_the_agent_and_as_often_as_asked(box, client):
    box.fail(Fault(status=503), agent="echo", times=2)
    box.fail(Fault(status=429))
    asked = ["lorem", "echo", "echo", "echo"]

    answers = [client.post(CHAT, json=ask(slug, max_tokens=1)).status_code for slug in asked]
    assert answers == [429, 503, 503, 200]


def test_a_fault_for_the_catalogue_is_asked_for_by_path(box, client):
    box.fail(Fault(status=500), path="/public/bots")

    assert client.post(CHAT, json=HELLO).status_code == 200
    assert client.get("/public/bots").status_code == 500
    assert client.get("/public/bots").status_code == 200


def test_faults_and_records_are_there_over_the_wire_without_credentials(box, client):
    assert client.post("/sandbox/faults", json={"status": 418, "times": 5}).status_code == 201
    assert client.post(CHAT, json=HELLO).status_code == 418
    assert client.delete("/sandbox/faults").status_code == 200
    assert client.post(CHAT, json=HELLO).status_code == 200

    records = client.get("/sandbox/requests")
    assert [each["status"] for each in records.json()] == [418, 200]
    assert box.token not in records.text
    assert httpx.get(box.url + "/sandbox/requests", trust_env=False).status_code == 401


@pytest.mark.parametrize("times", [0, 1.5, "x", True])
def test_a_fault_is_served_a_whole_number_of_times(client, times):
    answer = client.post("/sandbox/faults", json={"status": 418, "times": times})

    assert answer.status_code == 400
    assert "times must be a whole number of at least 1" in answer.text


@pytest.mark.parametrize(
    "wanted", [{"nonsense": 1}, {"status": "x"}, {"shape": "round"}, {"delay": "1"}]
)
def test_a_fault_that_makes_no_sense_is_400(client, wanted):
    assert client.post("/sandbox/faults", json=wanted).status_code == 400


# The server


def test_start_and_stop_may_be_called_twice_and_the_port_is_free_afterwards():
    box = Sandbox()
    assert box.start() is box.start()
    port = int(box.url.rpartition(":")[2])
    box.stop()
    box.stop()

    with Sandbox(port) as again, client_for(again) as client:
        assert again.url == box.url
        assert again.token != box.token
        assert client.post(CHAT, json=HELLO).status_code == 200
    assert "swiftask-sandbox" not in {each.name for each in threading.enumerate()}


def test_a_port_that_there_is_not_is_said_plainly(capsys):
    assert main(["sandbox", "--port", "99999999"]) == 1

    assert capsys.readouterr().err.startswith("can't listen on port 99999999 of 127.0.0.1 (")


def test_a_port_in_use_is_said_plainly(box):
    port = int(box.url.rpartition(":")[2])
    with pytest.raises(OSError, match=f"port {port} .* choose another"):
        Sandbox(port).start()


def test_stopping_closes_the_streams_under_way():
    with Sandbox() as box, client_for(box) as client:
        with client.stream("POST", CHAT, json=ask("slow", stream=True)) as answer:
            lines = answer.iter_lines()
            next(lines)
            box.stop()
            with pytest.raises(httpx.RemoteProtocolError):
                list(lines)
        assert box.open_streams == 0
        assert box.requests[-1].disconnected is False


def run(code, **options):
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, **options
    )


START = """
import http.client, os, sys, json
from swiftask_jupyter.sandbox import Sandbox
box = Sandbox().start()
def ask():
    c = http.client.HTTPConnection("127.0.0.1", int(box.url.rpartition(":")[2]))
    body = {"model": "echo", "messages": [{"role": "user", "content": "x"}]}
    c.request("POST", "/v1/chat/completions", json.dumps(body), {"Authorization": "Bearer " + box.token})
    status = c.getresponse().status
    c.close()
    return status
"""  # noqa: E501 - a program in a text


def test_a_process_that_never_stops_its_sandbox_ends_quietly():
    done = run(START + "print(ask())")

    assert (done.returncode, done.stdout, done.stderr) == (0, "200\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_ends_quietly_and_leaves_the_parents_server_alone():
    code = """
ask()
import warnings; warnings.simplefilter("ignore", DeprecationWarning)
child = os.fork()
if child == 0:
    box.stop()
    sys.exit(3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), ask())
"""
    done = run(START + code)

    assert (done.returncode, done.stdout, done.stderr) == (0, "3 200\n", "")


def test_nothing_is_printed_or_logged_whatever_the_client_sends():
    code = """
import socket
for junk in (b"nonsense\\r\\n\\r\\n", b"GET / HTTP/1.1\\r\\nContent-Length: x\\r\\n\\r\\n", b""):
    s = socket.create_connection(("127.0.0.1", int(box.url.rpartition(":")[2])))
    s.sendall(junk); s.shutdown(socket.SHUT_WR); s.recv(100); s.close()
box.stop()
"""
    done = run(START + code)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_importing_it_imports_neither_tornado_nor_the_model_nor_the_rest_of_the_package():
    code = """
import sys, swiftask_jupyter
before = set(sys.modules)
import swiftask_jupyter.sandbox
new = set(sys.modules) - before
print(sorted(m for m in new if m.startswith(("tornado", "xllamacpp", "platformdirs"))
    or m.startswith("swiftask_jupyter") and not m.startswith("swiftask_jupyter.sandbox")))
"""
    assert run(code).stdout == "[]\n"


def test_it_works_beside_a_nest_asyncio_applied_by_the_user():
    """nest-asyncio patches every loop of the process, also ours."""
    pytest.importorskip("nest_asyncio")
    done = run("import nest_asyncio; nest_asyncio.apply()\n" + START + "print(ask(), ask())")

    assert (done.returncode, done.stdout) == (0, "200 200\n"), done.stderr


@pytest.mark.skipif(os.name != "posix", reason="signals to another process are POSIX")
@pytest.mark.parametrize("number", [2, 15])
def test_serving_for_ever_ends_on_a_signal(number):
    code = (
        "from swiftask_jupyter.sandbox import serve_forever\n"
        "serve_forever(on_ready=lambda box: print(box.url, flush=True)); print('ended')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout.readline().startswith("http://127.0.0.1:")
        server.send_signal(number)
        out, err = server.communicate(timeout=30)

    assert (server.returncode, out, err) == (0, "ended\n", "")


def test_the_sandbox_imports_nothing_from_its_siblings():
    """Its tests compare two readings of the documents; with shared code there would be one."""
    import swiftask_jupyter.sandbox

    files = list(Path(swiftask_jupyter.sandbox.__file__).parent.glob("*.py"))
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
                assert not any(name.startswith("swiftask_jupyter") for name in names), file.name
            elif isinstance(node, ast.ImportFrom):
                assert node.level <= 1, file.name
                assert not (node.module or "").startswith("swiftask_jupyter"), file.name
    assert len(files) > 20


def test_waiting_gives_up_when_the_time_is_up(box):
    started = time.monotonic()

    assert box.wait_for(lambda: False, timeout=0.05) is False
    assert time.monotonic() - started >= 0.05
