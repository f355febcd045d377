"""The dialect `widget` on a real socket, against what its documents say."""

import json
import uuid

import httpx
import pytest

from swiftask_jupyter.sandbox.agents import Agent
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.sandbox.server import Sandbox
from tests.support.sandbox_requests import ask_widget, run_curl, signed_urls

HOST = "https://graphql.swiftask.ai"
DOCUMENTED = {
    "ask": """curl -X POST 'https://graphql.swiftask.ai/api/widget/ai?clientToken=YOUR_CLIENT_TOKEN' \
-H 'Content-Type: application/json' \
-d '{
"input": "Tell me about your products",
"sessionId": "user-session-123"
}'""",  # noqa: E501 - as documented
    "config": """curl 'https://graphql.swiftask.ai/api/widget/config?clientToken=YOUR_CLIENT_TOKEN'""",
    "feedback": """curl -X POST 'https://graphql.swiftask.ai/api/widget/feedback?clientToken=YOUR_CLIENT_TOKEN' \
-H 'Content-Type: application/json' \
-d '{
"feedback": "POSITIVE",
"comment": "Very helpful response!",
"sessionId": 12345
}'""",  # noqa: E501 - as documented
    "like": """curl -X POST 'https://graphql.swiftask.ai/api/widget/like-dislike' \
-H 'Content-Type: application/json' \
-d '{
"messageId": 5678,
"feedback": "POSITIVE"
}'""",
    "get": """curl 'https://graphql.swiftask.ai/api/widget/conversation?sessionId=user-session-123'""",
    "delete": """curl -X POST 'https://graphql.swiftask.ai/api/widget/conversation/delete?sessionId=user-session-123'""",
    "sign": """curl 'https://graphql.swiftask.ai/widget/get-signed-url?fileName=document.pdf'""",
}  # fmt: skip


def curl(command, box):
    """Run a documented command with the sandbox's host and token; return the status and JSON."""
    token = box.client_token("echo")
    command = command.replace(HOST, box.url).replace("YOUR_CLIENT_TOKEN", token)
    status, body = run_curl(command)
    return status, json.loads(body)


def test_every_documented_curl_command_works(box):
    responses = {name: curl(command, box) for name, command in DOCUMENTED.items()}

    assert {name: status for name, (status, _) in responses.items() if status != 200} == {}
    _, reply = responses["ask"]
    assert reply["text"] == "Tell me about your products"
    assert (reply["botSlug"], reply["sessionId"]) == ("echo", "user-session-123")
    _, conversation = responses["get"]
    assert [each["role"] for each in conversation["messages"]] == ["user", "assistant"]
    assert set(responses["sign"][1]) == {"signedUrl", "fileUrl"}


def test_the_client_token_names_the_agent(box, visitor):
    assert ask_widget(box, visitor, "math", input="1+1").json()["text"] == "2"


@pytest.mark.parametrize("path", ["ai", "config", "feedback"])
@pytest.mark.parametrize("token", [None, "", "wrong", "account"])
def test_a_missing_or_wrong_client_token_is_status_401(box, visitor, path, token):
    params = {} if token is None else {"clientToken": box.token if token == "account" else token}
    method = "GET" if path == "config" else "POST"
    bearer = {"Authorization": f"Bearer {box.token}"}
    response = visitor.request(
        method, f"/api/widget/{path}", params=params, json={}, headers=bearer
    )

    assert response.status_code == 401
    assert "Unauthorized" in response.json()["error"]


def test_a_session_id_must_be_a_string_unless_a_fault_accepts_numbers(box, visitor):
    refused = ask_widget(box, visitor, sessionId=12345)
    box.fail(Fault(session_type="number"))
    taken = ask_widget(box, visitor, sessionId=12345)

    assert (refused.status_code, refused.json()["error"]) == (400, '"sessionId" must be a string')
    assert taken.json()["sessionId"] == 12345


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"input": ["x"]}, '"input" must be a string'),
        ({"clientToken": "x"}, '"clientToken" is not allowed'),
    ],
)
def test_an_invalid_field_is_status_400_with_a_reason(box, visitor, change, sentence):
    response = ask_widget(box, visitor, **change)

    assert (response.status_code, response.json()) == (400, {"error": sentence})


def test_a_session_is_stored_listed_and_deleted(box, visitor):
    """That the service stores sessions is inferred: these routes would be empty otherwise."""
    ask_widget(box, visitor, sessionId="s")
    second = ask_widget(box, visitor, "mirror", sessionId="s", input="again")
    session = {"sessionId": "s"}
    listed = visitor.get("/api/widget/conversation", params=session).json()
    deleted = visitor.post("/api/widget/conversation/delete", params=session)

    contents = [each["content"] for each in json.loads(second.json()["text"])]
    assert contents == ["hello", "hello", "again"]
    assert listed["sessionId"] == "s"
    assert len({each["id"] for each in listed["messages"]}) == 4
    assert deleted.status_code == 200
    assert visitor.get("/api/widget/conversation", params=session).status_code == 404
    assert visitor.post("/api/widget/conversation/delete", params=session).status_code == 404


def test_a_history_in_the_request_replaces_the_stored_one(box, visitor):
    ask_widget(box, visitor, sessionId="s")
    history = [{"role": "user", "content": "mine"}]
    response = ask_widget(box, visitor, "mirror", sessionId="s", messageHistory=history).json()

    assert [each["content"] for each in json.loads(response["text"])] == ["mine", "hello"]


def test_a_failed_turn_is_not_stored_and_a_new_session_id_is_a_string(box, visitor):
    box.fail(Fault(soft_error=True))
    failed = ask_widget(box, visitor).json()
    listed = visitor.get("/api/widget/conversation", params={"sessionId": failed["sessionId"]})

    assert failed["isBotError"] is True
    assert listed.json()["messages"] == []


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("feedback", {"comment": "x"}, '"feedback" is required'),
        ("feedback", {"feedback": "GOOD"}, '"feedback" must be one of [POSITIVE, NEGATIVE]'),
        ("feedback", {"feedback": "POSITIVE", "sessionId": []}, '"sessionId" must be a string'),
        ("like-dislike", {"feedback": "POSITIVE"}, '"messageId" is required'),
        ("like-dislike", {"messageId": "1", "feedback": "x"}, '"messageId" must be a number'),
    ],
)
def test_an_invalid_rating_is_status_400(box, visitor, path, body, sentence):
    token = {"clientToken": box.client_token("echo")}
    response = visitor.post(f"/api/widget/{path}", params=token, json=body)

    assert (response.status_code, response.json()) == (400, {"error": sentence})


def test_feedback_accepts_session_ids_of_both_types_and_an_empty_comment(box, visitor):
    token = {"clientToken": box.client_token("echo")}
    for session in (12345, "user-session-123"):
        body = {"feedback": "NEGATIVE", "comment": "", "sessionId": session}
        assert visitor.post("/api/widget/feedback", params=token, json=body).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/widget/conversation"),
        ("POST", "/api/widget/conversation/delete"),
        ("GET", "/widget/get-signed-url"),
    ],
)
def test_a_missing_query_parameter_is_status_400(visitor, method, path):
    response = visitor.request(method, path)

    assert response.status_code == 400
    assert response.json()["error"].endswith("is required")


def test_every_route_can_fail_by_its_path(box, visitor):
    routes = {
        "ai": "POST",
        "config": "GET",
        "feedback": "POST",
        "like-dislike": "POST",
        "conversation": "GET",
        "conversation/delete": "POST",
    }
    token = {"clientToken": box.client_token("echo")}
    for name, method in routes.items():
        box.fail(Fault(status=503), path=f"/api/widget/{name}")
        response = visitor.request(method, f"/api/widget/{name}", params=token, json={"input": "x"})
        assert (response.status_code, name) == (503, name)
        assert isinstance(response.json()["error"], str)


def test_an_agent_with_an_unmet_requirement_is_status_400():
    unready = Agent(lambda _: "x", unmet_requirement=lambda: "run: pip install it")
    with Sandbox(agents={"mine": unready}) as box, httpx.Client(base_url=box.url) as client:
        assert ask_widget(box, client, "mine").json() == {"error": "run: pip install it"}


def test_upload_urls_need_no_token_but_refuse_a_wrong_one(box, visitor):
    """No token is documented; the author of a client sends the account's key, and it works."""
    for token in (box.token, box.client_token("echo")):
        assert signed_urls(visitor, clientToken=token)
    wrong = {"fileName": "a", "clientToken": str(uuid.uuid4())}

    assert visitor.get("/widget/get-signed-url", params=wrong).status_code == 401


def test_the_path_of_upload_urls_has_no_api_prefix(visitor):
    assert visitor.get("/api/widget/get-signed-url?fileName=a").status_code == 404
