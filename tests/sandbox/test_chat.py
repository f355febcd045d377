"""The dialect `chat` on a real socket, against what its documents say."""

import json

import httpx
import pytest

from swiftask_jupyter.sandbox.agents import Agent, TokenCounts
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.sandbox.server import Sandbox
from tests.support.sandbox_requests import ask_chat, chat_data, chat_error, http_client, run_curl

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
def greeter_box():
    """A sandbox whose agent `greeter` replies in the pieces that the documents show."""
    with Sandbox(agents={"greeter": lambda _: GREETING}) as box:
        yield box


@pytest.fixture
def greeter(greeter_box):
    """An HTTP client of that sandbox with the account's API key."""
    with http_client(greeter_box) as client:
        yield client


def mirrored(response):
    """Return the roles and contents of the messages that reached the agent `mirror`."""
    return [(each["role"], each["content"]) for each in json.loads(chat_data(response)["response"])]


def curl(command, box):
    """Run a documented command with the sandbox's host and token; return the body as text."""
    _, body = run_curl(command.replace(HERE, box.url).replace("YOUR_API_KEY", box.token))
    return body


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


def test_the_stream_equals_the_documented_one_byte_for_byte():
    """The events have no blank line between them, and none names the conversation."""
    with Sandbox(agents={"agent-slug": lambda _: GREETING}) as box:
        assert curl(UNBUFFERED, box) == DOCUMENTED_STREAM


def test_a_stream_is_chunked_and_names_no_conversation(greeter):
    response = ask_chat(greeter, "greeter", stream=True)

    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["transfer-encoding"] == "chunked"
    assert "conv_" not in response.text + str(response.headers)


def test_pieces_are_sent_as_soon_as_they_exist(account):
    body = {"message": "x", "stream": True}
    with account.stream("POST", "/v1/api/chat/slow", json=body) as response:
        first = next(response.iter_lines())

    assert first == 'data: {"chunk": "word1 "}'


def test_a_stream_has_the_same_text_as_a_whole_response(account):
    text = 'é🌱\u2028\x00\\" line\n' * 100
    lines = ask_chat(account, message=text, stream=True).text.split("\n")
    chunks = [json.loads(line[6:])["chunk"] for line in lines[:-2]]

    assert lines[-2:] == ["data: [DONE]", ""]
    assert "".join(chunks) == chat_data(ask_chat(account, message=text))["response"] == text


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Bearer", "Basic x"])
def test_a_missing_or_wrong_token_is_status_401_with_the_documented_message(box, header):
    headers = {} if header is None else {"Authorization": header}
    with httpx.Client(base_url=box.url, headers=headers, trust_env=False) as client:
        response = ask_chat(client)

    assert response.status_code == 401
    assert chat_error(response) == ("UnauthorizedError", "Invalid or missing API token")


def test_tokens_of_other_dialects_are_not_valid(box):
    for token in (box.client_token("echo"), box.agencii_token):
        with http_client(box, token) as client:
            assert ask_chat(client).status_code == 401


def test_a_missing_message_is_status_400_with_the_documented_message(account):
    response = account.post("/v1/api/chat/echo", json={"stream": False})

    assert response.status_code == 400
    assert chat_error(response) == ("ValidationError", "Message field is required")


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
def test_a_field_of_the_wrong_type_is_status_400(account, change):
    response = ask_chat(account, **change)

    assert response.status_code == 400
    assert chat_error(response)[0] == "ValidationError"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_body_that_is_not_a_json_object_is_status_400(account, body):
    response = account.post("/v1/api/chat/echo", content=body)

    assert response.status_code == 400
    assert chat_error(response)[0] == "ValidationError"


def test_an_unknown_agent_is_status_404_with_its_slug(account):
    response = ask_chat(account, "support-agent")

    assert response.status_code == 404
    assert chat_error(response) == ("NotFoundError", "Agent with slug 'support-agent' not found")


def test_get_is_status_405(account):
    response = account.get("/v1/api/chat/echo")

    assert response.status_code == 405
    assert chat_error(response)[0] == "Error"


def test_the_header_that_identifies_a_user_is_recorded(box, account):
    body = {"message": "hello"}
    account.post("/v1/api/chat/echo", json=body, headers={"x-user-identifier": "ann@example.com"})

    assert box.requests[-1].headers["x-user-identifier"] == "ann@example.com"
    assert box.requests[-1].json == body


def test_a_conversation_is_stored_and_sent_to_the_agent(account):
    identity = chat_data(ask_chat(account, "mirror", message="one"))["conversationId"]
    second = ask_chat(account, "mirror", message="two", conversationId=identity)
    third = ask_chat(account, "mirror", message="three", conversationId=identity)

    assert chat_data(second)["conversationId"] == identity
    assert [content for role, content in mirrored(third) if role == "user"] == [
        "one",
        "two",
        "three",
    ]
    assert mirrored(third)[1] == ("assistant", '[{"role": "user", "content": "one"}]')
    assert mirrored(third)[3] == ("assistant", chat_data(second)["response"])


@pytest.mark.parametrize("more", [{}, {"conversationId": None}])
def test_a_message_without_a_conversation_starts_a_new_one(account, more):
    first, second = (ask_chat(account, "mirror", **more) for _ in range(2))

    assert chat_data(first)["conversationId"] != chat_data(second)["conversationId"]
    assert mirrored(second) == [("user", "hello")]


def test_a_streamed_turn_is_stored_too(account):
    identity = chat_data(ask_chat(account, "mirror", message="one"))["conversationId"]
    ask_chat(account, "mirror", message="two", conversationId=identity, stream=True)
    third = ask_chat(account, "mirror", message="three", conversationId=identity)

    assert [content for role, content in mirrored(third) if role == "user"] == [
        "one",
        "two",
        "three",
    ]


def test_a_turn_is_stored_if_the_client_disconnects_after_done(box, account):
    identity = chat_data(ask_chat(account, "echo", message="one"))["conversationId"]
    body = {"message": "two", "conversationId": identity, "stream": True}
    with account.stream("POST", "/v1/api/chat/echo", json=body) as response:
        lines = response.iter_lines()
        while next(lines) != "data: [DONE]":
            pass

    third = ask_chat(account, message="three", conversationId=identity)
    assert chat_data(third)["metadata"]["tokens"] == 6  # two words of each turn
    assert box.wait_for(lambda: box.open_streams == 0) is True


def test_a_failed_or_interrupted_turn_is_not_stored(box, account):
    identity = chat_data(ask_chat(account, "mirror", message="one"))["conversationId"]
    for fault in (Fault(status=500), Fault(error_after=1), Fault(cut_after=1)):
        for stream in (True, False):
            box.fail(fault)
            try:
                ask_chat(account, "mirror", message="lost", conversationId=identity, stream=stream)
            except httpx.RemoteProtocolError:
                assert fault.cut_after is not None
    last = ask_chat(account, "mirror", message="two", conversationId=identity)

    assert [content for role, content in mirrored(last) if role == "user"] == ["one", "two"]


def test_an_unknown_conversation_or_one_of_another_agent_is_status_404(account):
    """Undocumented: the documents do not say how the service responds."""
    identity = chat_data(ask_chat(account))["conversationId"]
    unknown = ask_chat(account, conversationId="conv_abc123")
    of_another = ask_chat(account, "mirror", conversationId=identity, stream=True)

    assert unknown.status_code == of_another.status_code == 404
    assert chat_error(unknown) == ("NotFoundError", "Conversation with id 'conv_abc123' not found")
    assert chat_error(of_another)[0] == "NotFoundError"


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
def test_an_error_has_the_envelope_unless_a_fault_sets_another_shape(
    box, account, status, name, stream
):
    box.fail(Fault(status=status, message="too much"))
    box.fail(Fault(status=status, shape="detail", message="too much"))
    plain, other = ask_chat(account, stream=stream), ask_chat(account, stream=stream)

    assert plain.status_code == other.status_code == status
    assert chat_error(plain) == (name, "too much")
    assert other.json() == {"detail": "too much"}


def test_a_stream_can_end_its_events_with_blank_lines(greeter_box, greeter):
    greeter_box.fail(Fault(blank_lines=True))
    response = ask_chat(greeter, "greeter", stream=True)

    assert response.text == DOCUMENTED_STREAM.replace("\n", "\n\n")


def test_a_stream_can_name_its_conversation_in_the_last_chunk(box, account):
    box.fail(Fault(conversation_id_in="chunk"))
    *pieces, last, done = ask_chat(account, "mirror", stream=True).text.split("\n")[:-1]
    identity = json.loads(last[6:])["conversationId"]

    assert json.loads(last[6:]) == {"chunk": "", "conversationId": identity}
    assert done == "data: [DONE]"
    assert len(pieces) == 1
    assert len(mirrored(ask_chat(account, "mirror", conversationId=identity))) == 3


def test_a_stream_can_name_its_conversation_in_a_header(box, account):
    box.fail(Fault(conversation_id_in="header"))
    response = ask_chat(account, "mirror", stream=True)
    identity = response.headers["x-conversation-id"]

    assert "conv_" not in response.text
    assert len(mirrored(ask_chat(account, "mirror", conversationId=identity))) == 3


def test_a_stream_can_end_without_done(greeter_box, greeter):
    greeter_box.fail(Fault(no_done=True))
    response = ask_chat(greeter, "greeter", stream=True)

    assert response.text == DOCUMENTED_STREAM.removesuffix("data: [DONE]\n")


def test_a_stream_can_contain_invalid_json(greeter_box, greeter):
    greeter_box.fail(Fault(garbage_after=1))
    lines = ask_chat(greeter, "greeter", stream=True).text.split("\n")

    with pytest.raises(json.JSONDecodeError):
        json.loads(lines[1][6:])
    assert json.loads(lines[2][6:]) == {"chunk": " there!"}


@pytest.mark.parametrize("after", [0, 1])
def test_a_stream_can_end_with_an_error(greeter_box, greeter, after):
    greeter_box.fail(Fault(error_after=after, message="broken"))
    response = ask_chat(greeter, "greeter", stream=True)
    lines = response.text.split("\n")[:-1]

    assert response.status_code == 200
    assert len(lines) == after + 1
    assert json.loads(lines[-1][6:])["error"]["message"] == "broken"


@pytest.mark.parametrize("stream", [True, False])
def test_a_response_can_be_cut_or_reset(greeter_box, greeter, stream):
    greeter_box.fail(Fault(cut_after=1))
    with pytest.raises(httpx.RemoteProtocolError):
        ask_chat(greeter, "greeter", stream=stream)
    greeter_box.fail(Fault(reset_after=1))
    with pytest.raises(httpx.ReadError):
        ask_chat(greeter, "greeter", stream=stream)
    assert greeter_box.wait_for(lambda: greeter_box.open_streams == 0) is True


def test_a_whole_response_can_be_invalid_an_error_with_status_200_or_replaced(box, account):
    box.fail(Fault(garbage_after=0))
    with pytest.raises(json.JSONDecodeError):
        ask_chat(account).json()
    box.fail(Fault(error_after=0, message="broken"))
    failed = ask_chat(account)
    assert (failed.status_code, chat_error(failed)[1]) == (200, "broken")
    box.fail(Fault(body="<b>down</b>", content_type="text/html", status=502))
    assert ask_chat(account).text == "<b>down</b>"


@pytest.mark.parametrize(("status", "expected"), [(None, 307), (301, 301), (308, 308)])
def test_a_request_can_be_redirected_with_any_status(box, account, status, expected):
    box.fail(Fault(redirect="/v1/api/chat/mirror", status=status))
    response = ask_chat(account)

    assert response.status_code == expected
    assert response.headers["location"] == "/v1/api/chat/mirror"


def test_a_reply_can_be_late_disguised_empty_or_without_pauses(box, account):
    box.fail(Fault(delay=0.2))
    ask_chat(account)
    request = box.requests[-1]
    assert request.first_byte - request.arrived >= 0.2
    box.fail(Fault(disguised=True))
    assert "sorry" in chat_data(ask_chat(account))["response"]
    box.fail(Fault(empty=True))
    assert chat_data(ask_chat(account))["response"] == '""'
    box.fail(Fault(burst=True))
    assert chat_data(ask_chat(account, "slow"))["response"].split()[-1] == "word650"


def test_the_token_count_can_be_zero_or_missing(box, account):
    box.fail(Fault(usage="zero"))
    box.fail(Fault(usage="none"))
    zero, none, counted = (ask_chat(account, message="one two three") for _ in range(3))

    assert chat_data(zero)["metadata"]["tokens"] == 0
    assert "tokens" not in chat_data(none)["metadata"]
    assert chat_data(counted)["metadata"]["tokens"] == 6


def test_a_fault_can_be_limited_to_an_agent_or_a_path(box, account):
    box.fail(Fault(status=503), agent="echo")
    box.fail(Fault(status=429), path="/v1/api/chat/math")

    assert [ask_chat(account, slug).status_code for slug in ("mirror", "math", "echo")] == [
        200,
        429,
        503,
    ]


def test_the_token_counts_of_an_agent_are_reported():
    agents = {"mine": lambda _: ["ab", TokenCounts(150, 300)]}
    with Sandbox(agents=agents) as box, http_client(box) as client:
        assert chat_data(ask_chat(client, "mine"))["metadata"]["tokens"] == 450


def raising_midway(_messages):
    yield "so far"
    raise ValueError("so bad")


@pytest.mark.parametrize("stream", [True, False])
def test_an_agent_that_raises_is_status_500_and_the_server_continues(stream):
    with Sandbox(agents={"mine": lambda _: 1 / 0}) as box, http_client(box) as client:
        failed = ask_chat(client, "mine", stream=stream)

        assert ask_chat(client).status_code == 200
    assert failed.status_code == 500
    assert chat_error(failed) == ("InternalServerError", "ZeroDivisionError: division by zero")


def test_an_agent_that_raises_midway_reports_it_in_the_stream():
    with Sandbox(agents={"mine": raising_midway}) as box, http_client(box) as client:
        first, last = ask_chat(client, "mine", stream=True).text.split("\n")[:-1]

    assert first == 'data: {"chunk": "so far"}'
    assert json.loads(last[6:])["error"]["message"] == "ValueError: so bad"


def test_an_agent_with_an_unmet_requirement_is_status_400():
    unready = Agent(lambda _: "x", unmet_requirement=lambda: "run: pip install it")
    with Sandbox(agents={"mine": unready}) as box, http_client(box) as client:
        response = ask_chat(client, "mine")

    assert (response.status_code, chat_error(response)[1]) == (400, "run: pip install it")
