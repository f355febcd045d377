"""The `/chat/{slug}` platform of the stand-in, on a real socket; nothing of ours but that."""

import json
import shlex
import subprocess
import time

import httpx
import pytest

from swiftask_jupyter.sandbox.agents import Agent, TokenCounts
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.sandbox.server import Sandbox

HERE = "https://PLATFORM-URL-PLACEHOLDER"
BASIC = """curl -X POST "https://PLATFORM-URL-PLACEHOLDER/v1/api/chat/support-agent" \
  -H "Authorization: Bearer YOUR_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "message": "What are your business hours?",
    "stream": false
  }'"""
CONTINUED = """curl -X POST "https://PLATFORM-URL-PLACEHOLDER/v1/api/chat/support-agent" \
  -H "Authorization: Bearer YOUR_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "message": "Can you elaborate on that?",
    "stream": false,
    "conversationId": "conv_abc123"
  }'"""
STORY = """curl -X POST "https://PLATFORM-URL-PLACEHOLDER/v1/api/chat/support-agent" \
  -H "Authorization: Bearer YOUR_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "message": "Tell me a long story",
    "stream": true
  }'"""
UNBUFFERED = """curl -X POST "https://PLATFORM-URL-PLACEHOLDER/v1/api/chat/agent-slug" \
  -H "Authorization: Bearer YOUR_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{"message": "Hello", "stream": true}' \
  --no-buffer"""
GREETING = ["Hello", " there!", " How", " can", " I", " help", "?"]
DOCUMENTED_STREAM = """\
data: {"chunk": "Hello"}
data: {"chunk": " there!"}
data: {"chunk": " How"}
data: {"chunk": " can"}
data: {"chunk": " I"}
data: {"chunk": " help"}
data: {"chunk": "?"}
data: [DONE]
"""


@pytest.fixture
def box():
    with Sandbox(agents={"greeter": lambda _: GREETING}) as box:
        yield box


@pytest.fixture
def client(box):
    with client_for(box) as client:
        yield client


def client_for(box, token=None):
    headers = {"Authorization": f"Bearer {token or box.token}"}
    return httpx.Client(base_url=box.url, headers=headers, timeout=30, trust_env=False)


def ask(client, slug="echo", **more):
    return client.post(f"/v1/api/chat/{slug}", json={"message": "hello", **more})


def data(answer):
    assert answer.status_code == 200, answer.text
    assert answer.json()["error"] is None
    return answer.json()["data"]


def error(answer):
    """The error of the documented envelope, its shape checked."""
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.json().keys() == {"data", "error"}
    assert answer.json()["data"] is None
    found = answer.json()["error"]
    assert found.keys() == {"name", "message", "details"}
    assert found["details"] == {}
    return found["name"], found["message"]


def said(answer):
    """What the agent `mirror` was told: the roles and contents."""
    return [(each["role"], each["content"]) for each in json.loads(data(answer)["response"])]


def curl(command, box):
    """Runs a documented command, host and token changed; what it printed."""
    words = shlex.split(command.replace(HERE, box.url).replace("YOUR_API_KEY", box.token))
    try:
        done = subprocess.run(
            [*words, "-sS", "--noproxy", "*"], capture_output=True, check=True, timeout=30
        )
    except FileNotFoundError:
        pytest.skip("curl is not installed here")
    return done.stdout.decode()


# What the documents say


def test_the_documented_curl_commands_give_the_documented_shapes():
    with Sandbox(agents={"support-agent": lambda m: m[-1]["content"].upper()}) as box:
        first = json.loads(curl(BASIC, box))
        identity = first["data"]["conversationId"]
        unknown = json.loads(curl(CONTINUED, box))
        second = json.loads(curl(CONTINUED.replace("conv_abc123", identity), box))
        story = curl(STORY, box)

    assert first.keys() == {"data", "error"}
    assert first["error"] is None
    assert first["data"].keys() == {"response", "conversationId", "metadata"}
    assert first["data"]["response"] == "WHAT ARE YOUR BUSINESS HOURS?"
    assert identity.startswith("conv_")
    assert first["data"]["metadata"].keys() == {"model", "tokens"}
    assert isinstance(first["data"]["metadata"]["model"], str)
    assert isinstance(first["data"]["metadata"]["tokens"], int)
    assert second["data"]["conversationId"] == identity
    assert unknown["error"]["name"] == "NotFoundError"
    assert story == 'data: {"chunk": "TELL ME A LONG STORY"}\ndata: [DONE]\n'


def test_the_documented_stream_is_the_documented_one_byte_for_byte():
    """Its events have no blank line between them, and it names no conversation."""
    with Sandbox(agents={"agent-slug": lambda _: GREETING}) as box:
        assert curl(UNBUFFERED, box) == DOCUMENTED_STREAM


def test_a_stream_says_what_it_is_and_is_chunked(client):
    answer = ask(client, "greeter", stream=True)

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["transfer-encoding"] == "chunked"
    assert "conv_" not in answer.text + str(answer.headers)


def test_pieces_arrive_as_they_are_made_and_not_at_the_end(client):
    body = {"message": "x", "stream": True}
    with client.stream("POST", "/v1/api/chat/slow", json=body) as answer:
        first = next(answer.iter_lines())

    assert first == 'data: {"chunk": "word1 "}'


def test_a_stream_holds_the_same_text_as_the_whole_answer(client):
    text = 'é🌱\u2028\x00\\" line\n' * 100
    lines = ask(client, message=text, stream=True).text.split("\n")
    chunks = [json.loads(line[6:])["chunk"] for line in lines[:-2]]

    assert lines[-2:] == ["data: [DONE]", ""]
    assert "".join(chunks) == data(ask(client, message=text))["response"] == text


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Bearer", "Basic x"])
def test_a_missing_or_wrong_key_is_401_in_the_documented_words(box, header):
    headers = {} if header is None else {"Authorization": header}
    with httpx.Client(base_url=box.url, headers=headers, trust_env=False) as client:
        answer = ask(client)

    assert answer.status_code == 401
    assert error(answer) == ("UnauthorizedError", "Invalid or missing API token")


def test_the_tokens_of_the_other_platforms_open_nothing_here(box):
    for token in (box.client_token("echo"), box.agencii_token):
        with client_for(box, token) as client:
            assert ask(client).status_code == 401


def test_a_missing_message_is_400_in_the_documented_words(client):
    answer = client.post("/v1/api/chat/echo", json={"stream": False})

    assert answer.status_code == 400
    assert error(answer) == ("ValidationError", "Message field is required")


@pytest.mark.parametrize(
    "change",
    [
        {"message": None},
        {"message": ""},
        {"message": 3},
        {"message": ["x"]},
        {"stream": "yes"},
        {"stream": None},
        {"conversationId": 5},
        {"conversationId": {}},
    ],
)
def test_a_field_of_the_wrong_type_is_400(client, change):
    answer = ask(client, **change)

    assert answer.status_code == 400
    assert error(answer)[0] == "ValidationError"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_400(client, body):
    answer = client.post("/v1/api/chat/echo", content=body)

    assert answer.status_code == 400
    assert error(answer)[0] == "ValidationError"


def test_an_unknown_agent_is_404_and_its_slug_is_quoted(client):
    answer = ask(client, "support-agent")

    assert answer.status_code == 404
    assert error(answer) == ("NotFoundError", "Agent with slug 'support-agent' not found")


def test_only_post_is_answered_there(client):
    answer = client.get("/v1/api/chat/echo")

    assert answer.status_code == 405
    assert error(answer)[0] == "Error"


def test_the_header_that_names_a_user_is_among_what_was_asked(box, client):
    body = {"message": "hello"}
    client.post("/v1/api/chat/echo", json=body, headers={"x-user-identifier": "ann@example.com"})

    assert box.requests[-1].headers["x-user-identifier"] == "ann@example.com"
    assert box.requests[-1].json == body


# The conversation


def test_the_server_remembers_a_conversation_and_tells_the_agent_all_of_it(client):
    identity = data(ask(client, "mirror", message="one"))["conversationId"]
    second = ask(client, "mirror", message="two", conversationId=identity)
    third = ask(client, "mirror", message="three", conversationId=identity)

    assert data(second)["conversationId"] == identity
    assert [content for role, content in said(third) if role == "user"] == ["one", "two", "three"]
    assert said(third)[1] == ("assistant", '[{"role": "user", "content": "one"}]')
    assert said(third)[3] == ("assistant", data(second)["response"])


@pytest.mark.parametrize("more", [{}, {"conversationId": None}])
def test_a_question_without_a_conversation_begins_a_new_one(client, more):
    first, second = (ask(client, "mirror", **more) for _ in range(2))

    assert data(first)["conversationId"] != data(second)["conversationId"]
    assert said(second) == [("user", "hello")]


def test_a_streamed_turn_is_remembered_too(client):
    identity = data(ask(client, "mirror", message="one"))["conversationId"]
    ask(client, "mirror", message="two", conversationId=identity, stream=True)
    third = ask(client, "mirror", message="three", conversationId=identity)

    assert [content for role, content in said(third) if role == "user"] == ["one", "two", "three"]


def test_whoever_leaves_after_the_closing_mark_is_remembered(box, client):
    identity = data(ask(client, "echo", message="one"))["conversationId"]
    body = {"message": "two", "conversationId": identity, "stream": True}
    with client.stream("POST", "/v1/api/chat/echo", json=body) as answer:
        lines = answer.iter_lines()
        while next(lines) != "data: [DONE]":
            pass

    third = ask(client, message="three", conversationId=identity)
    assert data(third)["metadata"]["tokens"] == 6  # two words of each turn
    assert box.wait_for(lambda: box.open_streams == 0) is True


def test_a_failed_or_broken_answer_is_not_remembered(box, client):
    identity = data(ask(client, "mirror", message="one"))["conversationId"]
    for fault in (Fault(status=500), Fault(error_after=1), Fault(cut_after=1)):
        for stream in (True, False):
            box.fail(fault)
            try:
                ask(client, "mirror", message="lost", conversationId=identity, stream=stream)
            except httpx.RemoteProtocolError:
                assert fault.cut_after is not None
    last = ask(client, "mirror", message="two", conversationId=identity)

    assert [content for role, content in said(last) if role == "user"] == ["one", "two"]


def test_an_unknown_conversation_is_404_and_so_is_that_of_another_agent(client):
    """The documents do not say what becomes of it."""
    identity = data(ask(client))["conversationId"]
    unknown = ask(client, conversationId="conv_abc123")
    foreign = ask(client, "mirror", conversationId=identity, stream=True)

    assert unknown.status_code == foreign.status_code == 404
    assert error(unknown) == ("NotFoundError", "Conversation with id 'conv_abc123' not found")
    assert error(foreign)[0] == "NotFoundError"


# The rate limit


def limits(answer):
    names = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
    return [int(answer.headers[name]) for name in names]


def test_every_answer_says_what_is_left_of_the_documented_thousand_an_hour(box, client):
    before = time.time()
    answers = [ask(client), ask(client, stream=True), ask(client, "nobody"), ask(client, stream=3)]
    answers.append(client.get("/v1/api/chat/echo"))
    with client_for(box, "wrong") as stranger:
        answers.append(ask(stranger))

    assert [each.status_code for each in answers] == [200, 200, 404, 400, 405, 401]
    assert [limits(each)[:2] for each in answers] == [
        [1000, left] for left in (999, 998, 997, 996, 996, 996)
    ]
    (reset,) = {limits(each)[2] for each in answers}
    assert before + 3590 < reset < time.time() + 3601


def test_a_limit_that_is_used_up_is_429_without_retry_after():
    with Sandbox(rate_limit=2) as box, client_for(box) as client:
        answers = [ask(client) for _ in range(4)]

    assert [each.status_code for each in answers] == [200, 200, 429, 429]
    assert [limits(each)[1] for each in answers] == [1, 0, 0, 0]
    assert error(answers[2])[0] == "RateLimitError"
    assert "retry-after" not in answers[2].headers


def test_the_limit_is_full_again_when_its_hour_is_over():
    with Sandbox(rate_limit=1) as box, client_for(box) as client:
        assert [ask(client).status_code for _ in range(2)] == [200, 429]
        box._state.rate_limit._resets_at = 0.0
        assert ask(client).status_code == 200


def test_the_limit_holds_for_this_platform_alone():
    with Sandbox(rate_limit=0) as box, client_for(box) as client:
        native = client.post("/api/ai/echo", json={"input": "x"})
        assert ask(client).status_code == 429

    assert native.status_code == 200
    assert "x-ratelimit-limit" not in native.headers


def test_a_negative_limit_is_refused_at_once():
    with pytest.raises(ValueError, match="rate_limit"):
        Sandbox(rate_limit=-1)


def test_a_fault_may_lower_the_limit(box, client):
    ask(client)
    box.fail(Fault(rate_limit=1), times=2)
    refused = [ask(client), ask(client)]

    assert [each.status_code for each in refused] == [429, 429]
    assert limits(refused[0])[:2] == [1, 0]
    assert limits(ask(client))[:2] == [1000, 998]


def test_a_fault_may_set_the_headers_itself(box, client):
    headers = {"X-RateLimit-Reset": "1700000000", "Retry-After": "7"}
    box.fail(Fault(status=429, headers=headers))
    answer = ask(client)

    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "7"
    assert limits(answer)[2] == 1700000000


# Faults


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "ValidationError"),
        (401, "UnauthorizedError"),
        (403, "ForbiddenError"),
        (404, "NotFoundError"),
        (429, "RateLimitError"),
        (500, "InternalServerError"),
        (503, "Error"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_a_status_comes_in_the_envelope_unless_another_shape_is_asked(
    box, client, status, name, stream
):
    box.fail(Fault(status=status, message="too much"))
    box.fail(Fault(status=status, shape="detail", message="too much"))
    plain, other = ask(client, stream=stream), ask(client, stream=stream)

    assert plain.status_code == other.status_code == status
    assert error(plain) == (name, "too much")
    assert other.json() == {"detail": "too much"}


def test_a_stream_may_end_its_events_with_blank_lines(box, client):
    box.fail(Fault(blank_lines=True))
    answer = ask(client, "greeter", stream=True)

    assert answer.text == DOCUMENTED_STREAM.replace("\n", "\n\n")


def test_a_stream_may_name_its_conversation_in_its_last_chunk(box, client):
    box.fail(Fault(conversation_id_in="chunk"))
    *pieces, last, done = ask(client, "mirror", stream=True).text.split("\n")[:-1]
    identity = json.loads(last[6:])["conversationId"]

    assert json.loads(last[6:]) == {"chunk": "", "conversationId": identity}
    assert done == "data: [DONE]"
    assert len(pieces) == 1
    assert len(said(ask(client, "mirror", conversationId=identity))) == 3


def test_a_stream_may_name_its_conversation_in_a_header(box, client):
    box.fail(Fault(conversation_id_in="header"))
    answer = ask(client, "mirror", stream=True)
    identity = answer.headers["x-conversation-id"]

    assert "conv_" not in answer.text
    assert len(said(ask(client, "mirror", conversationId=identity))) == 3


def test_a_stream_may_end_without_its_closing_mark(box, client):
    box.fail(Fault(no_done=True))
    answer = ask(client, "greeter", stream=True)

    assert answer.text == DOCUMENTED_STREAM.removesuffix("data: [DONE]\n")


def test_a_line_that_is_not_json_may_stand_in_the_stream(box, client):
    box.fail(Fault(garbage_after=1))
    lines = ask(client, "greeter", stream=True).text.split("\n")

    with pytest.raises(json.JSONDecodeError):
        json.loads(lines[1][6:])
    assert json.loads(lines[2][6:]) == {"chunk": " there!"}


@pytest.mark.parametrize("after", [0, 1])
def test_an_error_may_stand_in_the_stream_and_end_it(box, client, after):
    box.fail(Fault(error_after=after, message="broken"))
    answer = ask(client, "greeter", stream=True)
    lines = answer.text.split("\n")[:-1]

    assert answer.status_code == 200
    assert len(lines) == after + 1
    assert json.loads(lines[-1][6:])["error"]["message"] == "broken"


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_may_be_cut_or_reset(box, client, stream):
    box.fail(Fault(cut_after=1))
    with pytest.raises(httpx.RemoteProtocolError):
        ask(client, "greeter", stream=stream)
    box.fail(Fault(reset_after=1))
    with pytest.raises(httpx.ReadError):
        ask(client, "greeter", stream=stream)
    assert box.wait_for(lambda: box.open_streams == 0) is True


def test_a_whole_answer_may_be_no_json_or_an_error_with_200_or_any_body(box, client):
    box.fail(Fault(garbage_after=0))
    with pytest.raises(json.JSONDecodeError):
        ask(client).json()
    box.fail(Fault(error_after=0, message="broken"))
    failed = ask(client)
    assert (failed.status_code, error(failed)[1]) == (200, "broken")
    box.fail(Fault(body="<b>down</b>", content_type="text/html", status=502))
    assert ask(client).text == "<b>down</b>"


@pytest.mark.parametrize(("status", "seen"), [(None, 307), (301, 301), (308, 308)])
def test_a_question_may_be_redirected_with_any_status(box, client, status, seen):
    box.fail(Fault(redirect="/v1/api/chat/mirror", status=status))
    answer = ask(client)

    assert answer.status_code == seen
    assert answer.headers["location"] == "/v1/api/chat/mirror"


def test_an_answer_may_be_late_disguised_or_empty_or_hurried(box, client):
    box.fail(Fault(delay=0.2))
    ask(client)
    seen = box.requests[-1]
    assert seen.first_byte - seen.arrived >= 0.2
    box.fail(Fault(disguised=True))
    assert "sorry" in data(ask(client))["response"]
    box.fail(Fault(empty=True))
    assert data(ask(client))["response"] == '""'
    box.fail(Fault(burst=True))
    assert data(ask(client, "slow"))["response"].split()[-1] == "word650"


def test_the_tokens_are_one_number_which_may_be_zero_or_missing(box, client):
    box.fail(Fault(usage="zero"))
    box.fail(Fault(usage="none"))
    zero, none, counted = (ask(client, message="one two three") for _ in range(3))

    assert data(zero)["metadata"]["tokens"] == 0
    assert "tokens" not in data(none)["metadata"]
    assert data(counted)["metadata"]["tokens"] == 6


def test_a_fault_may_be_for_one_agent_or_one_path(box, client):
    box.fail(Fault(status=503), agent="echo")
    box.fail(Fault(status=429), path="/v1/api/chat/math")

    assert [ask(client, slug).status_code for slug in ("mirror", "math", "echo")] == [200, 429, 503]


def test_a_fault_of_this_platform_may_be_ordered_over_the_wire(client):
    assert client.post("/sandbox/faults", json={"conversation_id_in": "x"}).status_code == 400
    assert client.post("/sandbox/faults", json={"rate_limit": "1"}).status_code == 400
    assert client.post("/sandbox/faults", json={"conversation_id_in": "header"}).status_code == 201
    assert "x-conversation-id" in ask(client, stream=True).headers


# Agents


def test_an_agent_that_counts_its_tokens_is_believed():
    agents = {"mine": lambda _: ["ab", TokenCounts(150, 300)]}
    with Sandbox(agents=agents) as box, client_for(box) as client:
        assert data(ask(client, "mine"))["metadata"]["tokens"] == 450


def halfway(_messages):
    yield "so far"
    raise ValueError("so bad")


@pytest.mark.parametrize("stream", [True, False])
def test_an_agent_that_raises_is_500_and_the_server_lives_on(stream):
    with Sandbox(agents={"mine": lambda _: 1 / 0}) as box, client_for(box) as client:
        failed = ask(client, "mine", stream=stream)

        assert ask(client).status_code == 200
    assert failed.status_code == 500
    assert error(failed) == ("InternalServerError", "ZeroDivisionError: division by zero")


def test_an_agent_that_raises_halfway_says_so_in_the_stream():
    with Sandbox(agents={"mine": halfway}) as box, client_for(box) as client:
        first, last = ask(client, "mine", stream=True).text.split("\n")[:-1]

    assert first == 'data: {"chunk": "so far"}'
    assert json.loads(last[6:])["error"]["message"] == "ValueError: so bad"


def test_an_agent_that_is_not_ready_says_what_to_do():
    lacking = Agent(lambda _: "x", unmet_requirement=lambda: "run: pip install it")
    with Sandbox(agents={"mine": lacking}) as box, client_for(box) as client:
        answer = ask(client, "mine")

    assert (answer.status_code, error(answer)[1]) == (400, "run: pip install it")
