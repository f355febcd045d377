"""The native dialect of the stand-in, on a real socket; nothing of ours but the stand-in."""

import base64
import json
import shlex
import struct
import subprocess
import threading
import uuid
import zlib
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from swiftask_jupyter.sandbox.agents import Agent, File, TokenCounts
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.sandbox.server import Sandbox

HISTORY = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is the weather today?", "files": []},
    {"role": "assistant", "content": "It's sunny today!"},
]

INTRODUCTION = """
curl -X POST 'https://graphql.swiftask.ai/api/ai/blank-templatexlxjz' \
-H 'Content-Type: application/json' \
-H 'Authorization: Bearer YOUR_CLIENT_TOKEN' \
-d '{
"input": "Hello, how can I help you today?",
"sessionId": 12345,
"messageHistory": [],
"files": [],
"documentAnalysisMode": "SIMPLE"
}'
"""
ACCESS = """
curl -X POST 'https://swiftask.com/api/ai/{slug}' \
-H 'Content-Type: application/json' \
-H 'Authorization: Bearer <api_key>' \
-d '{
"input": "Hello, how can I help you today?",
"documentAnalysisMode": "SIMPLE",
"files": [],
"messageHistory": [
{
"role": "user",
"content": "Hello, how can I help you today?"
}
]
}'
"""


@pytest.fixture
def box():
    with Sandbox() as box:
        yield box


@pytest.fixture
def client(box):
    with client_for(box) as client:
        yield client


def client_for(box, token=None):
    headers = {"Authorization": f"Bearer {token or box.token}"}
    return httpx.Client(base_url=box.url, headers=headers, timeout=30, trust_env=False)


def ask(client, slug="echo", **more):
    return client.post(f"/api/ai/{slug}", json={"input": "hello", **more})


def curl(command):
    """Runs a documented command; what it printed, as JSON."""
    words = [*shlex.split(command), "-sS", "--noproxy", "*"]
    try:
        said = subprocess.run(words, capture_output=True, check=True, timeout=30)
    except FileNotFoundError:
        pytest.skip("curl is not installed here")
    return json.loads(said.stdout)


# What the documents say


def test_the_curl_command_of_the_introduction_works_with_host_and_token_changed():
    with Sandbox(agents={"blank-templatexlxjz": "Agent response here"}) as box:
        command = INTRODUCTION.replace("https://graphql.swiftask.ai", box.url)
        token = box.client_token("blank-templatexlxjz")
        answer = curl(command.replace("YOUR_CLIENT_TOKEN", token))

    assert answer["text"] == "Agent response here"
    assert answer["botSlug"] == "blank-templatexlxjz"
    assert answer["sessionId"] == 12345
    assert (answer["files"], answer["isBotError"]) == ([], False)
    assert isinstance(answer["botId"], int)
    assert isinstance(answer["totalBotUsage"], int)
    assert set(answer["tokenUsage"]) == {"inputTokens", "outputTokens", "totalTokens"}


def test_the_curl_command_of_the_access_page_works_with_host_slug_and_key_filled_in(box):
    command = ACCESS.replace("https://swiftask.com", box.url).replace("{slug}", "mirror")
    answer = curl(command.replace("<api_key>", box.token))

    fields = ("text", "botSlug", "files", "additionalMessages", "isBotError", "sessionId")
    more = ("totalBotUsage", "isSubscriptionUsageLimitReachedMessage", "sourceMetadatas")
    assert {*fields, *more} <= set(answer)
    said = [each["content"] for each in json.loads(answer["text"])]
    assert said == ["Hello, how can I help you today?"] * 2


def test_the_example_request_of_the_access_page_is_accepted(client):
    answer = ask(
        client,
        sessionId=12345,
        files=[{"name": "a.txt", "size": 1024, "url": "http://example.com/file/a.txt"}],
        documentAnalysisMode="SIMPLE",
        messageHistory=HISTORY,
        extraConfig={"voice": "Rachel", "stability": 0.5},
    )

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/json")


def test_an_agent_is_given_the_history_and_then_the_input(client):
    answer = ask(client, "mirror", messageHistory=HISTORY).json()
    plain = [{"role": each["role"], "content": each["content"]} for each in HISTORY]

    assert json.loads(answer["text"]) == [*plain, {"role": "user", "content": "hello"}]


def test_a_session_is_not_remembered_and_every_request_without_one_is_a_new_one(client):
    first, second = (ask(client).json()["sessionId"] for _ in range(2))
    again = ask(client, "mirror", sessionId=first).json()

    assert isinstance(first, int)
    assert first != second
    assert again["sessionId"] == first
    assert len(json.loads(again["text"])) == 1


def test_the_usage_of_a_session_adds_up(client):
    def spent(**more):
        return ask(client, input="word " * 50, **more).json()["totalBotUsage"]

    first, second, other = spent(sessionId=7), spent(sessionId=7), spent()
    assert second == 2 * first == 2 * other > 0


def test_a_token_of_an_agent_opens_this_agent_and_nothing_else(box):
    token = box.client_token("echo")
    assert str(uuid.UUID(token)) == token
    v1 = {"model": "echo", "messages": [{"role": "user", "content": "x"}]}
    with client_for(box, token) as client:
        assert ask(client).status_code == 200
        assert ask(client, "lorem").status_code == 401
        assert ask(client, "nobody").status_code == 401
        assert client.post("/v1/chat/completions", json=v1).status_code == 401


def test_no_client_token_is_shown_by_repr(box):
    shown = repr(box) + repr(box.requests) + repr(box._state)

    assert [each for each in box.agents if box.client_token(each) in shown] == []


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Bearer", "Basic x"])
def test_a_missing_or_wrong_token_is_401_with_an_error_that_is_a_string(box, header):
    headers = {} if header is None else {"Authorization": header}
    with httpx.Client(base_url=box.url, headers=headers, trust_env=False) as client:
        answer = ask(client)

    assert answer.status_code == 401
    assert "Unauthorized" in answer.json()["error"]


FILE = {"url": "https://example.com/a.png", "type": "image/png", "size": 3, "name": "a", "id": 1}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"input": {"text": "x"}}, '"input" must be a string'),
        ({"input": ""}, '"input" is not allowed to be empty'),
        ({"sessionId": "12345"}, '"sessionId" must be a number'),
        ({"sessionId": None}, '"sessionId" must be a number'),
        ({"sessionId": True}, '"sessionId" must be a number'),
        ({"sessionId": 2**53}, '"sessionId" must be a safe number'),
        ({"stream": True}, '"stream" is not allowed'),
        ({"documentAnalysisMode": "simple"}, '"documentAnalysisMode" must be one of [SIMPLE, '),
        ({"extraConfig": []}, '"extraConfig" must be of type object'),
        ({"messageHistory": {}}, '"messageHistory" must be an array'),
        ({"messageHistory": ["x"]}, '"messageHistory[0]" must be of type object'),
        ({"messageHistory": [{"role": "user"}]}, '"messageHistory[0].content" is required'),
        (
            {"messageHistory": [*HISTORY, {"role": "tool", "content": "x"}]},
            '"messageHistory[3].role" must be one of [user, assistant, system]',
        ),
        ({"messageHistory": [HISTORY[0] | {"id": 1}]}, '"messageHistory[0].id" is not allowed'),
        ({"files": [{"name": "a"}]}, '"files[0].url" is required'),
        ({"files": [FILE, FILE | {"size": "3"}]}, '"files[1].size" must be a number'),
        ({"files": [FILE | {"url": "a.png"}]}, '"files[0].url" must be a valid uri'),
        ({"files": [FILE | {"url": "http://x/a b"}]}, '"files[0].url" must be a valid uri'),
        ({"files": [FILE | {"url": "http://x/%é"}]}, '"files[0].url" must be a valid uri'),
        ({"files": [FILE | {"content": "x"}]}, '"files[0].content" is not allowed'),
    ],
)
def test_a_request_it_does_not_understand_is_400_and_says_why(client, change, sentence):
    answer = ask(client, **change)

    assert answer.status_code == 400
    assert answer.json()["error"].startswith(sentence)


def test_a_request_without_input_or_without_json_is_400(client):
    missing = client.post("/api/ai/echo", json={})
    form = client.post("/api/ai/echo", content=b'{"input": "x"}')
    broken = client.post("/api/ai/echo", content=b"{", headers={"Content-Type": "text/json"})

    assert missing.json() == {"error": '"input" is required'}
    assert [each.status_code for each in (missing, form, broken)] == [400, 400, 400]


def test_a_long_data_url_is_a_uri_and_is_answered(client):
    url = "data:image/png;base64," + base64.b64encode(bytes(1_000_000)).decode()

    assert ask(client, files=[{"url": url}]).status_code == 200
    assert ask(client, files=[{"url": url + " "}]).status_code == 400


def test_an_unknown_agent_is_404(client):
    """The documents name no status for it."""
    answer = ask(client, "nobody")

    assert answer.status_code == 404
    assert "nobody" in answer.json()["error"]


def test_a_slug_is_taken_as_it_is_written_percent_encoded_or_not():
    agents = {"gemini---nano_banana é/1": "found"}
    with Sandbox(agents=agents) as box, client_for(box) as client:
        answer = ask(client, "gemini---nano_banana%20%C3%A9%2F1").json()

    assert (answer["text"], answer["botSlug"]) == ("found", "gemini---nano_banana é/1")


def test_only_post_is_answered_there(client):
    answer = client.get("/api/ai/echo")

    assert answer.status_code == 405
    assert isinstance(answer.json()["error"], str)


# Agents


@pytest.mark.parametrize(
    ("question", "result"),
    [
        ("What is 2 + 3 * 4?", "14"),
        ("(1 + 2) * 3 =", "9"),
        ("-7 // 2", "-4"),
        ("12 \u00d7 12", "144"),
        ("1,000 / 8", "125"),
        ("2^10", "1024"),
        ("0.1 + 0.2", "0.3"),
        ("1 / 0", "Nothing can be divided by zero."),
        ("9**9**9", "I can't work out 9**9**9."),
        ("(-8)**0.5", "I can't work out (-8)**0.5."),
        ("1(2)", "I can't work out 1(2)."),
        ("hello", "I can only do arithmetic, such as 2 + 3 * 4."),
        ("(" * 100_000 + "1", "I can only do arithmetic, such as 2 + 3 * 4."),
    ],
)
def test_math_works_out_simple_arithmetic_and_nothing_else(client, question, result):
    assert ask(client, "math", input=question).json()["text"] == result


def test_an_image_is_a_file_that_the_sandbox_serves_as_a_real_png(client):
    answer = ask(client, "image", input="a red cat").json()
    (file,) = answer["files"]
    served = httpx.get(file["url"], trust_env=False)

    assert answer["text"] == ""
    assert served.headers["content-type"] == file["type"] == "image/png"
    assert len(served.content) == file["size"]
    assert served.content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", served.content[16:24])
    rows = zlib.decompress(served.content[served.content.index(b"IDAT") + 4 : -16])
    assert len(rows) == height * (1 + 3 * width)


def test_an_image_may_be_a_link_in_the_text_and_no_file(client):
    answer = ask(client, "image-markdown").json()
    url = answer["text"].partition("](")[2].rstrip(")")

    assert answer["files"] == []
    assert httpx.get(url, trust_env=False).content.startswith(b"\x89PNG")


def test_the_catalogue_says_which_agents_are_not_for_chat(box):
    bots = httpx.get(box.url + "/public/bots", trust_env=False).json()
    chat = {each["slug"]: each["isChatLMM"] for each in bots}

    assert {slug for slug in chat if not chat[slug]} == {"image", "image-markdown"}
    assert {"echo", "lorem", "slow", "smollm2", "math", "mirror"} <= set(chat)


def test_an_agent_not_for_chat_answers_v1_as_any_chatbot_would(client):
    """Measured: it is not refused there, and does not do what it is for."""
    body = {"model": "image", "messages": [{"role": "user", "content": "a cat"}]}
    answer = client.post("/v1/chat/completions", json=body)

    assert answer.status_code == 200
    assert "![" not in answer.json()["choices"][0]["message"]["content"]


def test_an_agent_of_the_users_may_give_files_and_counts():
    made = File(b"a,b\n", "text/csv", "table 1.csv")
    agents = {"mine": lambda _: ["here", made, TokenCounts(150, 300)]}
    with Sandbox(agents=agents) as box, client_for(box) as client:
        answer = ask(client, "mine").json()
        served = httpx.get(answer["files"][0]["url"], trust_env=False)

    assert (answer["text"], answer["files"][0]["name"]) == ("here", "table 1.csv")
    assert answer["tokenUsage"] == {"inputTokens": 150, "outputTokens": 300, "totalTokens": 450}
    assert answer["totalBotUsage"] == 45
    assert served.content == b"a,b\n"


def test_an_agent_that_raises_is_an_error_of_the_bot_and_the_server_lives_on():
    with Sandbox(agents={"mine": lambda _: 1 / 0}) as box, client_for(box) as client:
        failed = ask(client, "mine")

        assert ask(client).status_code == 200
    assert failed.status_code == 200
    assert failed.json()["isBotError"] is True
    assert failed.json()["text"] == "ZeroDivisionError: division by zero"


def test_an_agent_that_is_not_ready_says_what_to_do():
    lacking = Agent(lambda _: "x", unmet_requirement=lambda: "run: pip install it")
    with Sandbox(agents={"mine": lacking}) as box, client_for(box) as client:
        answer = ask(client, "mine")

    assert (answer.status_code, answer.json()) == (400, {"error": "run: pip install it"})


def test_nothing_is_sent_before_the_whole_answer_is_there():
    going_on = threading.Event()

    def halting(_messages):
        yield "first "
        going_on.wait(30)
        yield "second"

    with (
        Sandbox(agents={"mine": halting}) as box,
        client_for(box) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        waiting = pool.submit(ask, client, "mine")
        assert box.wait_for(lambda: box.open_streams == 1)
        assert box.requests[-1].first_byte is None
        going_on.set()
        assert waiting.result().json()["text"] == "first second"


def test_a_client_that_goes_away_is_noticed_while_the_agent_thinks(box, client):
    with pytest.raises(httpx.ReadTimeout):
        client.post("/api/ai/slow", json={"input": "x"}, timeout=0.3)

    assert box.wait_for(lambda: box.open_streams == 0) is True
    assert box.requests[-1].disconnected is True


# Faults


def test_keys_may_begin_with_a_dollar_as_one_page_prints_them(box, client):
    box.fail(Fault(dollar_keys=True))
    answer = ask(client).json()

    assert answer["$text"] == "hello"
    assert all(key.startswith("$") and not key.startswith("$$") for key in answer)


@pytest.mark.parametrize(
    ("shape", "keys"),
    [
        ("tokenUsage", {"tokenUsage"}),
        ("usageDetail", {"usageDetail"}),
        ("both", {"tokenUsage", "usageDetail"}),
        ("none", set()),
    ],
)
def test_usage_may_stand_in_either_place_or_none(box, client, shape, keys):
    box.fail(Fault(usage_shape=shape))
    answer = ask(client, input="one two three").json()

    assert {"tokenUsage", "usageDetail"} & set(answer) == keys
    if "usageDetail" in keys:
        assert answer["usageDetail"] == {"totalInputTokens": 3, "totalOutputTokens": 3}
    if "tokenUsage" in keys:
        assert tuple(answer["tokenUsage"].values()) == (3, 3, 6)


def test_usage_is_counted_unless_zero_or_none_is_asked_for(box, client):
    box.fail(Fault(usage="zero"))
    box.fail(Fault(usage="none"))
    zero, none = ask(client).json(), ask(client).json()

    assert (zero["tokenUsage"]["inputTokens"], zero["tokenUsage"]["outputTokens"]) == (0, 0)
    assert zero["tokenUsage"]["totalTokens"] > 1
    assert "tokenUsage" not in none


def test_an_error_may_be_soft(box, client):
    box.fail(Fault(soft_error=True, message="Voice 'X' not found"))
    answer = ask(client)

    assert answer.status_code == 200
    body = answer.json()
    assert (body["text"], body["isBotError"]) == ("Voice 'X' not found", True)
    assert body["files"] == []


def test_the_limit_of_the_subscription_may_be_reached(box, client):
    box.fail(Fault(limit_reached=True, message="No credits are left."))
    body = ask(client).json()

    assert body["isSubscriptionUsageLimitReachedMessage"] is True
    assert (body["text"], body["isBotError"]) == ("No credits are left.", False)


@pytest.mark.parametrize(("status", "seen"), [(None, 200), (402, 402)])
def test_an_error_may_be_an_object_on_any_status(box, client, status, seen):
    box.fail(Fault(error_object=True, status=status, message="too much"))
    answer = ask(client)

    assert answer.status_code == seen
    assert answer.json()["error"]["message"] == "too much"


def test_an_error_that_is_a_string_may_stand_in_a_200(box, client):
    box.fail(Fault(error_after=0, message="broken"))
    answer = ask(client)

    assert (answer.status_code, answer.json()) == (200, {"error": "broken"})


def test_a_deployment_may_take_strings_for_session_ids(box, client):
    """The troubleshooting page says "Session ID must be a string"; the schema, a number."""
    box.fail(Fault(session_type="string"), times=None)
    refused, taken, new = (ask(client, **s) for s in ({"sessionId": 1}, {"sessionId": "1"}, {}))

    assert (refused.status_code, refused.json()["error"]) == (400, '"sessionId" must be a string')
    assert taken.json()["sessionId"] == "1"
    assert isinstance(new.json()["sessionId"], str)


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_a_status_comes_with_an_error_that_is_a_string_unless_another_shape_is_asked(
    box, client, status
):
    box.fail(Fault(status=status, headers={"Retry-After": "7"}))
    box.fail(Fault(status=status, shape="detail", message="too much"))
    plain, other = ask(client), ask(client)

    assert plain.status_code == other.status_code == status
    assert isinstance(plain.json()["error"], str)
    assert plain.headers["retry-after"] == "7"
    assert other.json() == {"detail": "too much"}


def test_an_answer_may_be_cut_or_reset_or_no_json_or_any_body(box, client):
    box.fail(Fault(cut_after=1))
    with pytest.raises(httpx.RemoteProtocolError):
        ask(client)
    box.fail(Fault(reset_after=0))
    with pytest.raises(httpx.ReadError):
        ask(client)
    box.fail(Fault(garbage_after=0))
    with pytest.raises(json.JSONDecodeError):
        ask(client).json()
    box.fail(Fault(body="<b>down</b>", content_type="text/html", status=502))
    assert ask(client).text == "<b>down</b>"


def test_an_answer_may_be_late_disguised_or_empty(box, client):
    box.fail(Fault(delay=0.2))
    ask(client)
    seen = box.requests[-1]
    assert seen.first_byte - seen.arrived >= 0.2
    box.fail(Fault(disguised=True))
    assert "sorry" in ask(client).json()["text"]
    box.fail(Fault(empty=True))
    assert ask(client).json()["text"] == '""'


def test_a_slow_agent_may_be_hurried(box, client):
    box.fail(Fault(burst=True))
    assert ask(client, "slow").json()["text"].split()[-1] == "word650"


def test_a_fault_may_be_for_one_agent_or_one_path(box, client):
    box.fail(Fault(status=503), agent="echo")
    box.fail(Fault(status=429), path="/api/ai/math")

    assert [ask(client, slug).status_code for slug in ("mirror", "math", "echo")] == [200, 429, 503]


@pytest.mark.parametrize(
    "wanted",
    [{"usage_shape": "x"}, {"session_type": "bool"}, {"signed_url_key": "u"}, {"soft_error": 1}],
)
def test_a_fault_of_this_dialect_that_makes_no_sense_is_400(client, wanted):
    assert client.post("/sandbox/faults", json=wanted).status_code == 400


def test_a_fault_of_this_dialect_may_be_ordered_over_the_wire(client):
    assert client.post("/sandbox/faults", json={"dollar_keys": True}).status_code == 201
    assert "$text" in ask(client).json()
