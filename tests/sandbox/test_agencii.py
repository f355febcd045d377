"""The `/get_completion` platform of the stand-in, on a real socket; nothing of ours but that."""

import json
import shlex
import subprocess
from datetime import datetime

import httpx
import pytest

from swiftask_jupyter.sandbox.agents import Agent, File
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.sandbox.server import Sandbox

NAMES = ("/get_completion", "/get_completion/", "/get_response", "/get_response/")
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
KEYS = {"chatId", "createdAt", "threadId", "assistantId", "name", "message", "numMessages"}
KEYS |= {"aliasChatId"}
MESSAGE = {"id", "content", "role", "type", "createdAt", "references", "fileIds"}
MESSAGE |= {"assistantData", "functions"}
ATTACHMENT = {"file_id": "file-123", "tools": [{"type": "file_search"}]}
MISSING = "Your JSON payload is missing required fields. Please consult the documentation."


@pytest.fixture
def box():
    with Sandbox() as box:
        yield box


@pytest.fixture
def client(box):
    with client_for(box) as client:
        yield client


def client_for(box, token=None):
    headers = {"Authorization": f"Bearer {token or box.agencii_token}"}
    return httpx.Client(base_url=box.url, headers=headers, timeout=30, trust_env=False)


def ask(box, client, slug="echo", path="/get_completion", *, text_only=False, **more):
    integration = box.integration_id(slug, text_only=text_only)
    body = {"message": "hello", "apiIntegrationId": integration, **more}
    return client.post(path, json=body)


def data(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()


def said(answer):
    """What the agent `mirror` was told."""
    return json.loads(data(answer)["message"]["content"])


def asked(answer):
    """The user's messages among what the agent `mirror` was told."""
    return [each["content"] for each in said(answer) if each["role"] == "user"]


def curl(command, box):
    """Runs a documented command, host and token changed; its status and its JSON."""
    command = command.replace("https://agency-swarm-app-japboyzddq-uc.a.run.app", box.url)
    words = shlex.split(command.replace("<token>", box.agencii_token))
    try:
        done = subprocess.run(
            [*words, "-sS", "--noproxy", "*", "-w", "\n%{http_code}"],
            capture_output=True,
            check=True,
            timeout=30,
            text=True,
        )
    except FileNotFoundError:
        pytest.skip("curl is not installed here")
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body)


# What the documents say


def test_the_documented_curl_command_gives_the_documented_shape(box, client):
    """Its placeholders for ids are filled in, because the ids are this sandbox's."""
    integration = box.integration_id("mirror")
    chat = client.post("/create_new_chat", json={"apiIntegrationId": integration}).json()["chatId"]
    command = DOCUMENTED.replace('Id": "<string>"', f'Id": "{integration}"', 1)
    status, answer = curl(command.replace('"chatId": "<string>"', f'"chatId": "{chat}"'), box)

    assert status == 200
    assert answer.keys() == KEYS
    assert answer["message"].keys() == MESSAGE
    assert answer["chatId"] == chat
    assert answer["message"]["role"] == "assistant"
    told = json.loads(answer["message"]["content"])
    assert [each["content"] for each in told] == ["<string>", "<string>"]


def test_the_documented_curl_command_with_its_placeholders_is_the_documented_error(box):
    status, answer = curl(DOCUMENTED, box)

    assert status == 400
    assert answer.keys() == {"detail"}
    assert isinstance(answer["detail"], str)


def test_every_value_of_an_answer_is_of_the_documented_type(box, client):
    answer = data(ask(box, client, aliasChatId="custom-identifier"))
    message = answer["message"]

    texts = [answer[key] for key in KEYS - {"message", "numMessages"}]
    texts += [message[key] for key in ("id", "content", "role", "type", "createdAt")]
    assert all(isinstance(each, str) and each for each in texts)
    assert answer["name"] == "Echo: says it back"
    assert len(answer["chatId"]) == len(box.integration_id("echo")) == 20
    assert answer["threadId"].startswith("thread_")
    assert (message["role"], message["type"]) == ("assistant", "text")
    assert (message["references"], message["fileIds"]) == ([], [])
    assert (message["assistantData"], message["functions"]) == (None, None)
    assert answer["numMessages"] == 2
    assert answer["aliasChatId"] == "custom-identifier"


def test_times_are_iso_8601_without_a_zone(box, client):
    answer = data(ask(box, client))
    for given in (answer["createdAt"], answer["message"]["createdAt"]):
        read = datetime.fromisoformat(given)

        assert read.tzinfo is None
        assert len(given) == len("2024-08-06T02:02:37.533913")


@pytest.mark.parametrize("path", NAMES)
def test_it_is_found_under_both_names_with_and_without_a_slash(box, client, path):
    assert data(ask(box, client, path=path))["message"]["content"] == "hello"


@pytest.mark.parametrize("path", ["/create_new_chat", "/create_new_chat/"])
def test_a_new_chat_is_made_with_and_without_a_slash(box, client, path):
    made = client.post(path, json={"apiIntegrationId": box.integration_id("mirror")})

    assert made.json().keys() == {"chatId"}
    first = ask(box, client, "mirror", chatId=made.json()["chatId"])
    assert data(first)["chatId"] == made.json()["chatId"]
    assert asked(first) == ["hello"]


def test_a_text_only_integration_answers_plain_text_and_no_chat_id(box, client):
    answer = ask(box, client, text_only=True, message="é🌱", aliasChatId="mine")

    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == "é🌱"
    assert box.integration_id("echo") != box.integration_id("echo", text_only=True)


def test_half_a_surrogate_pair_does_not_break_plain_text(box, client):
    integration = box.integration_id("echo", text_only=True)
    body = json.dumps({"message": "\ud83c!", "apiIntegrationId": integration})

    assert client.post("/get_completion", content=body).text == "?!"


def test_an_integration_has_the_same_id_in_every_sandbox(box):
    with Sandbox() as other:
        assert other.integration_id("echo") == box.integration_id("echo")
        assert other.agencii_token != box.agencii_token


def test_the_token_has_the_documented_prefix_and_opens_nothing_else(box, client):
    assert box.agencii_token.startswith("sk-agencii-")
    v1 = {"model": "echo", "messages": [{"role": "user", "content": "x"}]}
    assert client.post("/v1/chat/completions", json=v1).status_code == 401
    assert client.post("/api/ai/echo", json={"input": "x"}).status_code == 401


def test_the_account_key_and_the_tokens_of_agents_open_nothing_here(box):
    for token in (box.token, box.client_token("echo")):
        with client_for(box, token) as client:
            assert ask(box, client).status_code == 401


def test_no_token_is_shown_by_repr(box, client):
    ask(box, client)

    assert box.agencii_token not in repr(box) + repr(box.requests) + repr(box._state)


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Bearer", "Basic x"])
@pytest.mark.parametrize("path", ["/get_completion", "/create_new_chat"])
def test_a_missing_or_wrong_token_is_401_in_the_documented_words(box, header, path):
    headers = {} if header is None else {"Authorization": header}
    with httpx.Client(base_url=box.url, headers=headers, trust_env=False) as client:
        answer = ask(box, client, path=path)

    assert answer.status_code == 401
    assert answer.json() == {"detail": "Invalid or missing authorization token."}


@pytest.mark.parametrize("missing", ["message", "apiIntegrationId"])
def test_a_missing_field_is_400_in_the_documented_words(box, client, missing):
    body = {"message": "hello", "apiIntegrationId": box.integration_id("echo")}
    del body[missing]
    answer = client.post("/get_completion", json=body)

    assert (answer.status_code, answer.json()) == (400, {"detail": MISSING})


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
@pytest.mark.parametrize("path", ["/get_completion", "/create_new_chat"])
def test_malformed_json_is_400_in_the_documented_words(client, body, path):
    answer = client.post(path, content=body)

    assert (answer.status_code, answer.json()) == (400, {"detail": MISSING})


@pytest.mark.parametrize(
    ("change", "named"),
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
def test_a_field_of_the_wrong_type_is_400_and_named(box, client, change, named):
    answer = ask(box, client, **change)

    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(named + " ")


@pytest.mark.parametrize("path", ["/get_completion", "/create_new_chat"])
def test_an_unknown_integration_is_400(client, path):
    body = {"message": "x", "apiIntegrationId": "dpCD7snQ0tCWrdtp6UhZ"}
    answer = client.post(path, json=body)

    assert answer.status_code == 400
    assert "integration" in answer.json()["detail"]


def test_every_documented_field_is_accepted_and_may_be_null(box, client):
    fields = ("chatId", "aliasChatId", "additionalInstructions", "attachments")
    nothing = ask(box, client, **dict.fromkeys(fields))
    empty = ask(box, client, attachments=[], message="")

    assert data(nothing)["message"]["content"] == "hello"
    assert data(nothing)["aliasChatId"] is None
    assert data(empty)["message"]["content"] == ""


def test_only_post_is_answered_there(client):
    answer = client.get("/get_completion")

    assert answer.status_code == 405
    assert answer.json().keys() == {"detail"}


# What reaches the agent


def test_additional_instructions_are_a_system_message_of_this_run_alone(box, client):
    first = ask(box, client, "mirror", additionalInstructions="User name: John Smith")
    second = ask(box, client, "mirror", chatId=data(first)["chatId"])

    assert said(first) == [
        {"role": "system", "content": "User name: John Smith"},
        {"role": "user", "content": "hello"},
    ]
    assert [each["role"] for each in said(second)] == ["user", "assistant", "user"]


def test_attachments_reach_the_agent_and_are_among_what_was_asked(box, client):
    answer = ask(box, client, "mirror", attachments=[ATTACHMENT])

    assert said(answer)[0]["files"] == [ATTACHMENT | {"uploaded": None}]
    assert box.requests[-1].files == [ATTACHMENT | {"uploaded": None}]


def test_a_file_that_an_agent_made_has_an_id_in_the_answer():
    made = File(b"a,b\n", "text/csv", "table.csv")
    with Sandbox(agents={"mine": lambda _: ["here", made]}) as box, client_for(box) as client:
        message = data(ask(box, client, "mine"))["message"]

    assert message["content"] == "here"
    assert [each.startswith("file-") for each in message["fileIds"]] == [True]


# The conversation


def test_the_server_remembers_a_chat_by_its_id(box, client):
    first = ask(box, client, "mirror", message="one")
    chat = data(first)["chatId"]
    second = ask(box, client, "mirror", message="two", chatId=chat)
    third = ask(box, client, "mirror", message="three", chatId=chat, path="/get_response/")

    assert asked(third) == ["one", "two", "three"]
    assert said(third)[1]["content"] == data(first)["message"]["content"]
    assert [data(each)["numMessages"] for each in (first, second, third)] == [2, 4, 6]
    for key in ("chatId", "threadId", "assistantId"):
        assert len({data(each)[key] for each in (first, second, third)}) == 1
    assert len({data(each)["message"]["id"] for each in (first, second, third)}) == 3


def test_a_question_without_any_id_begins_a_new_chat(box, client):
    first, second = ask(box, client, "mirror"), ask(box, client, "mirror")

    assert data(first)["chatId"] != data(second)["chatId"]
    assert asked(second) == ["hello"]


def test_the_server_remembers_a_chat_by_the_clients_own_name(box, client):
    ask(box, client, "mirror", message="one", aliasChatId="mine")
    ask(box, client, "mirror", message="other", aliasChatId="yours")
    second = ask(box, client, "mirror", message="two", aliasChatId="mine")
    third = ask(box, client, "mirror", message="three", chatId=data(second)["chatId"])

    assert asked(second) == ["one", "two"]
    assert asked(third) == ["one", "two", "three"]
    assert data(second)["aliasChatId"] == data(third)["aliasChatId"] == "mine"


def test_an_alias_belongs_to_one_integration(box, client):
    first = ask(box, client, "mirror", aliasChatId="mine")
    second = ask(box, client, "echo", aliasChatId="mine")

    assert data(first)["chatId"] != data(second)["chatId"]
    assert data(second)["numMessages"] == 2


def test_a_text_only_chat_goes_on_under_its_alias(box, client):
    for text in ("one", "two", "three"):
        mine = {"text_only": True, "aliasChatId": "mine", "message": text}
        answer = ask(box, client, "mirror", **mine)

    told = json.loads(answer.text)
    assert [m["content"] for m in told if m["role"] == "user"] == ["one", "two", "three"]


def test_the_id_of_the_platform_counts_for_more_than_the_alias(box, client):
    chat = data(ask(box, client, "mirror", message="one"))["chatId"]
    ask(box, client, "mirror", message="other", aliasChatId="mine")
    both = ask(box, client, "mirror", message="two", chatId=chat, aliasChatId="mine")

    assert asked(both) == ["one", "two"]


def test_an_unknown_chat_is_400_and_so_is_that_of_another_integration(box, client):
    """The documents do not say what becomes of it; they have no 404."""
    chat = data(ask(box, client))["chatId"]
    unknown = ask(box, client, chatId="plOQeH3hW7UKiACqEdAx")
    foreign = ask(box, client, "mirror", chatId=chat)

    assert unknown.status_code == foreign.status_code == 400
    assert "chat" in unknown.json()["detail"]


def test_a_failed_or_broken_answer_is_not_remembered(box, client):
    chat = data(ask(box, client, "mirror", message="one"))["chatId"]
    for fault in (Fault(status=500), Fault(error_after=0), Fault(cut_after=1)):
        box.fail(fault)
        try:
            ask(box, client, "mirror", message="lost", chatId=chat)
        except httpx.RemoteProtocolError:
            assert fault.cut_after is not None

    assert asked(ask(box, client, "mirror", message="two", chatId=chat)) == ["one", "two"]


# Faults


@pytest.mark.parametrize(("gone", "there"), [NAMES[:1] + NAMES[2:3], NAMES[2:3] + NAMES[:1]])
def test_one_of_the_names_may_be_gone(box, client, gone, there):
    for path in (gone, gone + "/"):
        box.fail(Fault(status=404, message="Not Found"), path=path, times=None)

    for slash in ("", "/"):
        assert ask(box, client, path=gone + slash).status_code == 404
        assert ask(box, client, path=gone + slash).json() == {"detail": "Not Found"}
        assert ask(box, client, path=there + slash).status_code == 200


@pytest.mark.parametrize(("status", "method"), [(None, "POST"), (308, "POST"), (301, "GET")])
def test_one_form_may_lead_to_the_other(box, client, status, method):
    """A POST that is redirected with 301 becomes a GET, as clients have it."""
    fault = Fault(redirect="/get_completion/", status=status)
    box.fail(fault, path="/get_completion", times=None)
    plain = ask(box, client)
    with client_for(box) as following:
        following.follow_redirects = True
        followed = ask(box, following)

    assert plain.status_code == (status or 307)
    assert plain.headers["location"] == "/get_completion/"
    assert (box.requests[-1].method, box.requests[-1].path) == (method, "/get_completion/")
    assert followed.status_code == (200 if method == "POST" else 405)


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
@pytest.mark.parametrize("text_only", [True, False])
def test_a_status_comes_with_a_detail_unless_another_shape_is_asked(box, client, status, text_only):
    box.fail(Fault(status=status, message="too much", headers={"Retry-After": "7"}))
    box.fail(Fault(status=status, shape="string", message="too much"))
    plain, other = (ask(box, client, text_only=text_only) for _ in range(2))

    assert plain.status_code == other.status_code == status
    assert plain.json() == {"detail": "too much"}
    assert plain.headers["retry-after"] == "7"
    assert other.json() == {"error": "too much"}


@pytest.mark.parametrize("text_only", [True, False])
def test_an_answer_may_be_cut_or_reset(box, client, text_only):
    for after in (0, 1):
        box.fail(Fault(cut_after=after))
        with pytest.raises(httpx.RemoteProtocolError):
            ask(box, client, text_only=text_only)
    box.fail(Fault(reset_after=0))
    with pytest.raises(httpx.ReadError):
        ask(box, client, text_only=text_only)
    assert box.wait_for(lambda: box.open_streams == 0) is True


def test_an_answer_may_be_no_json_or_an_error_with_200_or_any_body(box, client):
    box.fail(Fault(garbage_after=0))
    with pytest.raises(json.JSONDecodeError):
        ask(box, client).json()
    box.fail(Fault(error_after=0, message="broken"))
    failed = ask(box, client)
    assert (failed.status_code, failed.json()) == (200, {"detail": "broken"})
    box.fail(Fault(body="<b>down</b>", content_type="text/html", status=502))
    assert ask(box, client).text == "<b>down</b>"


def test_an_answer_may_be_late_disguised_or_empty_or_hurried(box, client):
    box.fail(Fault(delay=0.2))
    ask(box, client)
    seen = box.requests[-1]
    assert seen.first_byte - seen.arrived >= 0.2
    box.fail(Fault(disguised=True))
    assert "sorry" in data(ask(box, client))["message"]["content"]
    box.fail(Fault(empty=True))
    assert ask(box, client, text_only=True).text == '""'
    box.fail(Fault(burst=True))
    assert data(ask(box, client, "slow"))["message"]["content"].split()[-1] == "word650"


def test_a_fault_may_be_for_one_agent_or_for_making_chats(box, client):
    box.fail(Fault(status=503), agent="echo")
    box.fail(Fault(status=500), path="/create_new_chat")
    body = {"apiIntegrationId": box.integration_id("echo")}

    assert ask(box, client, "mirror").status_code == 200
    assert [client.post("/create_new_chat", json=body).status_code for _ in "ab"] == [500, 200]
    assert ask(box, client, text_only=True).status_code == 503


# Agents


def test_an_agent_that_raises_is_500_and_the_server_lives_on():
    with Sandbox(agents={"mine": lambda _: 1 / 0}) as box, client_for(box) as client:
        failed = ask(box, client, "mine")

        assert ask(box, client).status_code == 200
    assert failed.status_code == 500
    assert failed.json() == {"detail": "ZeroDivisionError: division by zero"}


def test_an_agent_that_is_not_ready_says_what_to_do():
    lacking = Agent(lambda _: "x", unmet_requirement=lambda: "run: pip install it")
    with Sandbox(agents={"mine": lacking}) as box, client_for(box) as client:
        answer = ask(box, client, "mine")

    assert (answer.status_code, answer.json()) == (400, {"detail": "run: pip install it"})


def test_a_client_that_goes_away_is_noticed_while_the_agent_thinks(box, client):
    body = {"message": "x", "apiIntegrationId": box.integration_id("slow")}
    with pytest.raises(httpx.ReadTimeout):
        client.post("/get_completion", json=body, timeout=0.3)

    assert box.wait_for(lambda: box.open_streams == 0) is True
    assert box.requests[-1].disconnected is True
