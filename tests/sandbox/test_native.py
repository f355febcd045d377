"""The dialect `native` on a real socket, against what its documents say."""

import base64
import json
import uuid

import httpx
import pytest

from swiftask_jupyter.sandbox.agents import Agent
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.sandbox.server import Sandbox
from tests.support.sandbox_requests import ask_native, http_client, run_curl

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
FILE = {"url": "https://example.com/a.png", "type": "image/png", "size": 3, "name": "a", "id": 1}


def test_the_curl_command_of_the_introduction_works():
    with Sandbox(agents={"blank-templatexlxjz": "Agent response here"}) as box:
        command = INTRODUCTION.replace("https://graphql.swiftask.ai", box.url)
        token = box.client_token("blank-templatexlxjz")
        _, body = run_curl(command.replace("YOUR_CLIENT_TOKEN", token))

    response = json.loads(body)
    assert response["text"] == "Agent response here"
    assert response["botSlug"] == "blank-templatexlxjz"
    assert response["sessionId"] == 12345
    assert (response["files"], response["isBotError"]) == ([], False)
    assert isinstance(response["botId"], int)
    assert isinstance(response["totalBotUsage"], int)
    assert set(response["tokenUsage"]) == {"inputTokens", "outputTokens", "totalTokens"}


def test_the_curl_command_of_the_access_page_works(box):
    command = ACCESS.replace("https://swiftask.com", box.url).replace("{slug}", "mirror")
    _, body = run_curl(command.replace("<api_key>", box.token))
    response = json.loads(body)

    fields = ("text", "botSlug", "files", "additionalMessages", "isBotError", "sessionId")
    more = ("totalBotUsage", "isSubscriptionUsageLimitReachedMessage", "sourceMetadatas")
    assert {*fields, *more} <= set(response)
    contents = [each["content"] for each in json.loads(response["text"])]
    assert contents == ["Hello, how can I help you today?"] * 2


def test_the_example_request_of_the_access_page_is_accepted(account):
    response = ask_native(
        account,
        sessionId=12345,
        files=[{"name": "a.txt", "size": 1024, "url": "http://example.com/file/a.txt"}],
        documentAnalysisMode="SIMPLE",
        messageHistory=HISTORY,
        extraConfig={"voice": "Rachel", "stability": 0.5},
    )

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("application/json")


def test_the_agent_gets_the_history_and_then_the_input(account):
    response = ask_native(account, "mirror", messageHistory=HISTORY).json()
    plain = [{"role": each["role"], "content": each["content"]} for each in HISTORY]

    assert json.loads(response["text"]) == [*plain, {"role": "user", "content": "hello"}]


def test_messages_of_a_session_are_not_stored_and_a_request_without_an_id_starts_a_new_one(account):
    first, second = (ask_native(account).json()["sessionId"] for _ in range(2))
    again = ask_native(account, "mirror", sessionId=first).json()

    assert isinstance(first, int)
    assert first != second
    assert again["sessionId"] == first
    assert len(json.loads(again["text"])) == 1


def test_total_bot_usage_is_the_sum_of_the_session(account):
    def usage_of(**more):
        return ask_native(account, input="word " * 50, **more).json()["totalBotUsage"]

    first, second, other = usage_of(sessionId=7), usage_of(sessionId=7), usage_of()
    assert second == 2 * first == 2 * other > 0


def test_a_client_token_is_valid_for_its_agent_only(box):
    token = box.client_token("echo")
    assert str(uuid.UUID(token)) == token
    v1 = {"model": "echo", "messages": [{"role": "user", "content": "x"}]}
    with http_client(box, token) as client:
        assert ask_native(client).status_code == 200
        assert ask_native(client, "lorem").status_code == 401
        assert ask_native(client, "nobody").status_code == 401
        assert client.post("/v1/chat/completions", json=v1).status_code == 401


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Bearer", "Basic x"])
def test_a_missing_or_wrong_token_is_status_401_with_an_error_text(box, header):
    headers = {} if header is None else {"Authorization": header}
    with httpx.Client(base_url=box.url, headers=headers, trust_env=False) as client:
        response = ask_native(client)

    assert response.status_code == 401
    assert "Unauthorized" in response.json()["error"]


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
def test_an_invalid_field_is_status_400_with_a_reason(account, change, sentence):
    response = ask_native(account, **change)

    assert response.status_code == 400
    assert response.json()["error"].startswith(sentence)


def test_a_request_without_input_or_without_json_is_status_400(account):
    missing = account.post("/api/ai/echo", json={})
    form = account.post("/api/ai/echo", content=b'{"input": "x"}')
    broken = account.post("/api/ai/echo", content=b"{", headers={"Content-Type": "text/json"})

    assert missing.json() == {"error": '"input" is required'}
    assert [each.status_code for each in (missing, form, broken)] == [400, 400, 400]


def test_a_long_data_url_is_a_valid_uri(account):
    url = "data:image/png;base64," + base64.b64encode(bytes(1_000_000)).decode()

    assert ask_native(account, files=[{"url": url}]).status_code == 200
    assert ask_native(account, files=[{"url": url + " "}]).status_code == 400


def test_an_unknown_agent_is_status_404(account):
    """Undocumented: the documents name no status for an unknown agent."""
    response = ask_native(account, "nobody")

    assert response.status_code == 404
    assert "nobody" in response.json()["error"]


def test_a_slug_can_be_percent_encoded():
    agents = {"gemini---nano_banana é/1": "found"}
    with Sandbox(agents=agents) as box, http_client(box) as client:
        response = ask_native(client, "gemini---nano_banana%20%C3%A9%2F1").json()

    assert (response["text"], response["botSlug"]) == ("found", "gemini---nano_banana é/1")


def test_get_is_status_405(account):
    response = account.get("/api/ai/echo")

    assert response.status_code == 405
    assert isinstance(response.json()["error"], str)


def test_an_agent_that_raises_is_reported_as_a_bot_error():
    with Sandbox(agents={"mine": lambda _: 1 / 0}) as box, http_client(box) as client:
        failed = ask_native(client, "mine")

        assert ask_native(client).status_code == 200
    assert failed.status_code == 200
    assert failed.json()["isBotError"] is True
    assert failed.json()["text"] == "ZeroDivisionError: division by zero"


def test_an_agent_with_an_unmet_requirement_is_status_400():
    unready = Agent(lambda _: "x", unmet_requirement=lambda: "run: pip install it")
    with Sandbox(agents={"mine": unready}) as box, http_client(box) as client:
        response = ask_native(client, "mine")

    assert (response.status_code, response.json()) == (400, {"error": "run: pip install it"})


def test_keys_can_begin_with_a_dollar_sign(box, account):
    box.fail(Fault(dollar_keys=True))
    response = ask_native(account).json()

    assert response["$text"] == "hello"
    assert all(key.startswith("$") and not key.startswith("$$") for key in response)


@pytest.mark.parametrize(
    ("shape", "keys"),
    [
        ("tokenUsage", {"tokenUsage"}),
        ("usageDetail", {"usageDetail"}),
        ("both", {"tokenUsage", "usageDetail"}),
        ("none", set()),
    ],
)
def test_usage_can_be_in_either_field_or_in_none(box, account, shape, keys):
    box.fail(Fault(usage_shape=shape))
    response = ask_native(account, input="one two three").json()

    assert {"tokenUsage", "usageDetail"} & set(response) == keys
    if "usageDetail" in keys:
        assert response["usageDetail"] == {"totalInputTokens": 3, "totalOutputTokens": 3}
    if "tokenUsage" in keys:
        assert tuple(response["tokenUsage"].values()) == (3, 3, 6)


def test_usage_is_counted_unless_a_fault_changes_it(box, account):
    box.fail(Fault(usage="zero"))
    box.fail(Fault(usage="none"))
    zero, none = ask_native(account).json(), ask_native(account).json()

    assert (zero["tokenUsage"]["inputTokens"], zero["tokenUsage"]["outputTokens"]) == (0, 0)
    assert zero["tokenUsage"]["totalTokens"] > 1
    assert "tokenUsage" not in none


def test_a_soft_error_has_status_200_and_the_bot_error_flag(box, account):
    box.fail(Fault(soft_error=True, message="Voice 'X' not found"))
    response = ask_native(account)

    assert response.status_code == 200
    body = response.json()
    assert (body["text"], body["isBotError"]) == ("Voice 'X' not found", True)
    assert body["files"] == []


def test_the_subscription_limit_can_be_reached(box, account):
    box.fail(Fault(limit_reached=True, message="No credits are left."))
    body = ask_native(account).json()

    assert body["isSubscriptionUsageLimitReachedMessage"] is True
    assert (body["text"], body["isBotError"]) == ("No credits are left.", False)


@pytest.mark.parametrize(("status", "expected"), [(None, 200), (402, 402)])
def test_an_error_can_be_an_object_with_any_status(box, account, status, expected):
    box.fail(Fault(error_object=True, status=status, message="too much"))
    response = ask_native(account)

    assert response.status_code == expected
    assert response.json()["error"]["message"] == "too much"


def test_an_error_text_can_come_with_status_200(box, account):
    box.fail(Fault(error_after=0, message="broken"))
    response = ask_native(account)

    assert (response.status_code, response.json()) == (200, {"error": "broken"})


def test_session_ids_can_be_strings(box, account):
    """The troubleshooting page says "Session ID must be a string"; the schema, a number."""
    box.fail(Fault(session_type="string"), times=None)
    refused, taken, new = (
        ask_native(account, **s) for s in ({"sessionId": 1}, {"sessionId": "1"}, {})
    )

    assert (refused.status_code, refused.json()["error"]) == (400, '"sessionId" must be a string')
    assert taken.json()["sessionId"] == "1"
    assert isinstance(new.json()["sessionId"], str)


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_an_error_is_a_text_unless_a_fault_sets_another_shape(box, account, status):
    box.fail(Fault(status=status, headers={"Retry-After": "7"}))
    box.fail(Fault(status=status, shape="detail", message="too much"))
    plain, other = ask_native(account), ask_native(account)

    assert plain.status_code == other.status_code == status
    assert isinstance(plain.json()["error"], str)
    assert plain.headers["retry-after"] == "7"
    assert other.json() == {"detail": "too much"}


def test_a_reply_can_be_late_disguised_or_empty(box, account):
    box.fail(Fault(delay=0.2))
    ask_native(account)
    request = box.requests[-1]
    assert request.first_byte - request.arrived >= 0.2
    box.fail(Fault(disguised=True))
    assert "sorry" in ask_native(account).json()["text"]
    box.fail(Fault(empty=True))
    assert ask_native(account).json()["text"] == '""'


def test_a_burst_skips_the_pauses_of_an_agent(box, account):
    box.fail(Fault(burst=True))
    assert ask_native(account, "slow").json()["text"].split()[-1] == "word650"


def test_a_fault_can_be_limited_to_an_agent_or_a_path(box, account):
    box.fail(Fault(status=503), agent="echo")
    box.fail(Fault(status=429), path="/api/ai/math")

    assert [ask_native(account, slug).status_code for slug in ("mirror", "math", "echo")] == [
        200,
        429,
        503,
    ]
