"""What a `%%swiftask` cell asks, returns and refuses, in a terminal's shell."""

import pytest
from IPython.core.error import UsageError

from swiftask_jupyter import Swiftask, errors
from swiftask_jupyter.answers.answer import Answer
from swiftask_jupyter.notebook.ask import check_nesting
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.turns.request_preview import RequestPreview
from tests.support.cells import contents, ledger_frame, posts


def test_a_terminal_prints_the_answer_and_then_the_footer(connected, capsys):
    answer = connected.run_cell_magic("swiftask", "echo", "hello\n")

    assert isinstance(answer, Answer)
    printed = capsys.readouterr().out
    assert printed.startswith("hello\necho · ")
    assert "turn 1" in printed


def test_a_variable_in_double_braces_is_replaced_by_its_value(connected):
    connected.user_ns.update(name="Ada", d={"k": [1, 2]})

    answer = connected.run_cell_magic("swiftask", "echo", "{{name}} {{d['k'][1]}} {name} $name\n")

    assert answer.text == "Ada 2 {name} $name"


def test_a_name_without_a_value_stops_the_cell_and_is_recorded(connected, box):
    connected.user_ns["name"] = "Ada"

    with pytest.raises(errors.PromptError) as caught:
        connected.run_cell_magic("swiftask", "echo", "{{nmae}}\n")

    said = "no variable nmae; did you mean {{name}}? --raw sends it as written"
    assert str(caught.value) == said
    assert not posts(box)
    (row,) = ledger_frame().to_dict("records")
    assert (row["status"], row["error"]) == ("refused", said)


def test_a_word_that_python_reserves_is_sent_as_written_and_named_in_the_footer(connected, capsys):
    answer = connected.run_cell_magic("swiftask", "echo", "{{else}}\n")

    assert answer.text == "{{else}}"
    assert "no value for {{else}}" in capsys.readouterr().out


def test_an_expression_in_braces_is_sent_as_written_and_named_in_the_footer(connected, capsys):
    connected.user_ns["t"] = "x"

    connected.run_cell_magic("swiftask", "echo", "{{t.upper()}} {{t: 'red'}}\n")
    connected.run_cell_magic("swiftask", "echo mirror", "{{t.upper()}}\n")

    printed = capsys.readouterr().out
    assert "{{t: 'red'}} can't be written (ValueError) · {{t.upper()}} is sent as" in printed
    assert printed.count("{{t.upper()}} is sent as written") == 3


def test_raw_sends_the_prompt_as_written(connected, capsys):
    connected.user_ns["name"] = "Ada"

    answer = connected.run_cell_magic("swiftask", "echo --raw", "{{name}} {{name()}}\n")

    assert answer.text == "{{name}} {{name()}}"
    assert "as written" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("echo ans <<", False),
        ("echo ans<<", False),
        ("echo ans =<<", True),
        ("ans <<", False),
        ("echo --raw ans =<<  ", True),
    ],
)
def test_a_variable_takes_the_answer(connected, capsys, monkeypatch, line, shown):
    monkeypatch.setenv("SWIFTASK_AGENT_SLUG", "echo")

    assert connected.run_cell_magic("swiftask", line, "hello\n") is None

    assert connected.user_ns["ans"].text == "hello"
    assert ("hello" in capsys.readouterr().out) is shown


def test_the_cells_options_reach_the_request(echoing, box):
    echoing.run_cell_magic(
        "swiftask", "--dialect openai --no-stream --stateless --timeout 9", "hi\n"
    )

    body = posts(box)[0].json
    assert (body["stream"], body["stateless"]) == (False, True)
    assert "timeout" not in body


def test_fresh_last_and_no_history_choose_the_turns_that_are_sent(ask, box):
    ask("echo", "one")
    ask("echo --fresh", "two")
    assert contents(box) == ["two"]
    ask("echo --no-history", "three")
    assert contents(box) == ["three"]
    ask("echo --last 1", "four")
    assert contents(box) == ["two", "two", "four"]
    ask("echo -s other", "five")
    assert contents(box) == ["five"]


def test_one_cell_may_show_an_earlier_answer_again(ask, box):
    ask("echo", "one")

    assert ask("echo --fresh --cache", "one").reply.cached
    assert not ask("echo --fresh", "one").reply.cached
    assert len(posts(box)) == 2


def test_the_cache_option_does_not_weaken_the_strict_mode(connected):
    connected.run_line_magic("swiftask", "cache strict")

    with pytest.raises(errors.Refused, match="strict asks nobody"):
        connected.run_cell_magic("swiftask", "echo --cache", "one")


def test_docs_tells_the_service_how_to_read_files(connected, box, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("hello there")

    connected.run_cell_magic("swiftask", f"echo --docs simple -a {path}", "read it\n")

    assert posts(box)[-1].json["documentAnalysisMode"] == "SIMPLE"


def test_an_answer_that_is_not_json_is_shown_unchanged_and_fails_the_cell(echoing, capsys):
    result = echoing.run_cell("%%swiftask -f json ans =<<\nno JSON here")

    assert isinstance(result.error_in_exec, errors.AnswerError)
    printed = capsys.readouterr().out
    assert printed.startswith("no JSON here\n")
    assert "AnswerError: the answer is not JSON" in printed
    assert "Traceback" not in printed
    assert echoing.user_ns["ans"].text == "no JSON here"


def test_an_unknown_format_is_refused(echoing):
    result = echoing.run_cell("%%swiftask -f yaml\nhello")

    assert "yaml" in str(result.error_in_exec)


def test_a_format_is_for_one_agent_and_a_dry_run_for_several(echoing, box):
    result = echoing.run_cell("%%swiftask -f json echo lorem\nhello")
    drafts = echoing.run_cell_magic("swiftask", "--dry-run echo lorem", "hello\n")

    assert "one answer" in str(result.error_in_exec)
    assert [draft.body["model"] for draft in drafts] == ["echo", "lorem"]
    assert not posts(box)


def test_a_dry_run_goes_into_the_variable_and_nothing_is_sent(connected, box, capsys):
    assert connected.run_cell_magic("swiftask", "echo --dry-run dr <<", "hello\n") is None

    draft = connected.user_ns["dr"]
    assert isinstance(draft, RequestPreview)
    assert capsys.readouterr().out == ""
    shown = connected.run_cell_magic("swiftask", "echo --dry-run dr =<<", "hello\n")
    assert shown is connected.user_ns["dr"]
    assert box.requests == []


def test_several_dry_runs_are_shown_one_below_the_other(connected, capsys):
    connected.run_cell("%%swiftask echo lorem --dry-run\nhello")

    said = capsys.readouterr().out
    assert "RequestPreview" not in said
    assert said.index('model = "echo"') < said.index('model = "lorem"')


def test_a_dry_run_shows_the_whole_request_and_sends_nothing(echoing, box, tmp_path, capsys):
    path = tmp_path / "notes.txt"
    path.write_text("hello there")
    echoing.user_ns["name"] = "Ada"

    draft = echoing.run_cell_magic(
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


def test_a_dry_run_in_a_cell_succeeds_and_leaves_no_row(echoing, box, capsys):
    result = echoing.run_cell("%%swiftask --dry-run\nhello")

    assert result.success
    assert "dry run: nothing was sent" in capsys.readouterr().out
    assert box.requests == []
    with Swiftask() as client:
        assert client.usage().empty


def test_a_retry_is_seen_in_the_footer_and_the_ledger(echoing, box, capsys):
    box.fail(Fault(status=429, headers={"Retry-After": "0"}), agent="echo")

    echoing.run_cell_magic("swiftask", "--dialect openai", "hello\n")

    assert " · 2 tries" in capsys.readouterr().out
    with Swiftask() as client:
        assert list(client.usage()["attempts"]) == [2]


def test_a_schema_without_a_frame_is_refused(connected):
    with pytest.raises(UsageError, match="--schema names the columns of --over"):
        connected.run_cell_magic("swiftask", 'echo --schema "x: int"', "hello\n")


def test_without_a_token_the_error_names_the_sandbox(shell):
    with pytest.raises(errors.ConfigurationError, match="%swiftask sandbox"):
        shell.run_cell_magic("swiftask", "echo", "hello\n")

    assert list(ledger_frame()["status"]) == ["refused"]


def test_without_an_agent_the_error_says_how_to_name_one(connected):
    with pytest.raises(errors.ConfigurationError, match="SWIFTASK_AGENT_SLUG"):
        connected.run_cell_magic("swiftask", "", "hello\n")


def test_an_empty_prompt_is_refused_and_recorded(connected):
    with pytest.raises(errors.PromptError, match="empty"):
        connected.run_cell_magic("swiftask", "echo", "  \n")

    assert list(ledger_frame()["status"]) == ["refused"]


def test_a_cell_of_one_line_is_an_empty_prompt_too(connected, capsys):
    result = connected.run_cell("%%swiftask echo\n")

    assert isinstance(result.error_in_exec, errors.PromptError)
    assert "empty" in capsys.readouterr().out
    assert list(ledger_frame()["status"]) == ["refused"]


def test_a_prompt_that_holds_the_token_is_not_sent(connected, box):
    connected.user_ns["token"] = box.token

    with pytest.raises(errors.PromptError, match="holds your token"):
        connected.run_cell_magic("swiftask", "echo", "it is {{token}}\n")

    assert not posts(box)


def test_an_unreachable_host_is_an_error_of_one_line(shell, monkeypatch):
    monkeypatch.setenv("SWIFTASK_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("SWIFTASK_API_KEY", "x")

    with pytest.raises(errors.ConnectionFailed, match=r"127\.0\.0\.1:9"):
        shell.run_cell_magic("swiftask", "echo", "hello\n")


def test_the_error_of_a_wrong_token_names_the_setting_to_check(connected, monkeypatch):
    monkeypatch.setenv("SWIFTASK_API_KEY", "wr0ng-t0ken")

    with pytest.raises(errors.Unauthorized, match="SWIFTASK_API_KEY") as caught:
        connected.run_cell_magic("swiftask", "echo", "hello\n")
    assert "wr0ng-t0ken" not in str(caught.value)


@pytest.mark.parametrize(
    ("dialect", "wanted"), [("widget", "client_token"), ("agencii", "agencii_token")]
)
def test_a_key_for_a_dialect_that_needs_another_token_is_an_error_that_names_it(
    connected, dialect, wanted
):
    with pytest.raises(errors.Unauthorized, match=wanted) as caught:
        connected.run_cell_magic("swiftask", f"echo --dialect {dialect}", "hello\n")
    assert "SWIFTASK_API_KEY" not in str(caught.value)


def test_an_unknown_agent_fails_the_cell(connected):
    result = connected.run_cell("%%swiftask nobody\nhello")

    assert isinstance(result.error_in_exec, errors.AgentNotFound)


def test_the_connection_of_a_cell_counts_before_the_sandbox(
    shell, box, tmp_path, monkeypatch, capsys
):
    (tmp_path / "pyproject.toml").write_text(
        f'[tool.swiftask.connections.team]\nbase_url = "{box.url}"\ntoken_env = "SWIFTASK_TEAM"'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SWIFTASK_TEAM", box.token)
    shell.run_line_magic("swiftask", "sandbox")

    assert shell.run_cell_magic("swiftask", "echo -c team", "hello\n").text == "hello"
    assert len([each for each in box.requests if each.method == "POST"]) == 1


@pytest.mark.parametrize("version", [(6, 30, 1), (7, 0, 0)])
def test_nested_waiting_is_allowed_with_an_older_ipykernel(version, monkeypatch):
    monkeypatch.setattr("sys.version_info", (3, 13))

    check_nesting(type("ipykernel", (), {"version_info": version}))


@pytest.mark.parametrize(("python", "version"), [((3, 13), (7, 1, 0)), ((3, 14), (6, 30, 1))])
def test_nested_waiting_is_refused_where_it_breaks(python, version, monkeypatch):
    monkeypatch.setattr("sys.version_info", python)

    with pytest.raises(errors.ConfigurationError, match="nested = False"):
        check_nesting(type("ipykernel", (), {"version_info": version}))
