"""Each of the five systems end to end: our client, a real socket, the sandbox."""

import pandas as pd
import pytest

from swiftask_jupyter import Delta, Swiftask, errors
from swiftask_jupyter.protocols.native import parse_upload_urls
from swiftask_jupyter.sandbox.faults import Fault


@pytest.fixture
def swiftask(box):
    with Swiftask(base_url=box.url, token=box.token) as client:
        yield client


@pytest.fixture
def chat(box):
    with Swiftask(base_url=box.url, token=box.token, dialect="chat", agent="mirror") as client:
        yield client


@pytest.fixture
def agencii(box):
    with Swiftask(
        base_url=box.url,
        token=box.agencii_token,
        dialect="agencii",
        agent=box.integration_id("mirror"),
    ) as client:
        yield client


@pytest.fixture
def widget(box):
    with Swiftask(
        base_url=box.url, token=box.client_token("echo"), dialect="widget", agent="echo"
    ) as client:
        yield client


def posts(box):
    return [seen for seen in box.requests if seen.method == "POST"]


def test_chat_learns_its_conversation_unstreamed_and_then_streams_in_it(chat, box):
    chat.session().ask("one")
    events = list(chat.session().stream("two"))

    first, second = (seen.json for seen in posts(box))
    assert (first["stream"], "conversationId" in first) == (False, False)
    assert (second["stream"], second["conversationId"][:5]) == (True, "conv_")
    text = "".join(event.text for event in events if isinstance(event, Delta))
    assert '"one"' in text  # the server remembered it
    assert '"two"' in text


def test_a_first_answer_that_is_not_streamed_says_so(chat):
    conversation = chat.session()

    first, second = conversation.ask("one"), conversation.ask("two")

    assert first.reply.remarks == ["chat streams from a conversation's second turn on"]
    assert second.reply.remarks == []
    assert conversation.ask("three", fresh=True, stream=False).reply.remarks == []


def test_chat_takes_an_id_that_a_stream_names(chat, box):
    chat.session().ask("one")
    box.fail(Fault(conversation_id_in="chunk"))
    stream = chat.session().stream("two")
    list(stream)

    assert stream.reply.conversation == posts(box)[1].json["conversationId"]


def test_chat_reports_one_total_and_its_rate_limit(chat):
    answer = chat.ask("one")

    assert answer.usage.reported_total > 0
    assert answer.usage.input_tokens is None
    assert answer.raw["limits"]["x-ratelimit-limit"] == "1000"
    assert answer.raw["metadata"]["model"]


def test_chat_says_on_whose_behalf_it_asks(chat, box):
    chat.ask("one", user_identifier="ada@example.org")

    assert posts(box)[0].headers["x-user-identifier"] == "ada@example.org"
    assert "user_identifier" not in posts(box)[0].json


def test_chats_error_envelope_is_read(chat):
    with pytest.raises(errors.AgentNotFound, match="Agent with slug 'nobody' not found"):
        chat.ask("one", "nobody")


def test_agencii_continues_its_chat_by_the_services_id(agencii, box):
    first = agencii.session().ask("one")
    second = agencii.session().ask("two")

    bodies = [seen.json for seen in posts(box)]
    assert "aliasChatId" in bodies[0]
    assert bodies[1]["chatId"] == first.raw["chatId"]
    assert '"one"' in second.text
    assert {"threadId", "assistantId", "numMessages"} <= first.raw.keys()


def test_agencii_text_only_keeps_its_chat_by_our_alias(box):
    with Swiftask(
        base_url=box.url,
        token=box.agencii_token,
        dialect="agencii",
        agent=box.integration_id("mirror", text_only=True),
    ) as client:
        client.session().ask("one")
        second = client.session().ask("twö 🎉")

    bodies = [seen.json for seen in posts(box)]
    assert bodies[0]["aliasChatId"] == bodies[1]["aliasChatId"]
    assert '"one"' in second.text


def test_agencii_falls_back_to_the_routes_new_name_once(agencii, box):
    box.fail(Fault(status=404), path="/get_completion", times=None)

    agencii.ask("one")

    assert [seen.path for seen in posts(box)] == ["/get_completion", "/get_response"]


def test_agencii_takes_instructions_and_attachments_as_they_are(agencii, box):
    attached = [{"file_id": "file-1", "tools": [{"type": "file_search"}]}]

    agencii.ask("one", additionalInstructions="be brief", attachments=attached)

    body = posts(box)[0].json
    assert (body["additionalInstructions"], body["attachments"]) == ("be brief", attached)


def test_agenciis_errors_are_read(agencii):
    with pytest.raises(errors.BadRequest):
        agencii.ask("one", "no-such-integration")


@pytest.mark.parametrize("dialect", ["chat", "agencii"])
def test_a_sibling_platform_without_an_address_gets_no_token(dialect):
    with (
        Swiftask(token="swiftask-key", dialect=dialect, agent="a") as client,
        pytest.raises(errors.ConfigurationError, match="no documented address"),
    ):
        client.ask("hello")


def test_the_widget_asks_with_its_client_token_and_a_session_of_ours(widget, box):
    assert widget.session().ask("one").text == "one"
    widget.session().ask("two")

    first, second = posts(box)
    assert "authorization" not in first.headers
    assert isinstance(first.json["sessionId"], str)
    assert str(first.json["sessionId"]) == str(second.json["sessionId"])


def test_the_widgets_other_routes_work(widget, box):
    answer = widget.ask("one")
    session = posts(box)[0].json["sessionId"]

    assert isinstance(widget.widget.config(), dict)
    widget.widget.feedback(session, good=True, comment="well done")
    assert widget.widget.conversation(session)
    widget.widget.delete_conversation(session)
    with pytest.raises(errors.ServiceError):
        widget.widget.conversation(session)
    assert answer.text == "one"


def test_an_error_that_a_widgets_route_dresses_as_success_is_an_error(widget, box):
    box.fail(Fault(error_object=True), path="/api/widget/feedback")

    with pytest.raises(errors.ServiceError, match="reported an error") as caught:
        widget.widget.feedback("user-1", good=True)
    assert caught.value.status == 200


def test_a_client_token_in_a_url_is_in_no_error(box):
    with Swiftask(base_url="http://127.0.0.1:9", token="cl1ent-t0ken-value", agent="a") as client:
        with pytest.raises(errors.ConnectionFailed) as caught:
            client.ask("hello", dialect="widget")
        with pytest.raises(errors.ConnectionFailed) as other:
            client.widget.config()

    assert "cl1ent-t0ken-value" not in f"{caught.value}{other.value}"


def test_a_file_is_signed_for_put_without_a_token_and_named_in_the_question(
    swiftask, box, tmp_path
):
    path = tmp_path / "notes.txt"
    path.write_text("hello there")

    answer = swiftask.ask("what is in it?", "mirror", files=[path])

    sign, put, ask = [seen for seen in box.requests if seen.path != "/public/bots"]
    assert (sign.path, put.method) == ("/widget/get-signed-url", "PUT")
    assert "authorization" not in put.headers
    assert put.body == b"hello there"
    assert put.headers["content-type"] == "text/plain"
    (file,) = ask.json["files"]
    assert (file["name"], file["type"], file["size"]) == ("notes.txt", "text/plain", 11)
    assert ask.json["documentAnalysisMode"] == "ADVANCED"
    assert ask.files[0]["uploaded"] is True
    assert "notes.txt" in answer.text


def test_either_answer_of_the_signing_route_is_understood(swiftask, box):
    box.fail(Fault(signed_url_key="url"), path="/widget/get-signed-url")

    swiftask.ask("look", "mirror", files=[("a.bin", b"123")])

    assert posts(box)[-1].files[0]["uploaded"] is True


@pytest.mark.parametrize(
    ("body", "urls"),
    [
        (
            b'{"signedUrl": "https://s/x?sig=1", "fileUrl": "https://f/x"}',
            ("https://s/x?sig=1", "https://f/x"),
        ),
        (b'{"url": "https://s/x", "fileUrl": "https://f/x?sig=1"}', ("https://s/x", "https://s/x")),
        (b'{"signedUrl": "https://s/x?sig=1"}', ("https://s/x?sig=1", "https://s/x")),
    ],
)
def test_which_url_takes_a_file_and_which_names_it(body, urls):
    assert parse_upload_urls(body) == urls


def test_a_large_upload_says_how_far_it_is(swiftask, box):
    stream = swiftask.stream("look", "mirror", files=[("big.bin", b"x" * 5_000_000)])
    list(stream)

    put = next(seen for seen in box.requests if seen.method == "PUT")
    assert len(put.body) == 5_000_000


def test_a_url_and_a_frame_go_along(swiftask, box):
    frame = pd.DataFrame({"a": [1, 2]})

    swiftask.ask("look", "mirror", files=["https://example.org/a.pdf", frame])

    url, table = posts(box)[-1].json["files"]
    assert url["url"] == "https://example.org/a.pdf"
    assert table["type"] == "text/csv"


@pytest.mark.parametrize("dialect", ["openai", "widget"])
def test_a_file_where_none_is_taken_is_refused_before_anything_is_sent(swiftask, box, dialect):
    with pytest.raises(errors.PromptError, match="takes no files"):
        swiftask.ask("look", "echo", dialect=dialect, files=[("a.txt", b"1")])

    assert box.requests == []


def test_files_of_an_answer_can_be_downloaded_however_they_come(swiftask, box):
    listed = swiftask.ask("a cat", "image")
    shown = swiftask.ask("a cat", "image-markdown")

    for answer in (listed, shown):
        (file,) = answer.files
        assert swiftask.download(file).startswith(b"\x89PNG")
    fetched = [seen for seen in box.requests if seen.method == "GET"]
    assert not [seen for seen in fetched if "authorization" in seen.headers]


@pytest.mark.parametrize("url", ["http://[::1", "ftp://127.0.0.1/file", "file.png"])
def test_what_is_no_web_address_is_not_downloaded(swiftask, url):
    with pytest.raises(errors.ConfigurationError, match=r"only an http\(s\) address"):
        swiftask.download(url)


def test_a_system_message_is_sent_where_it_can_be(swiftask, box, chat):
    for dialect in ("openai", "native"):
        swiftask.ask("hello", "mirror", dialect=dialect, system="be brief")
    with pytest.raises(errors.PromptError, match="no system message"):
        chat.ask("hello", system="be brief")

    first, second = (seen.json for seen in posts(box))
    assert first["messages"][0] == {"role": "system", "content": "be brief"}
    assert second["messageHistory"] == [{"role": "system", "content": "be brief"}]


def test_an_option_may_not_say_what_an_argument_says(swiftask):
    with pytest.raises(errors.ConfigurationError, match="model"):
        swiftask.ask("hello", "echo", model="lorem")


def test_the_catalogue_is_a_frame_that_can_be_searched(swiftask):
    everything = swiftask.agents()
    found = swiftask.agents("IMAG")

    assert list(everything.columns) == ["slug", "name", "chat"]
    assert set(found["slug"]) == {"image", "image-markdown"}
    assert not found["chat"].any()
    assert list(swiftask.agents("ech*")["slug"]) == ["echo"]
    assert len(swiftask.agents("nothing like it")) == 0


def test_a_misspelt_agent_is_told_the_nearest(swiftask):
    with pytest.raises(errors.AgentNotFound, match="did you mean lorem"):
        swiftask.ask("hello", "lorm")


def test_a_service_that_is_busy_is_asked_again_and_that_is_counted(swiftask, box):
    box.fail(Fault(status=503), agent="echo")
    box.fail(Fault(status=429, headers={"Retry-After": "0"}), agent="echo")

    answer = swiftask.ask("hello", "echo", dialect="openai")

    assert (answer.text, answer.reply.attempts) == ("hello", 3)
    assert list(swiftask.usage()["attempts"]) == [3]


def test_a_service_that_stays_busy_is_given_up(swiftask, box):
    box.fail(Fault(status=503), times=None)

    with pytest.raises(errors.ServiceUnavailable):
        swiftask.ask("hello", "echo", dialect="openai")
    assert len(posts(box)) == 3


@pytest.mark.parametrize(
    "fault", [Fault(cut_after=1), Fault(reset_after=0), Fault(garbage_after=0), Fault(status=400)]
)
def test_what_may_have_been_billed_is_never_sent_again(swiftask, box, fault):
    box.fail(fault)

    with pytest.raises(errors.SwiftaskError):
        swiftask.ask("hello there", "echo", dialect="openai")
    assert len(posts(box)) == 1


def test_a_service_that_refuses_to_report_usage_still_answers(swiftask, box):
    box.fail(Fault(status=400, message='"stream_options" is not allowed'), agent="echo")

    assert swiftask.ask("hello", "echo", dialect="openai").text == "hello"
    assert ["stream_options" in seen.json for seen in posts(box)] == [True, False]
