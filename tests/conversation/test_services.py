"""A turn is sent along to the service where it was said, and to no other.

Each way by which earlier turns reach a request is played with two services: what was said at one
must not be in any byte that the other receives.
"""

import contextlib
import json
import socket
from pathlib import Path

import pandas as pd
import pytest
from nbformat import v4

from swiftask_jupyter import ChatPanel, Sandbox, Swiftask, errors
from swiftask_jupyter.answers.turn import TURN_MIME_TYPE
from swiftask_jupyter.conversation.session import TurnPlacement
from swiftask_jupyter.ledger.notebook_record import record_of
from tests.support.frontends import HeadlessView
from tests.support.notebooks import ask_from
from tests.support.servers import ANSWER, RawServer, always, sized

CANARY = "CANARY-7f3a"
JSON_ANSWER = json.dumps({"success": True, "data": {"message": "half", "conversationId": 12}})


class TwoServices:
    """The user's connections `private` and `public`, to two servers, and a notebook."""

    def __init__(self, private, public, folder):
        self.private, self.public = private, public
        self.folder = folder
        self.client = self.open("nb.ipynb")

    def open(self, name, **options):
        path = self.folder / name if name else None
        self.client = Swiftask(agent="a", notebook=path, **options)
        return self.client

    def reopen(self, name="nb.ipynb", **options):
        self.client.close()
        return self.open(name, **options)

    def heard(self, server):
        return any(CANARY.encode() in each for each in server.requests)


@pytest.fixture
def services(tmp_path, monkeypatch):
    with RawServer(always(ANSWER)) as private, RawServer(always(ANSWER)) as public:
        config = tmp_path / "user" / "swiftask_jupyter" / "config.toml"
        config.parent.mkdir(parents=True)
        config.write_text(
            f"""
            [connections.private]
            base_url = "{private.url}"
            token_env = "PRIVATE_TOKEN"
            dialect = "openai"
            [connections.public]
            base_url = "{public.url}"
            token_env = "PUBLIC_TOKEN"
            dialect = "openai"
            """
        )
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
        monkeypatch.setenv("PRIVATE_TOKEN", "token-of-private")
        monkeypatch.setenv("PUBLIC_TOKEN", "token-of-public")
        monkeypatch.chdir(tmp_path)
        both = TwoServices(private, public, tmp_path)
        yield both
        both.client.close()


def say_at_private(services, surface="cell", slot="c1", **options):
    session = services.client.session()
    return ask_from(session, f"our secret is {CANARY}", connection="private", surface=surface,
                    slot=slot, **options)  # fmt: skip


def ask_public(services, text="how is the weather?", **options):
    slot = options.pop("slot", "c2")
    return ask_from(services.client.session(), text, connection="public", slot=slot, **options)


def by_cell(services):
    say_at_private(services)
    ask_public(services)


def by_panel(services):
    say_at_private(services, "panel", None)
    ask_public(services, surface="panel", slot=None)


def by_panel_widget(services):
    say_at_private(services)
    services.client.close()
    client = services.open("nb.ipynb", connection="public")
    with contextlib.closing(ChatPanel(client)) as panel:
        view = HeadlessView(panel)
        view.request("get_snapshot")
        view.ask("how is the weather?")
        view.finished(2)


def by_python(services):
    services.client.session().ask(f"our secret is {CANARY}", connection="private")
    services.client.session().ask("how is the weather?", connection="public")


def by_stream(services):
    say_at_private(services)
    for _ in services.client.session().stream("how is the weather?", connection="public"):
        pass


def by_replay(services):
    say_at_private(services)
    ask_public(services, replay=True)


def by_replay_to_a_service_that_keeps_conversations(services):
    say_at_private(services)
    ask_public(services, replay=True, dialect="chat")


def by_native_history(services):
    say_at_private(services)
    with pytest.raises(errors.SwiftaskError):  # the server does not speak it
        ask_public(services, dialect="native")


def by_import(services):
    say_at_private(services)
    file = services.client.session().export(services.folder / "said.json")
    services.reopen("other.ipynb").session().import_file(file)
    ask_public(services)


def by_import_of_markdown(services):
    say_at_private(services)
    file = services.client.session().export(services.folder / "said.md")
    services.reopen("other.ipynb").session().import_file(file)
    ask_public(services)


def by_import_of_a_file_that_names_no_service(services):
    turn = {"number": 1, "agent": "a", "dialect": "openai", "at": "2026-01-01T00:00:00+00:00",
            "prompt": CANARY, "answer": "half"}  # fmt: skip
    file = services.folder / "said.json"
    file.write_text(json.dumps({"kind": "swiftask-conversation", "version": 1, "turns": [turn]}))
    services.client.session().import_file(file)
    ask_public(services)


def by_restart(services):
    say_at_private(services)
    services.reopen()
    ask_public(services)


def save_records(services):
    """Save the notebook with the record of each turn, as a front end does."""
    turns = services.client.session().history()
    outputs = [
        v4.new_output("display_data", data={TURN_MIME_TYPE: record_of(turn)}) for turn in turns
    ]
    cells = [v4.new_code_cell(id="c1", outputs=outputs), v4.new_code_cell(id="c2")]
    (services.folder / "nb.ipynb").write_text(json.dumps(v4.new_notebook(cells=cells)))


def by_rename(services):
    say_at_private(services)
    save_records(services)
    (services.folder / "nb.ipynb").rename(services.folder / "renamed.ipynb")
    services.reopen("renamed.ipynb")
    ask_public(services)


def by_copy(services):
    say_at_private(services)
    save_records(services)
    content = (services.folder / "nb.ipynb").read_text()
    (services.folder / "copy.ipynb").write_text(content)
    services.reopen("copy.ipynb")
    ask_public(services)


def by_pick(services):
    session = services.client.session()
    origin = TurnPlacement("cell", "c1", superseded=True)
    session.stream_from(origin, f"our secret is {CANARY}", connection="private").answer  # noqa: B018
    session.pick("a")
    ask_public(services)


def by_comparison(services):
    say_at_private(services)
    ask_public(services, superseded=True)


def by_rerun_at_the_other_service(services):
    say_at_private(services)
    ask_public(services)
    ask_public(services, "and tomorrow?")


def by_session_of_the_same_name_elsewhere(services):
    services.client.session("plans").ask(f"our secret is {CANARY}", connection="private")
    services.client.session("plans").ask("how is the weather?", connection="public")


def by_address_instead_of_connection(services):
    say_at_private(services)
    services.reopen(base_url=services.public.url, token="t", dialect="openai")
    ask_from(services.client.session(), "how is the weather?", slot="c2")


def by_undo(services):
    say_at_private(services)
    ask_public(services)
    services.client.session().undo()
    ask_public(services, "once more", slot="c3")


WAYS = [value for name, value in sorted(globals().items()) if name.startswith("by_")]


@pytest.fixture(autouse=True)
def saved(tmp_path):
    """The file of the notebook, so that copies and renames are of something."""
    cells = [v4.new_code_cell(id=name) for name in ("c1", "c2", "c3")]
    Path(tmp_path / "nb.ipynb").write_text(json.dumps(v4.new_notebook(cells=cells)))


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_what_was_said_at_one_service_never_reaches_the_other(services, way):
    way(services)

    assert services.public.requests
    assert not services.heard(services.public)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_where_both_are_one_service_each_way_sends_it_along(services, way, monkeypatch):
    # Without this, the test above could pass because nothing is sent along at all.
    monkeypatch.setattr("swiftask_jupyter.conversation.rules.service", lambda *_, **__: "one")
    monkeypatch.setattr("swiftask_jupyter.turns.routing.service", lambda *_, **__: "one")
    way(services)

    assert services.heard(services.public)


def test_the_footer_says_what_stayed_and_how_to_send_it(services):
    say_at_private(services)
    answer = ask_public(services)
    assert answer.reply.remarks == ["1 earlier turn stayed with private; --share-history sends it"]

    answer = services.client.session().ask("from Python?", connection="private")
    assert answer.reply.remarks == [
        "1 earlier turn stayed with public; share_history=True sends it"
    ]


@pytest.mark.parametrize("setting", [True, False])
def test_the_history_is_shared_knowingly(services, setting):
    say_at_private(services)
    services.client.runtime.share_history = setting
    answer = ask_public(services, **({} if setting else {"share_history": True}))

    assert services.heard(services.public)
    assert answer.reply.remarks == []


def test_a_shared_turn_is_not_stale_until_what_it_was_sent_with_changes(services):
    session = services.client.session()
    say_at_private(services)
    ask_public(services, share_history=True)
    ask_public(services, "alone", slot="c3")
    assert [turn.stale for turn in session.history()] == [False, False, False]

    ask_from(session, "another secret", connection="private", slot="c1")

    assert [turn.stale for turn in session.history()] == [False, True, False]


def test_a_dry_run_shows_what_is_sent_and_what_stays(services):
    say_at_private(services)
    session = services.client.session()

    apart = session.dry_run("how is the weather?", connection="public")
    shared = session.dry_run("how is the weather?", connection="public", share_history=True)

    assert [message.text for message in apart.messages] == ["how is the weather?"]
    assert "1 earlier turn stayed with private" in str(apart)
    assert CANARY in str(shared)
    assert not services.public.requests


def test_a_cached_answer_belongs_to_the_service_that_gave_it(services):
    ask = services.client.ask
    ask("the same question", connection="private", cache="on")
    assert not ask("the same question", connection="public", cache="on").reply.cached
    assert ask("the same question", connection="private", cache="on").reply.cached

    with pytest.raises(errors.Refused, match="no answer to this prompt is in the cache"):
        services.client.ask("another", connection="public", cache="strict")


def test_a_service_is_never_told_the_id_of_a_conversation_of_another(services):
    for server in (services.private, services.public):
        server._serve = always(sized(JSON_ANSWER.encode()))
    say_at_private(services, dialect="chat")
    ask_public(services, dialect="chat", share_history=True)

    assert not any(b"12" in each.partition(b"\r\n\r\n")[2] for each in services.public.requests)


def test_a_conversation_goes_on_at_each_of_its_services(services):
    say_at_private(services)
    ask_public(services)
    ask_from(services.client.session(), "go on", connection="private", slot="c3")

    *_, last = services.private.requests
    sent = [each["content"] for each in json.loads(last.partition(b"\r\n\r\n")[2])["messages"]]
    assert sent == [f"our secret is {CANARY}", "half", "go on"]


def test_all_sandboxes_are_one_service_and_no_other_address_of_this_machine_is(services):
    with Sandbox() as one, Sandbox() as two:
        client = services.reopen(base_url=one.url, token=one.token, dialect="openai")
        ask_from(client.session(), "said at a sandbox", "echo", slot="c1")
        client = services.reopen(base_url=two.url, token=two.token, dialect="openai")
        answer = ask_from(client.session(), "and now?", "echo", slot="c2")

        assert answer.reply.remarks == []
        assert len(two.requests[-1].json["messages"]) == 3
        answer = ask_public(services, slot="c3", agent="a")
    assert answer.reply.remarks == [
        "2 earlier turns stayed with the sandbox; --share-history sends them"
    ]
    assert b"said at" not in b"".join(services.public.requests)


def test_a_refused_prompt_is_recorded_at_the_connection_that_its_call_named(services):
    for name, server in (("private", services.private), ("public", services.public)):
        with pytest.raises(errors.Refused):
            services.client.session().ask(" ", connection=name)

        row = services.client.usage().iloc[-1]
        assert (row["status"], row["connection"], row["host"]) == ("refused", name, server.url)


@pytest.mark.parametrize("asked", ["as a stream", "in a batch"])
def test_what_was_prepared_for_a_sandbox_goes_to_no_server_that_takes_its_port(
    tmp_path, monkeypatch, asked
):
    with Sandbox() as box:
        client = Swiftask(base_url=box.url, token=box.token, agent="echo", dialect="openai")
        session = client.session()
        session.ask(f"our secret is {CANARY}")
        stream = session.stream("and now?")
        rows = client._batch(pd.DataFrame({"x": [CANARY]}), "{{x}}", None, {"progress": False})
        port = int(box.url.rpartition(":")[2])
    listen = socket.create_server
    monkeypatch.setattr("socket.create_server", lambda _: listen(("127.0.0.1", port)))
    with RawServer(always(ANSWER)) as stranger, client:
        with pytest.raises(errors.ConnectionFailed, match="the sandbox has ended"):
            rows.run() if asked == "in a batch" else stream.answer
        assert not stranger.requests
