"""Where the documents contradict each other or the live service.

Each test is named for one numbered contradiction, and checks how the package treats it.
"""

import json

import pytest

from swiftask_jupyter import Delta, Finish, Sandbox, Swiftask, Usage, errors
from swiftask_jupyter.ledger.schema import is_suspect
from swiftask_jupyter.prompts.prompt import Message, Prompt
from swiftask_jupyter.protocols.native import Native
from swiftask_jupyter.protocols.widget import Widget
from swiftask_jupyter.sandbox.agents import Agent, File
from swiftask_jupyter.sandbox.faults import ERROR_SHAPES, Fault
from swiftask_jupyter.settings.connection import Connection, parse_base_url
from swiftask_jupyter.settings.secrets import Secret
from tests.support.cells import posts
from tests.support.dialects import agencii_client

PICTURE = "https://static.swiftask.ai/cat.png"


def fault_with(answer, **more):
    """Return a fault whose response has this JSON body."""
    return Fault(body=json.dumps(answer), **more)


def test_row_01_every_documented_base_url_is_understood(box):
    for documented in ("https://swiftask.com/api", "https://graphql.swiftask.ai/api/"):
        assert parse_base_url(documented) == documented.rstrip("/").removesuffix("/api")
    for documented in ("https://api.swiftask.fr/v1", "https://graphql.swiftask.ai/v1//"):
        assert parse_base_url(documented) == documented.rstrip("/").removesuffix("/v1")
    by_default = Connection()
    assert by_default.root("/v1") == "https://api.swiftask.fr/v1"
    for family in ("/api", "/public", "/widget", "/graphql"):
        assert by_default.root(family) == "https://graphql.swiftask.ai" + family

    for ending in ("", "/", "/api", "/api/", "/v1", "/v1/", "/v1/chat/completions"):
        with Swiftask(base_url=box.url + ending, token=box.token, agent="echo") as client:
            for dialect in ("openai", "native"):
                assert client.ask("hello", dialect=dialect).text == "hello"


def test_row_02_a_session_id_is_sent_as_a_number_or_as_a_string(native, widget, box):
    native.session().ask("one")
    native.session().ask("two")
    widget.ask("one")
    first, second, visitor = (seen.json for seen in posts(box))
    assert "sessionId" not in first  # unknown: neither null nor empty
    assert type(second["sessionId"]) is int
    assert type(visitor["sessionId"]) is str

    box.fail(Fault(session_type="string"), path="/api/ai/echo", times=2)
    native.session().ask("three")
    assert [type(seen.json["sessionId"]) for seen in posts(box)[-2:]] == [int, str]


def test_row_02_a_widgets_fallback_stays_on_the_widgets_route(box):
    """A prompt with a client token must not move to a route that takes a bearer token."""
    protocol = Widget(box.url + "/api", Secret(box.client_token("echo")))
    error = errors.BadRequest('"sessionId" must be a number', status=400)

    second = protocol.fallback(error)

    if second is not None:
        request = second.request(Prompt("echo", "hi", conversation="7", alias="ours"))
        assert "/widget/ai?" in request.url
        assert "Authorization" not in request.headers
        assert type(json.loads(request.content)["sessionId"]) is int


def test_row_02_a_rejected_widget_prompt_is_not_sent_to_another_route(widget, box):
    box.fail(Fault(session_type="number"), path="/api/widget/ai", times=None)

    with pytest.raises(errors.BadRequest, match="must be a number"):
        widget.ask("one")  # our session id is no number, and the service named none yet

    assert {seen.path for seen in posts(box)} == {"/api/widget/ai"}
    assert not any("authorization" in seen.headers for seen in posts(box))


@pytest.mark.parametrize("session", ["7", "conv-7", 7])
def test_row_02_a_session_id_of_an_answer_keeps_its_type(native, box, session):
    box.fail(fault_with({"text": "hi", "sessionId": session}))

    assert native.ask("hello").reply.conversation == session


def test_row_03_keys_are_read_with_and_without_a_dollar_sign(native, box):
    for dollars in (False, True):
        box.fail(Fault(dollar_keys=dollars, usage="counted"))
        answer = native.ask("hello there")

        assert answer.text == "hello there"
        assert (answer.raw["botSlug"], answer.usage.input_tokens) == ("echo", 2)
        assert not any(key.startswith("$") for key in answer.raw)

    box.fail(Fault(dollar_keys=True, soft_error=True, message="asleep"))
    with pytest.raises(errors.ServiceError, match="asleep"):
        native.ask("hello")


@pytest.mark.parametrize("where", ["tokenUsage", "usageDetail", "both"])
def test_row_04_usage_is_read_under_either_name(native, box, where):
    box.fail(Fault(usage_shape=where, usage="counted"))

    answer = native.ask("hello there")

    usage = answer.usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (2, 2, 4)
    assert usage.reported_total == (None if where == "usageDetail" else 4)  # added is not reported
    named = ("tokenUsage", "usageDetail") if where == "both" else (where,)
    assert set(named) <= answer.raw.keys()


def test_row_05_zero_tokens_are_missing_and_the_total_is_the_reported_one(client):
    usage = client.ask("hello").usage

    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (None, None, None)
    assert usage.reported_total > 0
    row = client.usage().iloc[-1]
    assert row[["input_tokens", "output_tokens", "total_tokens"]].isna().all()
    assert row["reported_total"] == usage.reported_total
    assert row["usage_source"] == "stream"


def test_row_06_total_bot_usage_is_kept_unchanged_as_credits(native):
    answers = [native.ask("hello"), native.ask("hello again")]

    assert [answer.usage.credits for answer in answers] == [
        answer.raw["totalBotUsage"] for answer in answers
    ]
    assert list(native.usage()["credits"]) == [answer.usage.credits for answer in answers]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(soft_error=True),
        Fault(limit_reached=True),
        Fault(error_object=True),
        Fault(status=200, shape="string"),
        Fault(status=400),
        Fault(status=503),
    ],
)
def test_row_07_a_failure_is_an_error_whatever_its_status(native, box, fault):
    box.fail(fault, times=None)

    with pytest.raises(errors.ServiceError, match="the sandbox was asked to fail"):
        native.ask("hello")
    assert list(native.usage()["status"]) == ["error"]


@pytest.mark.parametrize("fault", [Fault(disguised=True), Fault(empty=True)])
def test_row_07_a_disguised_failure_is_suspect_and_not_asked_again(client, box, fault):
    box.fail(fault)

    answer = client.ask("hello")

    assert is_suspect(answer.reply)
    assert (answer.status, len(posts(box))) == ("ok", 1)
    apology = client.ask("I'm sorry, something went wrong")
    assert not is_suspect(apology.reply)  # the wording proves nothing


@pytest.mark.parametrize("dialect", ["openai", "native"])
def test_row_08_an_unknown_slug_is_one_error_on_every_route(swiftask, dialect):
    with pytest.raises(errors.AgentNotFound, match="did you mean lorem") as caught:
        swiftask.ask("hello", "lorm", dialect=dialect)
    assert caught.value.status == {"openai": 400, "native": 404}[dialect]


def test_row_09_the_catalogue_is_public_bots_and_only_advice(swiftask, box):
    assert set(swiftask.agents()["slug"]) == set(box.agents)

    box.fail(fault_with({"data": [{"slug": "listed"}]}), path="/public/bots", times=None)
    with Swiftask(base_url=box.url, token=box.token) as other:
        assert list(other.agents()["slug"]) == ["listed"]
        assert other.ask("hello", "echo").text == "hello"  # though nothing lists it
    assert not any(seen.path == "/v1/models" for seen in box.requests)


@pytest.mark.parametrize("shape", ERROR_SHAPES)
def test_row_10_every_error_body_is_read(swiftask, chat, box, shape):
    for client, dialect in ((swiftask, "openai"), (swiftask, "native"), (chat, "chat")):
        box.fail(Fault(status=422, shape=shape, message="no such colour"))
        with pytest.raises(errors.BadRequest, match="no such colour"):
            client.ask("hello", dialect=dialect)


def test_row_10_a_long_error_page_is_shortened(native, box):
    box.fail(Fault(status=422, shape="html", message="x" * 100_000))

    with pytest.raises(errors.BadRequest) as caught:
        native.ask("hello")
    assert len(str(caught.value)) < 600


def test_row_11_every_dialect_yields_the_same_events(swiftask, box):
    pieces = {}
    for dialect in ("openai", "native"):
        events = list(swiftask.stream("hello " * 9, dialect=dialect))
        pieces[dialect] = [event.text for event in events if isinstance(event, Delta)]
        assert any(isinstance(event, Usage) for event in events)  # no choices: no crash
    assert len(pieces["openai"]) > len(pieces["native"]) == 1
    assert "".join(pieces["openai"]) == pieces["native"][0]

    box.fail(Fault(no_done=True))
    stream = swiftask.stream("hello", dialect="openai")
    assert Finish("stop") in list(stream)
    assert stream.answer.text == "hello"

    box.fail(Fault(cut_after=1))
    stream = swiftask.stream("hello there", dialect="openai")
    with pytest.raises(errors.StreamError):
        list(stream)
    assert stream.kept.text == "hell"


@pytest.mark.parametrize("key", ["signedUrl", "url"])
def test_row_12_the_signed_url_is_read_under_either_key(native, box, key):
    box.fail(Fault(signed_url_key=key), path="/widget/get-signed-url")

    native.ask("look", "mirror", files=[("a.txt", b"123")])

    sign, put, ask = box.requests
    assert box.token in sign.query  # as clientToken: the documents show none, a client sends it
    assert (sign.method, put.method, put.body) == ("GET", "PUT", b"123")
    assert ask.files[0]["uploaded"] is True
    assert "authorization" not in put.headers
    if key == "url":
        assert "?" not in ask.json["files"][0]["url"]


def test_row_13_pictures_are_found_in_the_list_and_in_the_text_once(native, box):
    shown = f"![cat]({PICTURE}) and ![dog](https://static.swiftask.ai/dog.png)"
    box.fail(fault_with({"text": shown, "files": [{"url": PICTURE, "type": "image/png"}]}))

    answer = native.ask("hello")

    assert [file["url"].rpartition("/")[2] for file in answer.files] == ["cat.png", "dog.png"]
    assert answer.files[0]["type"] == "image/png"


def test_row_13_an_agent_can_return_pictures_of_both_kinds():
    def both(_messages):
        return [File(b"1", "image/png", "a.png"), File(b"2", "image/png", "b.png", in_text=True)]

    agents = {"both": Agent(both, chat=False, nonblocking=True)}
    with (
        Sandbox(agents=agents) as box,
        Swiftask(base_url=box.url, token=box.token, agent="both") as client,
    ):
        assert {file["name"] for file in client.ask("draw").files} == {"a.png", "b.png"}


def test_row_14_the_history_does_not_include_the_prompt(native, box):
    native.ask("one", system="be brief")
    native.ask("two")
    assert posts(box)[0].json["messageHistory"] == [{"role": "system", "content": "be brief"}]
    assert "messageHistory" not in posts(box)[1].json

    earlier = (Message("user", "then"), Message("assistant", "said"))
    request = Native("https://host/api", Secret("t")).request(Prompt("a", "now", earlier))
    assert [each["content"] for each in json.loads(request.content)["messageHistory"]] == [
        "then",
        "said",
    ]


def test_row_15_either_token_works_and_neither_is_shown(box):
    for token in (box.token, box.client_token("echo")):
        with Swiftask(base_url=box.url, token=token, agent="echo") as client:
            assert client.ask("hello").text == "hello"
            box.fail(Fault(status=422, message=f"bad {token}"))
            with pytest.raises(errors.BadRequest) as caught:
                client.ask("hello", dialect="native")
            shown = (
                f"{caught.value}{client!r}{client.connections.resolve()!r}{client.usage().to_csv()}"
            )
            assert token not in shown
            assert token[-5:] not in shown


def test_row_16_only_keys_with_evidence_are_sent(client, box):
    client.ask("hello")
    client.ask("hello", temperature=0.5, max_tokens=9, stateless=True)
    with pytest.raises(errors.BadRequest, match='"reasoning_effort" is not allowed'):
        client.ask("hello", reasoning_effort="low")

    plain, more, _ = (seen.json.keys() for seen in posts(box))
    assert plain == {"model", "messages", "stream", "stream_options"}
    assert more == plain | {"temperature", "max_tokens", "stateless"}


def test_row_17_either_route_and_either_kind_of_answer_of_agencii_work(box):
    with agencii_client(box) as client, agencii_client(box, text_only=True) as plain:
        assert client.ask("one").raw["chatId"]
        assert json.loads(plain.ask("two").text)[0]["content"] == "two"
        box.fail(Fault(status=404), path="/get_completion")
        client.ask("three")
        box.fail(Fault(status=404), path="/get_completion", times=None)
        box.fail(Fault(status=404), path="/get_response", times=None)
        with pytest.raises(errors.AgentNotFound):
            client.ask("four")
    learned = ["/get_completion", "/get_response", "/get_response"]
    assert [seen.path for seen in posts(box)[2:]] == learned


def test_row_17_a_redirect_to_a_slash_is_an_error_and_sends_no_get(box):
    box.fail(Fault(redirect="/get_completion/", status=301), path="/get_completion")

    with agencii_client(box) as client, pytest.raises(errors.BadRequest, match="301"):
        client.ask("one")
    assert [seen.method for seen in box.requests] == ["POST"]


@pytest.mark.parametrize("named", [None, "chunk", "header"])
@pytest.mark.parametrize("blank", [False, True])
def test_row_18_a_chat_stream_is_read_without_blank_lines_and_without_an_id(
    chat, box, named, blank
):
    session = chat.session()
    known = session.ask("one").reply.conversation
    box.fail(Fault(blank_lines=blank, conversation_id_in=named))

    second = session.ask("two")
    third = session.ask("three")

    assert second.reply.conversation == known
    assert [each["content"] for each in json.loads(third.text)][::2] == ["one", "two", "three"]
    assert {seen.json["conversationId"] for seen in posts(box)[1:]} == {known}
