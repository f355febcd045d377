"""The magics in a real IPython shell, as a terminal has it."""

import json
import os
import subprocess
import sys

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.error import StdinNotImplementedError, UsageError
from traitlets import TraitError

from swiftask_jupyter import Swiftask, errors
from swiftask_jupyter.answers.answer import Answer
from swiftask_jupyter.notebook.arguments import line_parser, split_words
from swiftask_jupyter.notebook.commands.registry import COMMANDS
from swiftask_jupyter.notebook.identity import notebook_path
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.turns.request_preview import RequestPreview


def ledger():
    with Swiftask() as client:
        return client.usage()


def test_a_terminal_prints_the_answer_as_it_comes_and_then_the_footer(connected, capsys):
    answer = connected.run_cell_magic("swiftask", "echo", "hello\n")

    assert isinstance(answer, Answer)
    printed = capsys.readouterr().out
    assert printed.startswith("hello\necho · ")
    assert "turn 1" in printed


def test_a_terminal_never_receives_control_characters(connected, capsys):
    connected.run_cell_magic("swiftask", "echo", "\x1b]0;owned\x07 \x1b[31mred \u202e\n")

    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "\u202e" not in printed
    assert "␛[31mred" in printed


def test_fields_are_filled_from_the_users_names(connected):
    connected.user_ns.update(name="Ada", d={"k": [1, 2]})

    answer = connected.run_cell_magic("swiftask", "echo", "{{name}} {{d['k'][1]}} {name} $name\n")

    assert answer.text == "Ada 2 {name} $name"


def test_the_line_is_not_expanded(connected):
    connected.user_ns["echo"] = "slow"

    with pytest.raises(errors.AgentNotFound):
        connected.run_cell_magic("swiftask", "{echo}", "hello\n")


def test_a_field_without_a_value_is_sent_as_it_is_and_named_in_the_footer(connected, capsys):
    answer = connected.run_cell_magic("swiftask", "echo", "{{nobody}}\n")

    assert answer.text == "{{nobody}}"
    assert "no value for {{nobody}}" in capsys.readouterr().out


def test_what_looks_like_a_field_and_is_none_is_named_in_the_footer(connected, capsys):
    connected.user_ns["t"] = "x"

    connected.run_cell_magic("swiftask", "echo", "{{t.upper()}} {{t:zz}}\n")
    connected.run_cell_magic("swiftask", "echo mirror", "{{t.upper()}}\n")

    printed = capsys.readouterr().out
    assert "{{t:zz}} can't be written (ValueError) · {{t.upper()}} is sent as written" in printed
    assert printed.count("{{t.upper()}} is sent as written") == 3


def test_a_draft_goes_into_the_variable_and_nothing_is_sent(connected, box, capsys):
    assert connected.run_cell_magic("swiftask", "echo --dry-run dr <<", "hello\n") is None

    draft = connected.user_ns["dr"]
    assert isinstance(draft, RequestPreview)
    assert capsys.readouterr().out == ""
    shown = connected.run_cell_magic("swiftask", "echo --dry-run dr =<<", "hello\n")
    assert shown is connected.user_ns["dr"]
    assert box.requests == []


def test_several_drafts_are_shown_one_below_the_other(connected, capsys):
    connected.run_cell("%%swiftask echo lorem --dry-run\nhello")

    said = capsys.readouterr().out
    assert "RequestPreview" not in said
    assert said.index('model = "echo"') < said.index('model = "lorem"')


def test_a_schema_without_rows_is_refused(connected):
    with pytest.raises(UsageError, match="--schema names the columns of --over"):
        connected.run_cell_magic("swiftask", 'echo --schema "x: int"', "hello\n")


def test_raw_sends_the_prompt_as_it_stands(connected, capsys):
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


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("echo --dialct x", "did you mean --dialect"),
        ("echo --nonsense", "unknown option --nonsense"),
        ("echo 1x <<", "not a variable's name"),
        ("<<", "needs a variable's name"),
        ('echo "', "can't be read"),
    ],
)
def test_a_line_that_makes_no_sense_is_refused_in_one_line_and_recorded(connected, line, message):
    with pytest.raises(UsageError, match=message) as caught:
        connected.run_cell_magic("swiftask", line, "hello\n")

    assert "\n" not in str(caught.value)
    (row,) = ledger().to_dict("records")
    assert row["status"] == "refused"
    assert message in row["error"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("usge", "to ask: %%swiftask usge; did you mean usage"),
        ("sandbx", "did you mean sandbox"),
        ("config everything", "takes nothing"),
        ("usage everything", "unknown argument everything"),
        ("usage --sinse 7d", "did you mean --since"),
        ("usage <<", "needs a variable's name"),
        ("use", "takes 1 word;"),
        ("chat echo mirror", "takes at most 1 word;"),
        ("ask", "takes 1 to 2 words"),
        ('ask "open', "can't be read"),
    ],
)
def test_a_command_that_is_none_is_refused_with_the_nearest(connected, line, message):
    with pytest.raises(UsageError, match=message):
        connected.run_line_magic("swiftask", line)


def test_without_a_token_the_line_names_the_sandbox(shell):
    with pytest.raises(errors.ConfigurationError, match="%swiftask sandbox"):
        shell.run_cell_magic("swiftask", "echo", "hello\n")

    assert list(ledger()["status"]) == ["refused"]


def test_without_an_agent_the_line_says_how_to_name_one(connected):
    with pytest.raises(errors.ConfigurationError, match="SWIFTASK_AGENT_SLUG"):
        connected.run_cell_magic("swiftask", "", "hello\n")


def test_an_empty_prompt_is_refused_and_recorded(connected):
    with pytest.raises(errors.PromptError, match="empty"):
        connected.run_cell_magic("swiftask", "echo", "  \n")

    assert list(ledger()["status"]) == ["refused"]


def test_a_cell_of_one_line_is_an_empty_prompt_too(connected, capsys):
    result = connected.run_cell("%%swiftask echo\n")

    assert isinstance(result.error_in_exec, errors.PromptError)
    assert "empty" in capsys.readouterr().out
    assert list(ledger()["status"]) == ["refused"]


@pytest.mark.parametrize("before", ["", "\n\n", "  "])
def test_a_cell_is_handed_over_as_it_was_written(connected, before):
    body = 'a\n\n>>> x = 1\n... y\nIn [1]: z\n\'quotes\' """ \\n'

    connected.run_cell(f"{before}%%swiftask echo ans <<\n{body}")

    assert connected.user_ns["ans"].text == body


def test_a_cell_that_is_being_typed_is_complete_after_a_blank_line(connected):
    typed = connected.input_transformer_manager.check_complete

    assert typed("%%swiftask echo\n")[0] == "incomplete"
    assert typed("%%swiftask echo\nhello\n")[0] == "incomplete"


def test_help_on_the_magic_is_still_help(connected, capsys):
    connected.run_cell("%%swiftask?")

    assert "--dialect" in capsys.readouterr().out


def test_a_prompt_that_holds_the_token_is_not_sent(connected, box):
    connected.user_ns["token"] = box.token

    with pytest.raises(errors.PromptError, match="holds your token"):
        connected.run_cell_magic("swiftask", "echo", "it is {{token}}\n")

    assert not [seen for seen in box.requests if seen.method == "POST"]


def test_an_unreachable_host_is_one_line(shell, monkeypatch):
    monkeypatch.setenv("SWIFTASK_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("SWIFTASK_API_KEY", "x")

    with pytest.raises(errors.ConnectionFailed, match=r"127\.0\.0\.1:9"):
        shell.run_cell_magic("swiftask", "echo", "hello\n")


def test_a_wrong_token_is_one_line_that_says_which_setting_to_check(connected, monkeypatch):
    monkeypatch.setenv("SWIFTASK_API_KEY", "wr0ng-t0ken")

    with pytest.raises(errors.Unauthorized, match="SWIFTASK_API_KEY") as caught:
        connected.run_cell_magic("swiftask", "echo", "hello\n")
    assert "wr0ng-t0ken" not in str(caught.value)


def test_the_sandbox_command_answers_without_any_setting(shell, capsys):
    shell.run_line_magic("swiftask", "sandbox")
    first = shell.run_cell_magic("swiftask", "echo", "hello\n")
    shell.run_line_magic("swiftask", "sandbox")
    second = shell.run_cell_magic("swiftask", "echo", "again\n")

    assert (first.text, second.text) == ("hello", "again")
    assert "sandbox at http://127.0.0.1:" in capsys.readouterr().out


def test_the_sandbox_ends_on_request(connected, box, capsys):
    with pytest.raises(UsageError, match="no sandbox runs"):
        connected.run_line_magic("swiftask", "sandbox off")
    connected.run_line_magic("swiftask", "sandbox")
    sandbox = connected.magics_manager.registry["SwiftaskMagics"].context.sandbox
    asked = len(box.requests)
    with pytest.raises(UsageError, match="%swiftask sandbox off, first"):
        connected.run_line_magic("swiftask", "login")
    with pytest.raises(UsageError, match="takes off or nothing, not 'on'"):
        connected.run_line_magic("swiftask", "sandbox on")

    connected.run_line_magic("swiftask", "sandbox off")
    answer = connected.run_cell_magic("swiftask", "echo", "hello\n")

    assert answer.text == "hello"
    assert len(box.requests) > asked
    assert "stopped" in repr(sandbox)
    assert "has ended" in capsys.readouterr().out


def test_the_status_names_the_sandbox_only_while_it_is_asked(connected, capsys):
    def sends_to():
        connected.run_line_magic("swiftask", "")
        return capsys.readouterr().out.partition("sends to  ")[2].partition("\n")[0]

    connected.run_line_magic("swiftask", "sandbox")
    assert sends_to().startswith("the sandbox, at http://127.0.0.1:")
    connected.run_line_magic("config", "SwiftaskMagics.base_url = 'https://other.example'")

    assert sends_to() == "https://other.example"


def test_the_status_says_where_and_never_the_token(connected, box, capsys):
    connected.run_line_magic("swiftask", "")

    printed = capsys.readouterr().out
    assert box.url in printed
    assert box.token not in printed
    assert "SWIFTASK" not in printed


def test_usage_is_a_frame(connected):
    connected.run_cell_magic("swiftask", "echo", "hello\n")

    connected.run_cell("f = %swiftask usage")

    assert list(connected.user_ns["f"]["agent"]) == ["echo"]


def test_help_names_every_command_and_option(connected, capsys):
    connected.run_line_magic("swiftask", "help")

    printed = capsys.readouterr().out
    flags = line_parser().flags()
    assert len(flags) > 20
    assert [flag for flag in flags if flag not in printed] == []
    for command in COMMANDS:
        assert f"%swiftask {command}".strip() in printed


def test_a_prompt_can_be_asked_in_one_line(connected):
    connected.user_ns["name"] = "Ada"

    answer = connected.run_line_magic("swiftask", 'ask "hello {{name}}?" echo')

    assert (answer.text, answer.agent) == ("hello Ada?", "echo")


def test_use_names_the_agent_for_what_follows(connected):
    connected.run_line_magic("swiftask", "use echo")

    assert connected.run_cell_magic("swiftask", "", "hello\n").agent == "echo"
    assert connected.run_cell_magic("swiftask", "lorem ans <<", "hello\n") is None
    assert connected.user_ns["ans"].agent == "lorem"


def test_percent_config_counts_before_the_environment_and_after_the_line(connected, monkeypatch):
    monkeypatch.setenv("SWIFTASK_AGENT_SLUG", "slow")
    connected.run_line_magic("config", "SwiftaskMagics.agent = 'echo'")

    assert connected.run_cell_magic("swiftask", "", "hello\n").agent == "echo"
    assert connected.run_cell_magic("swiftask", "lorem", "hello\n").agent == "lorem"


def test_config_lists_each_setting_and_where_it_stands(connected, box, capsys):
    connected.run_line_magic("swiftask", "config")

    printed = capsys.readouterr().out
    assert f"base_url      {box.url}  (SWIFTASK_BASE_URL in the environment)" in printed
    assert "token         set  (SWIFTASK_API_KEY in the environment)" in printed
    assert box.token not in printed


def test_a_token_on_the_line_is_refused(connected):
    with pytest.raises(UsageError, match="unknown option --token"):
        connected.run_cell_magic("swiftask", "echo --token abc", "hello\n")


def test_login_asks_unseen_and_the_token_is_used(shell, box, monkeypatch, capsys):
    monkeypatch.setenv("SWIFTASK_BASE_URL", box.url)
    monkeypatch.setattr("getpass.getpass", lambda _: f" {box.token} ")

    shell.run_line_magic("swiftask", "login")

    assert shell.run_cell_magic("swiftask", "echo", "hello\n").text == "hello"
    assert "until this kernel ends" in capsys.readouterr().out


def test_a_login_is_for_its_host_alone(shell, box, monkeypatch):
    monkeypatch.setenv("SWIFTASK_BASE_URL", "http://localhost:9")
    monkeypatch.setattr("getpass.getpass", lambda _: box.token)
    shell.run_line_magic("swiftask", "login")
    monkeypatch.setenv("SWIFTASK_BASE_URL", box.url)

    with pytest.raises(errors.ConfigurationError, match="no token"):
        shell.run_cell_magic("swiftask", "echo", "hello\n")


def test_doctor_says_what_is_well_and_that_it_streams(connected, monkeypatch, capsys):
    monkeypatch.setenv("SWIFTASK_AGENT_SLUG", "lorem")

    connected.run_line_magic("swiftask", "doctor")

    printed = capsys.readouterr().out
    assert "FAIL" not in printed
    assert "ok   streaming   first text after" in printed


WELL = {  # and what is said of it
    "lorem by chat": "streaming   chat streams from a conversation's second turn on",
    "image by native": "ok   answer      image by native",
    "echo by openai": "ok   answer      echo by openai",  # in one piece, and no proxy is near
}


@pytest.mark.parametrize("asked", WELL)
def test_doctor_does_not_condemn_what_is_well(connected, box, monkeypatch, capsys, asked):
    agent, _, dialect = asked.split()
    monkeypatch.setenv("SWIFTASK_AGENT_SLUG", agent)
    monkeypatch.setenv("SWIFTASK_DIALECT", dialect)
    box.fail(Fault(status=404), path="/public/bots", times=None)

    for calls in ("0 calls", "1 call"):
        connected.run_line_magic("swiftask", "doctor")

        printed = capsys.readouterr().out
        assert "FAIL" not in printed
        assert "catalogue   the catalogue answered 404; agents can be asked without one" in printed
        assert f"turns.db, {calls}\n" in printed
        assert WELL[asked] in printed


def test_doctor_asks_anew_where_answers_are_kept(connected, monkeypatch, capsys):
    monkeypatch.setenv("SWIFTASK_AGENT_SLUG", "lorem")
    monkeypatch.setenv("SWIFTASK_CACHE", "on")

    for _ in range(2):
        connected.run_line_magic("swiftask", "doctor")

        assert "ok   streaming   first text after" in capsys.readouterr().out


def test_doctor_is_not_stopped_by_a_proxy_that_is_none(connected, monkeypatch, capsys):
    monkeypatch.setenv("SWIFTASK_BASE_URL", "http://service.invalid")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:port")

    connected.run_line_magic("swiftask", "doctor")

    assert "proxy       set to what is no address" in capsys.readouterr().out


def test_a_quote_within_quotes_is_written_with_a_backslash():
    assert split_words(r'ask "a \"b\"" c') == ["ask", 'a "b"', "c"]
    assert split_words(r"""x='a "b"' ''""") == ['x=a "b"', ""]
    assert split_words(r'C:\new\dir "C:\my dir\" --last 2') == [
        "C:\\new\\dir", "C:\\my dir\\", "--last", "2",
    ]  # fmt: skip
    with pytest.raises(UsageError, match="no closing quotation"):
        split_words('ask "hello')


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("echo ans << more", "belongs at the end of the line"),
        ('echo -o metadata={"a":1}', "in single quotes"),
        ("echo -o dry_run=true", "--dry-run"),
        ("echo -o session=other", "-s NAME in a cell"),
        ("echo -o tiemout=1", "did you mean timeout"),
        *[
            (f"echo -o {name}=1", f"-o {name} is no field of a request; ")
            for name in (
                "text",
                "agent",
                "aside",
                "self",
                "needs_token",
                "slot",
                "surface",
                "history",
                "fresh",
                "last",
                "cache",
                "replay",
                "files",
            )
        ],
    ],
)
def test_a_slip_on_the_line_is_told_and_sends_nothing(connected, box, line, says):
    with pytest.raises((UsageError, errors.Refused), match=says):
        connected.run_cell_magic("swiftask", line, "hello\n")
    assert [seen for seen in box.requests if seen.method == "POST"] == []


def test_who_writes_one_percent_sign_is_told_of_two(connected):
    with pytest.raises(UsageError, match=r"%%swiftask echo"):
        connected.run_line_magic("swiftask", "echo hello")


def test_help_is_given_wherever_it_is_asked_for(connected, box, capsys):
    connected.run_line_magic("swiftask", "ask --help")

    assert "%swiftask doctor" in capsys.readouterr().out
    assert box.requests == []


UNUSABLE = {  # and why
    os.sep: "unable to open database file",
    "postgresql://ada:s3cret@127.0.0.1:1/turns": "Connection refused",
}


@pytest.mark.parametrize("store", UNUSABLE)
def test_doctor_says_why_the_ledger_is_unusable_and_goes_on(
    connected, monkeypatch, capsys, tmp_path, store
):
    monkeypatch.setenv("SWIFTASK_STORE", store)
    monkeypatch.setenv("SWIFTASK_OUTBOX", str(tmp_path))
    monkeypatch.setenv("SWIFTASK_AGENT_SLUG", "lorem")

    for _ in range(2):
        connected.run_line_magic("swiftask", "doctor")

        printed = capsys.readouterr().out
        assert UNUSABLE[store] in printed.partition("FAIL ledger")[2].partition("\n")[0]
        assert " answer  " in printed
        assert "s3cret" not in printed


def test_doctor_says_what_is_wrong(shell, monkeypatch, capsys):
    monkeypatch.setenv("SWIFTASK_BASE_URL", "http://127.0.0.1:9")

    shell.run_line_magic("swiftask", "doctor")

    printed = capsys.readouterr().out
    assert "FAIL catalogue   cannot reach 127.0.0.1:9" in printed
    assert "FAIL answer      not asked: no token" in printed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%swiftask us", ["usage", "use"]),
        ("%swiftask use ech", ["echo"]),
        ("%%swiftask ech", ["echo"]),
        ("%%swiftask echo --di", ["--dialect"]),
        ("%%swiftask echo --dialect na", ["native"]),
        ("%%swiftask echo -f js", ["json"]),
        ("%%swiftask echo\nhello {{nam", ["name"]),
        ("%%swiftask echo\nhello {{ nam", ["name"]),
        ("\n%%swiftask ech", ["echo"]),
        ("\n\n%%swiftask echo\nhello {{nam", ["name"]),
    ],
)
def test_tab_completes_exactly_what_can_stand_there(connected, text, expected):
    connected.user_ns["name"] = "Ada"

    with provisionalcompleter():
        found = {each.text for each in connected.Completer.completions(text, len(text))}

    assert sorted(found) == expected


@pytest.mark.parametrize("text", ["x = 1\nnam", "%swiftaskother us", "hello {{nam"])
def test_tab_elsewhere_is_left_to_ipython(connected, text):
    connected.user_ns["name"] = "Ada"

    with provisionalcompleter():
        found = {each.text for each in connected.Completer.completions(text, len(text))}

    assert "usage" not in found


def test_a_failed_cell_fails(connected):
    result = connected.run_cell("%%swiftask nobody\nhello")

    assert isinstance(result.error_in_exec, errors.AgentNotFound)


@pytest.mark.parametrize(
    ("environ", "names", "path"),
    [
        ({"JPY_SESSION_NAME": "/home/me/a.ipynb"}, {}, "/home/me/a.ipynb"),
        ({"JPY_SESSION_NAME": "console-1"}, {}, None),
        ({}, {"__vsc_ipynb_file__": "/home/me/b.ipynb"}, "/home/me/b.ipynb"),
        ({}, {}, None),
    ],
)
def test_the_notebook_is_known_where_the_front_end_tells(environ, names, path):
    assert notebook_path(environ, names) == path


def test_a_cells_connection_counts_before_the_sandbox(shell, box, tmp_path, monkeypatch, capsys):
    (tmp_path / "pyproject.toml").write_text(
        f'[tool.swiftask.connections.team]\nbase_url = "{box.url}"\ntoken_env = "SWIFTASK_TEAM"'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SWIFTASK_TEAM", box.token)
    shell.run_line_magic("swiftask", "sandbox")

    assert shell.run_cell_magic("swiftask", "echo -c team", "hello\n").text == "hello"
    assert len([each for each in box.requests if each.method == "POST"]) == 1


@pytest.mark.parametrize("line", ["--help", "-h"])
def test_help_is_shown_for_the_words_that_every_tool_knows(shell, capsys, line):
    shell.run_line_magic("swiftask", line)
    shell.run_cell_magic("swiftask", line, "\n")

    assert capsys.readouterr().out.count("%swiftask doctor") == 2


def test_use_takes_no_empty_name(connected):
    with pytest.raises(UsageError, match="an agent's slug"):
        connected.run_line_magic("swiftask", 'use ""')


@pytest.mark.parametrize(
    ("struck", "raised", "message"),
    [
        (EOFError, errors.ConfigurationError, "nobody can type here; set SWIFTASK_API_KEY"),
        (StdinNotImplementedError, errors.ConfigurationError, "nobody can type here"),
        (KeyboardInterrupt, errors.Interrupted, "nothing is changed"),
    ],
)
def test_a_login_that_nobody_types_is_one_line(shell, monkeypatch, struck, raised, message):
    def unable(_):
        raise struck

    monkeypatch.setattr("getpass.getpass", unable)

    with pytest.raises(raised, match=message) as caught:
        shell.run_line_magic("swiftask", "login")
    assert caught.value.__suppress_context__


def test_a_sandbox_without_its_server_is_one_line(shell, monkeypatch):
    monkeypatch.setitem(sys.modules, "tornado.web", None)

    with pytest.raises(errors.ConfigurationError, match="pip install") as caught:
        shell.run_line_magic("swiftask", "sandbox")
    assert caught.value.__suppress_context__


HOSTILE = "echo\n\x1b]0;owned\x07\x1b[31m\u202e"


def test_a_name_that_a_project_wrote_reaches_the_terminal_in_one_harmless_line(
    connected, tmp_path, monkeypatch, capsys
):
    (tmp_path / "pyproject.toml").write_text(f"[tool.swiftask]\nagent = {json.dumps(HOSTILE)}")
    monkeypatch.chdir(tmp_path)
    lines = [f'use "{HOSTILE}"', f'session "{HOSTILE}"', "session list", "",  "config",
             f'budget 5 calls/day --agent "{HOSTILE}"']  # fmt: skip
    printed = []

    connected.run_line_magic("swiftask", "config")
    for line in lines:
        printed.append(capsys.readouterr().out)
        connected.run_line_magic("swiftask", line)
    with pytest.raises(errors.SwiftaskError):
        connected.run_cell_magic("swiftask", "", "hello\n")
    printed.append(capsys.readouterr().out)

    assert not [mark for mark in "\x1b\x07\u202e" for each in printed if mark in each]
    assert [each.count("echo ␛]0;owned") for each in printed] == [1, 1, 1, 1, 2, 1, 2]
    assert printed[-1].count("\n") == 2


@pytest.mark.parametrize(
    ("dialect", "wanted"), [("widget", "client_token"), ("agencii", "agencii_token")]
)
def test_a_key_where_another_token_is_wanted_says_which(connected, dialect, wanted):
    with pytest.raises(errors.Unauthorized, match=wanted) as caught:
        connected.run_cell_magic("swiftask", f"echo --dialect {dialect}", "hello\n")
    assert "SWIFTASK_API_KEY" not in str(caught.value)


def settings(shell, capsys):
    """What `%swiftask config` says, by the setting's name."""
    capsys.readouterr()
    shell.run_line_magic("swiftask", "config")
    return dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())


def test_what_was_said_last_counts_and_config_says_who_said_it(connected, capsys):
    seen = []
    for kind, line in [
        ("config", "SwiftaskMagics.agent = 'lorem'"),
        ("swiftask", "use echo"),
        ("config", "SwiftaskMagics.agent = 'lorem'"),
        ("swiftask", "sandbox"),
        ("config", "SwiftaskMagics.agent = 'slow'"),
    ]:
        connected.run_line_magic(kind, line)
        seen.append(settings(connected, capsys))

    agents = [each["agent"].rpartition("  ") for each in seen]
    assert [(agent, origin) for agent, _, origin in agents if agent != "smollm2"][:3] == [
        ("lorem", "(%config SwiftaskMagics)"),
        ("echo", "(%swiftask use)"),
        ("lorem", "(%config SwiftaskMagics)"),
    ]
    assert agents[3][2] == "(%swiftask sandbox)"
    assert agents[4][0] == "slow"
    assert seen[4]["token"] == "set  (%swiftask sandbox)"


def test_a_place_that_config_names_takes_no_token_of_the_sandbox(connected, box, capsys):
    connected.run_line_magic("swiftask", "sandbox")
    connected.run_line_magic("config", f"SwiftaskMagics.base_url = '{box.url}'")

    found = settings(connected, capsys)

    assert found["base_url"] == f"{box.url}  (%config SwiftaskMagics)"
    assert found["token"] == "set  (SWIFTASK_API_KEY in the environment)"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("cache", "foo", "'strict'"),
        ("history_limit", -5, "should not be less than 0"),
        ("dialect", "french", "no dialect 'french'; there is: auto"),
    ],
)
def test_config_refuses_what_can_not_be_at_once(shell, name, value, message):
    magics = shell.magics_manager.registry["SwiftaskMagics"]

    with pytest.raises(TraitError, match=message):
        setattr(magics, name, value)


def test_config_lists_what_stands_beside_the_connection(connected, capsys):
    connected.run_line_magic("config", "SwiftaskMagics.history_limit = 900")

    found = settings(connected, capsys)

    assert found["cache"] == "off  (default)"
    assert found["history_limit"] == "900  (%config SwiftaskMagics)"
    assert found["nested"] == "off  (default)"
    assert found["store"].endswith("turns.db  (SWIFTASK_STORE in the environment)")


STRIKE = """
import importlib.abc, signal, sys
from IPython.core.interactiveshell import InteractiveShell

class Strike(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            sys.meta_path.remove(self)
            signal.raise_signal(signal.SIGINT)

shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "swiftask_jupyter")
sys.meta_path.insert(0, Strike())
first, second = (shell.run_cell("%%swiftask echo ans <<\\nhello") for _ in range(2))
print(repr(first.error_in_exec), second.success, shell.user_ns["ans"])
shell.extension_manager.unload_extension("swiftask_jupyter")
"""


@pytest.mark.parametrize("module", ["ask", "identity", "display"])
def test_a_strike_in_the_middle_of_an_import_tears_nothing(box, module):
    """A module that was struck stays locked, and the I/O thread waits for it for ever."""
    environ = {"SWIFTASK_BASE_URL": box.url, "SWIFTASK_API_KEY": box.token}
    done = subprocess.run(
        [sys.executable, "-c", STRIKE, f"swiftask_jupyter.notebook.{module}"],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "Interrupted('stopped; nothing was sent') True hello" in done.stdout, done.stderr
    assert len([seen for seen in box.requests if seen.method == "POST"]) == 1
