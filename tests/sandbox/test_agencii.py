"""The dialect `agencii` on a real socket, against what its documents say."""

import json
from datetime import datetime

import httpx
import pytest

from swiftask_jupyter.sandbox.agents import Agent, File
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.sandbox.server import Sandbox
from tests.support.sandbox_requests import http_client, run_curl

DOCUMENTED = """curl --request POST \
  --url https://agency-swarm-app-japboyzddq-uc.a.run.app/get_completion \
  --header 'Authorization: Bearer <token>' \
  --header 'Content-Type: application/json' \
  --data '{
  "message": "<string>",
  "apiIntegrationId": "<string>",
  "chatId": "<string>",
  "attachments": [
    {
      "file_id": "<string>",
      "tools": [
        {
          "type": "<string>"
        }
      ]
    }
  ],
  "additionalInstructions": "<string>",
  "aliasChatId": "<string>"
}'"""
MISSING = "Your JSON payload is missing required fields. Please consult the documentation."
KEYS = {"chatId", "createdAt", "threadId", "assistantId", "name", "message", "numMessages"}
KEYS |= {"aliasChatId"}
MESSAGE = {"id", "content", "role", "type", "createdAt", "references", "fileIds"}
MESSAGE |= {"assistantData", "functions"}
ATTACHMENT = {"file_id": "file-123", "tools": [{"type": "file_search"}]}
PATHS = ("/get_completion", "/get_completion/", "/get_response", "/get_response/")


def agencii_client(box, token=None):
    """Return an HTTP client with the platform's token, or with another."""
    return http_client(box, token or box.agencii_token)


def ask(box, agencii, slug="echo", path="/get_completion", *, text_only=False, **more):
    integration = box.integration_id(slug, text_only=text_only)
    body = {"message": "hello", "apiIntegrationId": integration, **more}
    return agencii.post(path, json=body)


def data(response):
    assert response.status_code == 200, response.text
    return response.json()


def mirrored(response):
    """Return the messages that reached the agent `mirror`."""
    return json.loads(data(response)["message"]["content"])


def user_texts(response):
    """Return the contents of the user messages that reached the agent `mirror`."""
    return [each["content"] for each in mirrored(response) if each["role"] == "user"]


def curl(command, box):
    """Run a documented command with the sandbox's host and token; return the status and JSON."""
    command = command.replace("https://agency-swarm-app-japboyzddq-uc.a.run.app", box.url)
    status, body = run_curl(command.replace("<token>", box.agencii_token))
    return status, json.loads(body)


def test_the_documented_curl_command_gives_the_documented_shape(box, agencii):
    """The placeholders for ids are replaced by ids of this sandbox."""
    integration = box.integration_id("mirror")
    chat = agencii.post("/create_new_chat", json={"apiIntegrationId": integration}).json()["chatId"]
    command = DOCUMENTED.replace('Id": "<string>"', f'Id": "{integration}"', 1)
    status, response = curl(command.replace('"chatId": "<string>"', f'"chatId": "{chat}"'), box)

    assert status == 200
    assert response.keys() == KEYS
    assert response["message"].keys() == MESSAGE
    assert response["chatId"] == chat
    assert response["message"]["role"] == "assistant"
    received = json.loads(response["message"]["content"])
    assert [each["content"] for each in received] == ["<string>", "<string>"]


def test_the_documented_placeholders_give_the_documented_error(box):
    status, response = curl(DOCUMENTED, box)

    assert status == 400
    assert response.keys() == {"detail"}
    assert isinstance(response["detail"], str)


def test_every_value_of_a_response_has_the_documented_type(box, agencii):
    response = data(ask(box, agencii, aliasChatId="custom-identifier"))
    message = response["message"]

    texts = [response[key] for key in KEYS - {"message", "numMessages"}]
    texts += [message[key] for key in ("id", "content", "role", "type", "createdAt")]
    assert all(isinstance(each, str) and each for each in texts)
    assert response["name"] == "Echo: says it back"
    assert len(response["chatId"]) == len(box.integration_id("echo")) == 20
    assert response["threadId"].startswith("thread_")
    assert (message["role"], message["type"]) == ("assistant", "text")
    assert (message["references"], message["fileIds"]) == ([], [])
    assert (message["assistantData"], message["functions"]) == (None, None)
    assert response["numMessages"] == 2
    assert response["aliasChatId"] == "custom-identifier"


def test_times_are_iso_8601_without_a_time_zone(box, agencii):
    response = data(ask(box, agencii))
    for time in (response["createdAt"], response["message"]["createdAt"]):
        parsed = datetime.fromisoformat(time)

        assert parsed.tzinfo is None
        assert len(time) == len("2024-08-06T02:02:37.533913")


@pytest.mark.parametrize("path", PATHS)
def test_both_names_work_with_and_without_a_slash(box, agencii, path):
    assert data(ask(box, agencii, path=path))["message"]["content"] == "hello"


@pytest.mark.parametrize("path", ["/create_new_chat", "/create_new_chat/"])
def test_a_chat_can_be_created_with_and_without_a_slash(box, agencii, path):
    created = agencii.post(path, json={"apiIntegrationId": box.integration_id("mirror")})

    assert created.json().keys() == {"chatId"}
    first = ask(box, agencii, "mirror", chatId=created.json()["chatId"])
    assert data(first)["chatId"] == created.json()["chatId"]
    assert user_texts(first) == ["hello"]


def test_a_text_only_integration_responds_in_plain_text_without_a_chat_id(box, agencii):
    response = ask(box, agencii, text_only=True, message="é🌱", aliasChatId="mine")

    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.text == "é🌱"
    assert box.integration_id("echo") != box.integration_id("echo", text_only=True)


def test_a_lone_surrogate_is_replaced_in_plain_text(box, agencii):
    integration = box.integration_id("echo", text_only=True)
    body = json.dumps({"message": "\ud83c!", "apiIntegrationId": integration})

    assert agencii.post("/get_completion", content=body).text == "?!"


def test_the_token_has_the_documented_prefix_and_is_valid_for_this_dialect_only(box, agencii):
    assert box.agencii_token.startswith("sk-agencii-")
    v1 = {"model": "echo", "messages": [{"role": "user", "content": "x"}]}
    assert agencii.post("/v1/chat/completions", json=v1).status_code == 401
    assert agencii.post("/api/ai/echo", json={"input": "x"}).status_code == 401


def test_tokens_of_other_dialects_are_not_valid(box):
    for token in (box.token, box.client_token("echo")):
        with agencii_client(box, token) as client:
            assert ask(box, client).status_code == 401


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Bearer", "Basic x"])
@pytest.mark.parametrize("path", ["/get_completion", "/create_new_chat"])
def test_a_missing_or_wrong_token_is_status_401_with_the_documented_message(box, header, path):
    headers = {} if header is None else {"Authorization": header}
    with httpx.Client(base_url=box.url, headers=headers, trust_env=False) as client:
        response = ask(box, client, path=path)

    assert response.status_code == 401
    assert response.json() == {"detail": "Invalid or missing authorization token."}


@pytest.mark.parametrize("missing", ["message", "apiIntegrationId"])
def test_a_missing_field_is_status_400_with_the_documented_message(box, agencii, missing):
    body = {"message": "hello", "apiIntegrationId": box.integration_id("echo")}
    del body[missing]
    response = agencii.post("/get_completion", json=body)

    assert (response.status_code, response.json()) == (400, {"detail": MISSING})


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
@pytest.mark.parametrize("path", ["/get_completion", "/create_new_chat"])
def test_malformed_json_is_status_400_with_the_documented_message(agencii, body, path):
    response = agencii.post(path, content=body)

    assert (response.status_code, response.json()) == (400, {"detail": MISSING})


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"message": None}, '"message"'),
        ({"message": {"content": "x"}}, '"message"'),
        ({"apiIntegrationId": 5}, '"apiIntegrationId"'),
        ({"apiIntegrationId": None}, '"apiIntegrationId"'),
        ({"chatId": 12345}, '"chatId"'),
        ({"aliasChatId": 12345}, '"aliasChatId"'),
        ({"additionalInstructions": []}, '"additionalInstructions"'),
        ({"attachments": "file-123"}, '"attachments"'),
        ({"attachments": ["file-123"]}, '"attachments[0]"'),
        ({"attachments": [ATTACHMENT, {"file_id": "x"}]}, '"attachments[1].tools"'),
        ({"attachments": [ATTACHMENT | {"tools": ["x"]}]}, '"attachments[0].tools[0]"'),
        ({"attachments": [ATTACHMENT | {"file_id": 3}]}, '"attachments[0].file_id"'),
    ],
)
def test_a_field_of_the_wrong_type_is_status_400_and_is_named(box, agencii, change, field):
    response = ask(box, agencii, **change)

    assert response.status_code == 400
    assert response.json()["detail"].startswith(field + " ")


@pytest.mark.parametrize("path", ["/get_completion", "/create_new_chat"])
def test_an_unknown_integration_is_status_400(agencii, path):
    body = {"message": "x", "apiIntegrationId": "dpCD7snQ0tCWrdtp6UhZ"}
    response = agencii.post(path, json=body)

    assert response.status_code == 400
    assert "integration" in response.json()["detail"]


def test_every_documented_field_is_accepted_and_may_be_null(box, agencii):
    fields = ("chatId", "aliasChatId", "additionalInstructions", "attachments")
    nothing = ask(box, agencii, **dict.fromkeys(fields))
    empty = ask(box, agencii, attachments=[], message="")

    assert data(nothing)["message"]["content"] == "hello"
    assert data(nothing)["aliasChatId"] is None
    assert data(empty)["message"]["content"] == ""


def test_get_is_status_405(agencii):
    response = agencii.get("/get_completion")

    assert response.status_code == 405
    assert response.json().keys() == {"detail"}


def test_additional_instructions_are_a_system_message_that_is_not_stored(box, agencii):
    first = ask(box, agencii, "mirror", additionalInstructions="User name: John Smith")
    second = ask(box, agencii, "mirror", chatId=data(first)["chatId"])

    assert mirrored(first) == [
        {"role": "system", "content": "User name: John Smith"},
        {"role": "user", "content": "hello"},
    ]
    assert [each["role"] for each in mirrored(second)] == ["user", "assistant", "user"]


def test_attachments_reach_the_agent_and_are_recorded(box, agencii):
    response = ask(box, agencii, "mirror", attachments=[ATTACHMENT])

    assert mirrored(response)[0]["files"] == [ATTACHMENT | {"uploaded": None}]
    assert box.requests[-1].files == [ATTACHMENT | {"uploaded": None}]


def test_a_file_of_an_agent_has_an_id_in_the_response():
    file = File(b"a,b\n", "text/csv", "table.csv")
    with Sandbox(agents={"mine": lambda _: ["here", file]}) as box, agencii_client(box) as client:
        message = data(ask(box, client, "mine"))["message"]

    assert message["content"] == "here"
    assert [each.startswith("file-") for each in message["fileIds"]] == [True]


def test_a_chat_is_stored_under_its_id(box, agencii):
    first = ask(box, agencii, "mirror", message="one")
    chat = data(first)["chatId"]
    second = ask(box, agencii, "mirror", message="two", chatId=chat)
    third = ask(box, agencii, "mirror", message="three", chatId=chat, path="/get_response/")

    assert user_texts(third) == ["one", "two", "three"]
    assert mirrored(third)[1]["content"] == data(first)["message"]["content"]
    assert [data(each)["numMessages"] for each in (first, second, third)] == [2, 4, 6]
    for key in ("chatId", "threadId", "assistantId"):
        assert len({data(each)[key] for each in (first, second, third)}) == 1
    assert len({data(each)["message"]["id"] for each in (first, second, third)}) == 3


def test_a_message_without_an_id_starts_a_new_chat(box, agencii):
    first, second = ask(box, agencii, "mirror"), ask(box, agencii, "mirror")

    assert data(first)["chatId"] != data(second)["chatId"]
    assert user_texts(second) == ["hello"]


def test_a_chat_is_stored_under_the_alias_of_the_client(box, agencii):
    ask(box, agencii, "mirror", message="one", aliasChatId="mine")
    ask(box, agencii, "mirror", message="other", aliasChatId="yours")
    second = ask(box, agencii, "mirror", message="two", aliasChatId="mine")
    third = ask(box, agencii, "mirror", message="three", chatId=data(second)["chatId"])

    assert user_texts(second) == ["one", "two"]
    assert user_texts(third) == ["one", "two", "three"]
    assert data(second)["aliasChatId"] == data(third)["aliasChatId"] == "mine"


def test_an_alias_belongs_to_one_integration(box, agencii):
    first = ask(box, agencii, "mirror", aliasChatId="mine")
    second = ask(box, agencii, "echo", aliasChatId="mine")

    assert data(first)["chatId"] != data(second)["chatId"]
    assert data(second)["numMessages"] == 2


def test_a_text_only_chat_is_continued_by_its_alias(box, agencii):
    for text in ("one", "two", "three"):
        mine = {"text_only": True, "aliasChatId": "mine", "message": text}
        response = ask(box, agencii, "mirror", **mine)

    received = json.loads(response.text)
    assert [m["content"] for m in received if m["role"] == "user"] == ["one", "two", "three"]


def test_the_chat_id_takes_precedence_over_the_alias(box, agencii):
    chat = data(ask(box, agencii, "mirror", message="one"))["chatId"]
    ask(box, agencii, "mirror", message="other", aliasChatId="mine")
    both = ask(box, agencii, "mirror", message="two", chatId=chat, aliasChatId="mine")

    assert user_texts(both) == ["one", "two"]


def test_an_unknown_chat_or_one_of_another_integration_is_status_400(box, agencii):
    """Undocumented; the documents have no 404."""
    chat = data(ask(box, agencii))["chatId"]
    unknown = ask(box, agencii, chatId="plOQeH3hW7UKiACqEdAx")
    of_another = ask(box, agencii, "mirror", chatId=chat)

    assert unknown.status_code == of_another.status_code == 400
    assert "chat" in unknown.json()["detail"]


def test_a_failed_or_interrupted_turn_is_not_stored(box, agencii):
    chat = data(ask(box, agencii, "mirror", message="one"))["chatId"]
    for fault in (Fault(status=500), Fault(error_after=0), Fault(cut_after=1)):
        box.fail(fault)
        try:
            ask(box, agencii, "mirror", message="lost", chatId=chat)
        except httpx.RemoteProtocolError:
            assert fault.cut_after is not None

    assert user_texts(ask(box, agencii, "mirror", message="two", chatId=chat)) == ["one", "two"]


@pytest.mark.parametrize(("missing", "present"), [PATHS[:1] + PATHS[2:3], PATHS[2:3] + PATHS[:1]])
def test_one_of_the_two_names_can_be_missing(box, agencii, missing, present):
    for path in (missing, missing + "/"):
        box.fail(Fault(status=404, message="Not Found"), path=path, times=None)

    for slash in ("", "/"):
        assert ask(box, agencii, path=missing + slash).status_code == 404
        assert ask(box, agencii, path=missing + slash).json() == {"detail": "Not Found"}
        assert ask(box, agencii, path=present + slash).status_code == 200


@pytest.mark.parametrize(("status", "method"), [(None, "POST"), (308, "POST"), (301, "GET")])
def test_the_path_without_a_slash_can_redirect_to_the_one_with_it(box, agencii, status, method):
    """Clients turn a POST that is redirected with 301 into a GET."""
    fault = Fault(redirect="/get_completion/", status=status)
    box.fail(fault, path="/get_completion", times=None)
    plain = ask(box, agencii)
    with agencii_client(box) as redirected_client:
        redirected_client.follow_redirects = True
        followed = ask(box, redirected_client)

    assert plain.status_code == (status or 307)
    assert plain.headers["location"] == "/get_completion/"
    assert (box.requests[-1].method, box.requests[-1].path) == (method, "/get_completion/")
    assert followed.status_code == (200 if method == "POST" else 405)


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
@pytest.mark.parametrize("text_only", [True, False])
def test_an_error_has_a_detail_unless_a_fault_sets_another_shape(box, agencii, status, text_only):
    box.fail(Fault(status=status, message="too much", headers={"Retry-After": "7"}))
    box.fail(Fault(status=status, shape="string", message="too much"))
    plain, other = (ask(box, agencii, text_only=text_only) for _ in range(2))

    assert plain.status_code == other.status_code == status
    assert plain.json() == {"detail": "too much"}
    assert plain.headers["retry-after"] == "7"
    assert other.json() == {"error": "too much"}


@pytest.mark.parametrize("text_only", [True, False])
def test_a_response_can_be_cut_or_reset(box, agencii, text_only):
    for after in (0, 1):
        box.fail(Fault(cut_after=after))
        with pytest.raises(httpx.RemoteProtocolError):
            ask(box, agencii, text_only=text_only)
    box.fail(Fault(reset_after=0))
    with pytest.raises(httpx.ReadError):
        ask(box, agencii, text_only=text_only)
    assert box.wait_for(lambda: box.open_streams == 0) is True


def test_a_response_can_be_invalid_an_error_with_status_200_or_replaced(box, agencii):
    box.fail(Fault(garbage_after=0))
    with pytest.raises(json.JSONDecodeError):
        ask(box, agencii).json()
    box.fail(Fault(error_after=0, message="broken"))
    failed = ask(box, agencii)
    assert (failed.status_code, failed.json()) == (200, {"detail": "broken"})
    box.fail(Fault(body="<b>down</b>", content_type="text/html", status=502))
    assert ask(box, agencii).text == "<b>down</b>"


def test_a_reply_can_be_late_disguised_empty_or_without_pauses(box, agencii):
    box.fail(Fault(delay=0.2))
    ask(box, agencii)
    request = box.requests[-1]
    assert request.first_byte - request.arrived >= 0.2
    box.fail(Fault(disguised=True))
    assert "sorry" in data(ask(box, agencii))["message"]["content"]
    box.fail(Fault(empty=True))
    assert ask(box, agencii, text_only=True).text == '""'
    box.fail(Fault(burst=True))
    assert data(ask(box, agencii, "slow"))["message"]["content"].split()[-1] == "word650"


def test_a_fault_can_be_limited_to_an_agent_or_to_new_chats(box, agencii):
    box.fail(Fault(status=503), agent="echo")
    box.fail(Fault(status=500), path="/create_new_chat")
    body = {"apiIntegrationId": box.integration_id("echo")}

    assert ask(box, agencii, "mirror").status_code == 200
    assert [agencii.post("/create_new_chat", json=body).status_code for _ in "ab"] == [500, 200]
    assert ask(box, agencii, text_only=True).status_code == 503


def test_an_agent_that_raises_is_status_500_and_the_server_continues():
    with Sandbox(agents={"mine": lambda _: 1 / 0}) as box, agencii_client(box) as client:
        failed = ask(box, client, "mine")

        assert ask(box, client).status_code == 200
    assert failed.status_code == 500
    assert failed.json() == {"detail": "ZeroDivisionError: division by zero"}


def test_an_agent_with_an_unmet_requirement_is_status_400():
    unready = Agent(lambda _: "x", unmet_requirement=lambda: "run: pip install it")
    with Sandbox(agents={"mine": unready}) as box, agencii_client(box) as client:
        response = ask(box, client, "mine")

    assert (response.status_code, response.json()) == (400, {"detail": "run: pip install it"})


def test_a_disconnect_is_noticed_before_the_reply_is_complete(box, agencii):
    body = {"message": "x", "apiIntegrationId": box.integration_id("slow")}
    with pytest.raises(httpx.ReadTimeout):
        agencii.post("/get_completion", json=body, timeout=0.3)

    assert box.wait_for(lambda: box.open_streams == 0) is True
    assert box.requests[-1].disconnected is True
