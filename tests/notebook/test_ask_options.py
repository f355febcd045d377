"""How a prompt may be asked: patience, in one piece, stateless, in a form, or only drafted."""

import io
import json
import sys
import threading

import pandas as pd
import pytest

from swiftask_jupyter import Swiftask, errors
from swiftask_jupyter.answers.events import Delta
from swiftask_jupyter.answers.reply import Reply
from swiftask_jupyter.notebook.terminal import TerminalDisplay
from swiftask_jupyter.sandbox.agents import Agent
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.sandbox.server import Sandbox
from swiftask_jupyter.transport.exchange import bar


@pytest.fixture
def swiftask(box):
    with Swiftask(base_url=box.url, token=box.token, agent="echo") as client:
        yield client


@pytest.fixture
def connected(shell, box, monkeypatch):
    monkeypatch.setenv("SWIFTASK_BASE_URL", box.url)
    monkeypatch.setenv("SWIFTASK_API_KEY", box.token)
    monkeypatch.setenv("SWIFTASK_AGENT_SLUG", "echo")
    return shell


def posts(box):
    return [seen for seen in box.requests if seen.method == "POST"]


def test_a_service_that_is_silent_for_too_long_is_given_up_and_not_asked_again():
    told = threading.Event()
    silent = Agent(lambda _: told.wait(30) and "late")
    with (
        Sandbox(agents={"silent": silent}) as box,
        Swiftask(base_url=box.url, token=box.token, dialect="openai") as client,
    ):
        with pytest.raises(errors.TimedOut, match=r"silent for 0\.2 s"):
            client.ask("hello", "silent", timeout=0.2)
        told.set()
        usage = client.usage()

    assert list(usage["status"]) == ["error"]
    assert list(usage["attempts"]) == [1]


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), "soon", True, 1e9])
def test_a_timeout_that_makes_no_sense_is_refused(swiftask, box, timeout):
    with pytest.raises(errors.ConfigurationError, match="timeout"):
        swiftask.ask("hello", timeout=timeout)
    assert not posts(box)


@pytest.mark.parametrize("dialect", ["openai", "chat"])
def test_an_answer_in_one_piece_is_asked_for_where_the_dialect_streams(swiftask, box, dialect):
    for _ in range(2):  # chat streams from its second turn on
        answer = swiftask.session().ask("hello", dialect=dialect, stream=False)

    assert answer.text == "hello"
    assert [seen.json["stream"] for seen in posts(box)] == [False, False]
    assert not any("stream_options" in seen.json for seen in posts(box))
    if dialect == "openai":
        assert answer.usage.source == "api"


def test_where_nothing_streams_there_is_nothing_to_ask(swiftask, box):
    swiftask.ask("hello", dialect="native", stream=False)

    assert "stream" not in posts(box)[0].json


def test_stateless_is_for_v1_and_refused_elsewhere_before_anything_is_sent(swiftask, box):
    swiftask.ask("hello", dialect="openai", stateless=True)
    with pytest.raises(errors.PromptError, match="stateless"):
        swiftask.ask("hello", dialect="native", stateless=True)
    with pytest.raises(errors.PromptError, match="stateless"):
        swiftask.ask("a cat", "image", stateless=True)

    assert [seen.json.get("stateless") for seen in posts(box)] == [True]


def test_the_cells_options_reach_the_request(connected, box):
    connected.run_cell_magic(
        "swiftask", "--dialect openai --no-stream --stateless --timeout 9", "hi\n"
    )

    body = posts(box)[0].json
    assert (body["stream"], body["stateless"]) == (False, True)
    assert "timeout" not in body


def test_text_is_shown_as_it_came_but_for_what_cannot_be_seen(connected, capsys):
    answer = connected.run_cell_magic("swiftask", "-f text", "# no *heading*\x1b\n")

    assert capsys.readouterr().out.startswith("# no *heading*␛\n")
    assert answer.text == "# no *heading*\x1b"


def test_json_is_shown_pretty_and_the_answer_gives_it(connected, capsys):
    prompt = 'Here:\n```json\n{"a":[1,2]}\n```\n'

    answer = connected.run_cell_magic("swiftask", "-f json", prompt)

    assert capsys.readouterr().out.startswith('{\n  "a": [\n    1,\n    2\n  ]\n}\n')
    assert answer.json() == {"a": [1, 2]}


def test_what_is_no_json_is_shown_as_it_came_and_fails_the_cell_in_one_line(connected, capsys):
    result = connected.run_cell("%%swiftask -f json ans =<<\nno JSON here")

    assert isinstance(result.error_in_exec, errors.AnswerError)
    printed = capsys.readouterr().out
    assert printed.startswith("no JSON here\n")
    assert "AnswerError: the answer is not JSON" in printed
    assert "Traceback" not in printed
    assert connected.user_ns["ans"].text == "no JSON here"


def test_code_is_shown_alone(connected, capsys):
    prompt = "So:\n```python\nx = 1\n```\nAnd that is it.\n"

    answer = connected.run_cell_magic("swiftask", "-f code", prompt)

    assert capsys.readouterr().out.startswith("x = 1\necho · ")
    assert answer.code() == "x = 1\n"


def test_an_unknown_form_is_refused(connected):
    result = connected.run_cell("%%swiftask -f yaml\nhello")

    assert "yaml" in str(result.error_in_exec)


def test_a_dry_run_shows_all_that_would_be_sent_and_sends_nothing(connected, box, tmp_path, capsys):
    path = tmp_path / "notes.txt"
    path.write_text("hello there")
    connected.user_ns["name"] = "Ada"

    draft = connected.run_cell_magic(
        "swiftask", f"--dry-run --system Brief -a {path} -o extraConfig={{}}", "Say {{name}}\n"
    )

    shown = str(draft)
    assert box.requests == []
    assert box.token not in shown + repr(draft)
    assert f"POST {box.url}/api/ai/echo  (native)" in shown
    assert "GET " + box.url + "/widget/get-signed-url?fileName=notes.txt&clientToken=••••" in shown
    assert "PUT <the signed URL>" in shown
    assert "Authorization: Bearer ••••" in shown
    assert "system: Brief" in shown
    assert "user: Say Ada" in shown
    assert "notes.txt  text/plain  11 bytes" in shown
    assert 'documentAnalysisMode = "ADVANCED"' in shown
    assert "no earlier call of this agent" in shown
    assert capsys.readouterr().out == ""


def test_a_dry_run_in_a_cell_is_ok_and_leaves_no_row(connected, box, capsys):
    result = connected.run_cell("%%swiftask --dry-run\nhello")

    assert result.success
    assert "dry run: nothing was sent" in capsys.readouterr().out
    assert box.requests == []
    with Swiftask() as client:
        assert client.usage().empty


def test_from_python_a_draft_is_a_value(swiftask, box):
    draft = swiftask.dry_run("hello", temperature=0.5)

    assert (draft.method, draft.dialect) == ("POST", "openai")
    assert draft.url == f"{box.url}/v1/chat/completions"
    assert draft.headers["Authorization"] == "Bearer ••••"
    assert draft.body["temperature"] == 0.5
    assert [(said.role, said.text) for said in draft.messages] == [("user", "hello")]
    assert 0 < draft.tokens < 10
    assert "should the catalogue not call it a chat agent" in draft.note
    assert box.requests == []


def test_a_draft_is_what_is_then_sent(swiftask, box):
    draft = swiftask.dry_run("hello", dialect="openai", temperature=0.5, system="Brief")
    swiftask.ask("hello", dialect="openai", temperature=0.5, system="Brief")

    assert posts(box)[0].json == draft.body
    assert posts(box)[0].path == draft.url.removeprefix(box.url)


def test_a_draft_of_a_conversation_holds_what_was_said_before(swiftask, box):
    conversation = swiftask.session()
    conversation.ask("one")
    asked = len(box.requests)

    draft = conversation.dry_run("two")

    assert [said.text for said in draft.messages] == ["one", "one", "two"]
    assert len(box.requests) == asked
    assert [each.prompt for each in conversation.history()] == ["one"]


def test_a_draft_tells_what_the_agents_last_calls_cost(swiftask):
    for _ in range(2):
        swiftask.ask("hello", dialect="native")

    draft = swiftask.dry_run("hello")

    assert len(draft.calls) == 2
    assert draft.calls[0].credits > 0
    assert "last 2 calls of this agent" in str(draft)
    assert "credits" in str(draft)


def test_a_repeated_and_an_imported_answer_are_no_calls_of_which_a_draft_tells(swiftask, tmp_path):
    session = swiftask.session()
    spent = session.ask("hello", dialect="native").usage.credits
    file = session.export(tmp_path / "talk.json")
    swiftask.session("second").log.import_file(file)
    for _ in range(2):
        swiftask.ask("hello", dialect="native", cache="on")

    calls = swiftask.dry_run("hello").calls

    assert [call.credits for call in calls] == [spent]


def test_what_the_catalogue_has_said_counts_in_a_draft(swiftask, box):
    swiftask.agents()

    assert swiftask.dry_run("a cat", "image").dialect == "native"
    assert swiftask.dry_run("hello", "echo").note == ""


def test_a_client_token_in_an_address_is_in_no_draft(box):
    token = box.client_token("echo")
    with Swiftask(base_url=box.url, token=token, agent="echo", dialect="widget") as client:
        draft = client.dry_run("hello")

    assert token not in f"{draft}{draft!r}{draft.url}{draft.headers}"
    assert "clientToken=••••" in draft.url


def test_a_long_message_is_printed_in_part_and_kept_whole(swiftask):
    draft = swiftask.dry_run("x" * 10_000)

    assert "8000 characters more" in str(draft)
    assert len(draft.messages[0].text) == 10_000


def test_control_characters_in_a_draft_are_seen(swiftask):
    assert "\x1b" not in str(swiftask.dry_run("\x1b[31mred"))


def test_what_would_be_refused_is_refused_in_a_dry_run_too(swiftask, box):
    with pytest.raises(errors.PromptError, match="empty"):
        swiftask.dry_run(" ")
    with pytest.raises(errors.PromptError, match="takes no files"):
        swiftask.dry_run("hello", dialect="openai", files=[("a.txt", b"1")])
    assert box.requests == []


def test_several_files_of_every_kind_are_listed(swiftask):
    frame = pd.DataFrame({"a": [1]})

    shown = str(swiftask.dry_run("look", files=["https://example.org/a.pdf", frame]))

    assert "a.pdf  application/pdf  not looked at" in shown
    assert "table.csv  text/csv  7 bytes" in shown


def test_a_retry_is_seen_in_the_footer_and_the_ledger(connected, box, capsys):
    box.fail(Fault(status=429, headers={"Retry-After": "0"}), agent="echo")

    connected.run_cell_magic("swiftask", "--dialect openai", "hello\n")

    assert " · 2 tries" in capsys.readouterr().out
    with Swiftask() as client:
        assert list(client.usage()["attempts"]) == [2]


def test_a_large_upload_shows_a_bar_in_a_terminal_and_takes_it_away(connected, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    display = TerminalDisplay(reply := Reply(agent="echo", number=1), shown=True)
    reply.progress = f"sending big.bin {bar(3 << 20, 6 << 20)}"
    display.show([])
    reply.apply([Delta("done")])
    display.show([Delta("done")])

    half = "█" * 10 + "░" * 10
    assert terminal.getvalue() == f"\rsending big.bin {half} 3 of 6 MB\x1b[K\r\x1b[Kdone"


def test_the_body_of_a_draft_is_json(swiftask):
    assert json.dumps(swiftask.dry_run("hello").body)


def test_a_form_is_for_one_answer_and_a_draft_for_any(connected, box):
    result = connected.run_cell("%%swiftask -f json echo lorem\nhello")
    drafts = connected.run_cell_magic("swiftask", "--dry-run echo lorem", "hello\n")

    assert "one answer" in str(result.error_in_exec)
    assert [draft.body["model"] for draft in drafts] == ["echo", "lorem"]
    assert not posts(box)
