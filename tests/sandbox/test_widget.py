"""The widget's dialect and the uploads of the stand-in, on a real socket."""

import json
import shlex
import subprocess
import uuid

import httpx
import pytest

from swiftask_jupyter.sandbox.agents import Agent
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.sandbox.server import Sandbox

HERE = "https://graphql.swiftask.ai"
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


@pytest.fixture
def box():
    with Sandbox() as box:
        yield box


@pytest.fixture
def client(box):
    """A visitor: no Authorization header."""
    with httpx.Client(base_url=box.url, timeout=30, trust_env=False) as client:
        yield client


def ask(box, client, slug="echo", **more):
    token = {"clientToken": box.client_token(slug)}
    return client.post("/api/widget/ai", params=token, json={"input": "hello", **more})


def curl(command, box, slug="echo"):
    """Runs a documented command, host and token changed; its status and its JSON."""
    command = command.replace(HERE, box.url)
    words = shlex.split(command.replace("YOUR_CLIENT_TOKEN", box.client_token(slug)))
    try:
        said = subprocess.run(
            [*words, "-sS", "--noproxy", "*", "-w", "\n%{http_code}"],
            capture_output=True,
            check=True,
            timeout=30,
            text=True,
        )
    except FileNotFoundError:
        pytest.skip("curl is not installed here")
    body, _, status = said.stdout.rpartition("\n")
    return int(status), json.loads(body)


def signed(client, fault=None, box=None, **more):
    if fault is not None:
        box.fail(fault, path="/widget/get-signed-url")
    answer = client.get("/widget/get-signed-url", params={"fileName": "a b.txt", **more})
    return answer.raise_for_status().json()


TEXT = {"Content-Type": "text/plain"}


# What the documents say


def test_every_documented_curl_command_works_with_host_and_token_changed(box):
    answers = {name: curl(command, box) for name, command in DOCUMENTED.items()}

    assert {name: status for name, (status, _) in answers.items() if status != 200} == {}
    _, reply = answers["ask"]
    assert reply["text"] == "Tell me about your products"
    assert (reply["botSlug"], reply["sessionId"]) == ("echo", "user-session-123")
    _, conversation = answers["get"]
    assert [each["role"] for each in conversation["messages"]] == ["user", "assistant"]
    assert set(answers["sign"][1]) == {"signedUrl", "fileUrl"}


def test_the_agent_is_the_one_whose_client_token_is_given(box, client):
    assert ask(box, client, "math", input="1+1").json()["text"] == "2"


@pytest.mark.parametrize("path", ["ai", "config", "feedback"])
@pytest.mark.parametrize("token", [None, "", "wrong", "account"])
def test_without_an_agents_client_token_it_is_401(box, client, path, token):
    params = {} if token is None else {"clientToken": box.token if token == "account" else token}
    method = "GET" if path == "config" else "POST"
    bearer = {"Authorization": f"Bearer {box.token}"}
    answer = client.request(method, f"/api/widget/{path}", params=params, json={}, headers=bearer)

    assert answer.status_code == 401
    assert "Unauthorized" in answer.json()["error"]


def test_a_session_id_that_is_a_number_is_400_unless_the_deployment_takes_numbers(box, client):
    refused = ask(box, client, sessionId=12345)
    box.fail(Fault(session_type="number"))
    taken = ask(box, client, sessionId=12345)

    assert (refused.status_code, refused.json()["error"]) == (400, '"sessionId" must be a string')
    assert taken.json()["sessionId"] == 12345


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"input": ["x"]}, '"input" must be a string'),
        ({"clientToken": "x"}, '"clientToken" is not allowed'),
    ],
)
def test_a_question_it_does_not_understand_is_400_and_says_why(box, client, change, sentence):
    answer = ask(box, client, **change)

    assert (answer.status_code, answer.json()) == (400, {"error": sentence})


def test_a_conversation_is_remembered_listed_and_deleted(box, client):
    """That the widget's server remembers is inferred: these routes would be empty otherwise."""
    ask(box, client, sessionId="s")
    second = ask(box, client, "mirror", sessionId="s", input="again")
    here = {"sessionId": "s"}
    listed = client.get("/api/widget/conversation", params=here).json()
    deleted = client.post("/api/widget/conversation/delete", params=here)

    said = [each["content"] for each in json.loads(second.json()["text"])]
    assert said == ["hello", "hello", "again"]
    assert listed["sessionId"] == "s"
    assert len({each["id"] for each in listed["messages"]}) == 4
    assert deleted.status_code == 200
    assert client.get("/api/widget/conversation", params=here).status_code == 404
    assert client.post("/api/widget/conversation/delete", params=here).status_code == 404


def test_a_history_that_is_sent_stands_in_place_of_what_is_remembered(box, client):
    ask(box, client, sessionId="s")
    history = [{"role": "user", "content": "mine"}]
    answer = ask(box, client, "mirror", sessionId="s", messageHistory=history).json()

    assert [each["content"] for each in json.loads(answer["text"])] == ["mine", "hello"]


def test_a_failed_answer_is_not_remembered_and_a_new_session_is_a_string(box, client):
    box.fail(Fault(soft_error=True))
    failed = ask(box, client).json()
    listed = client.get("/api/widget/conversation", params={"sessionId": failed["sessionId"]})

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
def test_an_opinion_it_does_not_understand_is_400(box, client, path, body, sentence):
    token = {"clientToken": box.client_token("echo")}
    answer = client.post(f"/api/widget/{path}", params=token, json=body)

    assert (answer.status_code, answer.json()) == (400, {"error": sentence})


def test_feedback_takes_a_session_id_of_either_type_and_an_empty_comment(box, client):
    token = {"clientToken": box.client_token("echo")}
    for session in (12345, "user-session-123"):
        body = {"feedback": "NEGATIVE", "comment": "", "sessionId": session}
        assert client.post("/api/widget/feedback", params=token, json=body).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/widget/conversation"),
        ("POST", "/api/widget/conversation/delete"),
        ("GET", "/widget/get-signed-url"),
    ],
)
def test_a_parameter_of_the_query_is_required(client, method, path):
    answer = client.request(method, path)

    assert answer.status_code == 400
    assert answer.json()["error"].endswith("is required")


def test_every_route_fails_on_request_by_its_path(box, client):
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
        answer = client.request(method, f"/api/widget/{name}", params=token, json={"input": "x"})
        assert (answer.status_code, name) == (503, name)
        assert isinstance(answer.json()["error"], str)


def test_a_client_token_is_shown_neither_by_repr_nor_by_the_records(box, client):
    ask(box, client)
    bearer = {"Authorization": f"Bearer {box.token}"}
    records = client.get("/sandbox/requests", headers=bearer)

    assert box.client_token("echo") not in repr(box.requests) + records.text
    assert "clientToken=..." in records.text
    assert box.requests[0].query == "clientToken=" + box.client_token("echo")


def test_an_agent_of_the_widget_that_is_not_ready_says_what_to_do():
    lacking = Agent(lambda _: "x", unmet_requirement=lambda: "run: pip install it")
    with Sandbox(agents={"mine": lacking}) as box, httpx.Client(base_url=box.url) as client:
        assert ask(box, client, "mine").json() == {"error": "run: pip install it"}


# Uploads


def test_a_file_is_put_on_its_signed_url_and_had_back_from_its_own(client):
    urls = signed(client)
    put = client.put(urls["signedUrl"], content=b"\x00bytes", headers=TEXT)
    got = client.get(urls["fileUrl"])

    assert (put.status_code, put.content) == (200, b"")
    assert got.content == b"\x00bytes"
    assert got.headers["content-type"] == "text/plain"
    assert "?" in urls["signedUrl"]
    assert "?" not in urls["fileUrl"]


def test_the_answer_may_have_the_keys_that_were_seen_and_not_the_documented_ones(box, client):
    """A client's author: `url` is the bare URL, and takes the PUT; `fileUrl` is for downloads."""
    urls = signed(client, Fault(signed_url_key="url"), box)
    put = client.put(urls["url"], content=b"x", headers=TEXT)

    assert set(urls) == {"url", "fileUrl"}
    assert "?" not in urls["url"]
    assert put.status_code == 200
    assert client.get(urls["fileUrl"]).content == client.get(urls["url"]).content == b"x"


def test_an_upload_with_an_authorization_header_is_400_and_keeps_nothing(box, client):
    urls = signed(client)
    bearer = {"Authorization": f"Bearer {box.token}"}
    refused = client.put(urls["signedUrl"], content=b"x", headers=bearer)

    assert refused.status_code == 400
    assert refused.text.startswith("<?xml")
    assert client.get(urls["fileUrl"]).status_code == 404
    assert client.put(urls["signedUrl"], content=b"x").status_code == 200


def test_a_wrong_or_missing_signature_is_403_and_keeps_nothing(client):
    urls = signed(client)
    wrong = [
        urls["signedUrl"] + "0",
        urls["fileUrl"],
        urls["signedUrl"].replace("/files/", "/files/x"),
    ]

    assert [client.put(each, content=b"x").status_code for each in wrong] == [403, 403, 403]
    assert client.get(urls["fileUrl"]).status_code == 404


def test_a_signed_url_is_good_for_one_upload(client):
    urls = signed(client)
    statuses = [client.put(urls["signedUrl"], content=each).status_code for each in (b"1", b"2")]

    assert statuses == [200, 403]
    assert client.get(urls["fileUrl"]).content == b"1"


def test_a_signed_url_expires(box, client):
    urls = signed(client, Fault(signed_url_seconds=0), box)
    answer = client.put(urls["signedUrl"], content=b"x")

    assert answer.status_code == 403
    assert "expired" in answer.text


def test_signing_takes_no_token_an_agents_or_the_accounts_but_no_wrong_one(box, client):
    """Documented is none; a client's author sends the account's key and it works."""
    for token in (box.token, box.client_token("echo")):
        assert signed(client, clientToken=token)
    wrong = {"fileName": "a", "clientToken": str(uuid.uuid4())}

    assert client.get("/widget/get-signed-url", params=wrong).status_code == 401


def test_the_path_of_signing_has_no_api_before_it(client):
    assert client.get("/api/widget/get-signed-url?fileName=a").status_code == 404


def test_an_upload_may_fail_on_request(box, client):
    urls = signed(client)
    box.fail(Fault(status=503), path="/files/")

    assert client.put(urls["signedUrl"], content=b"x").status_code == 503
    assert client.put(urls["signedUrl"], content=b"x").status_code == 200


def test_a_name_of_any_letters_is_kept_apart_from_the_path(client):
    urls = signed(client, fileName="../é/%2F?#.txt")

    assert client.put(urls["signedUrl"], content=b"x").status_code == 200
    assert client.get(urls["fileUrl"]).content == b"x"
    assert client.get("/files/nothing/here").status_code == 404


def test_an_uploaded_file_is_seen_by_the_agent_and_by_the_records(box, client):
    urls = signed(client)
    client.put(urls["signedUrl"], content=b"12345", headers=TEXT)
    lost = signed(client)["fileUrl"]
    files = [
        {"url": urls["fileUrl"]},
        {"url": lost, "name": "lost"},
        {"url": "https://other.com/a"},
    ]
    answer = ask(box, client, "mirror", files=files)
    told = json.loads(answer.json()["text"])[0]["files"]

    assert told[0] == {
        "name": "a b.txt",
        "type": "text/plain",
        "size": 5,
        "url": urls["fileUrl"],
        "uploaded": True,
    }
    assert [each["uploaded"] for each in told] == [True, False, None]
    assert box.requests[-1].files == told


def test_a_native_request_may_name_an_upload_in_its_history_too(box, client):
    urls = signed(client)
    client.put(urls["signedUrl"], content=b"12345", headers=TEXT)
    file = {"url": urls["signedUrl"], "name": "mine", "size": 5}
    history = [{"role": "user", "content": "look", "files": [file]}]
    client.post(
        "/api/ai/echo",
        json={"input": "and?", "messageHistory": history},
        headers={"Authorization": f"Bearer {box.token}"},
    )
    (seen,) = box.requests[-1].files

    assert (seen["name"], seen["type"], seen["uploaded"]) == ("mine", "text/plain", True)


def test_a_file_larger_than_all_that_is_kept_is_there_and_so_is_a_place_promised_later(
    box, client, monkeypatch
):
    monkeypatch.setattr("swiftask_jupyter.sandbox.uploads.MAX_BYTES", 10)
    large, later = signed(client), signed(client)

    client.put(large["signedUrl"], content=b"more than 10 bytes")
    assert client.get(large["fileUrl"]).status_code == 200

    client.put(later["signedUrl"], content=b"few")
    assert client.get(later["fileUrl"]).status_code == 200
    assert client.get(large["fileUrl"]).status_code == 404


def test_what_is_kept_is_bounded_and_the_oldest_goes_first(box, client, monkeypatch):
    monkeypatch.setattr("swiftask_jupyter.sandbox.uploads.MAX_BYTES", 10)
    first, second = signed(client), signed(client)
    for urls in (first, second):
        client.put(urls["signedUrl"], content=b"8 bytes.")

    assert client.get(first["fileUrl"]).status_code == 404
    assert client.get(second["fileUrl"]).status_code == 200
