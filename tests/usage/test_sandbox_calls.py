"""Calls to the sandbox beside calls to a live service: budgets, sums, plots, frames, notebooks."""

import warnings

import matplotlib as mpl
import nbformat
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from nbformat.v4 import new_code_cell, new_notebook, new_output

from swiftask_jupyter import Sandbox, Swiftask, errors, usage_from_notebooks
from swiftask_jupyter.answers.turn import TURN_MIME_TYPE
from swiftask_jupyter.doctor import diagnose
from swiftask_jupyter.ledger.notebook_record import record_of
from swiftask_jupyter.settings import connection
from swiftask_jupyter.turns.budget import Budget, parse_budget
from swiftask_jupyter.usage.totals import SandboxWarning
from tests.support.cells import posts

LEFT_OUT = "^3 calls to the sandbox left out; sandbox=True adds them$"
PROMPT = "one two three four"  # the sandbox counts 4 tokens of it, and 4 of the same answer
# What one such call by the native API costs in the sandbox.
TOKENS, CREDITS = 8, 1.0


@pytest.fixture
def service(monkeypatch):
    """A sandbox that counts as a live service; `box` still counts as the sandbox."""
    with Sandbox() as service:
        live = int(service.url.rpartition(":")[2])
        known = connection.is_sandbox
        monkeypatch.setattr(connection, "is_sandbox", lambda port: port != live and known(port))
        yield service


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request, monkeypatch, tmp_path):
    """The address of a ledger for all clients of a test: a file, and then PostgreSQL."""
    named = str(tmp_path / "turns.db")
    if request.param == "postgresql":
        named = request.getfixturevalue("postgres_server").database()
        monkeypatch.setenv("SWIFTASK_OUTBOX", str(tmp_path))
    monkeypatch.setenv("SWIFTASK_STORE", named)
    return named


def client_of(box, **options):
    return Swiftask(
        base_url=box.url, token=box.token, agent="echo", **({"dialect": "native"} | options)
    )


@pytest.fixture
def mixed(box, service, store):
    """A client of the live service, with 2 calls to it and 3 to the sandbox in its ledger."""
    with client_of(box) as sandbox:
        for _ in range(3):
            sandbox.ask(PROMPT)
    with client_of(service) as live:
        for _ in range(2):
            live.ask(PROMPT)
        yield live


def test_the_frame_has_all_calls_and_says_which_were_to_the_sandbox(mixed, box, service):
    frame = mixed.usage()

    assert frame["sandbox"].tolist() == [True, True, True, False, False]
    assert frame["host"].tolist() == [box.url] * 3 + [service.url] * 2


def test_sums_of_the_ledger_leave_the_sandbox_out_and_say_so(mixed):
    with pytest.warns(SandboxWarning, match=LEFT_OUT) as warned:
        (row,) = mixed.usage("agent").to_dict("records")

    assert warned[0].filename == __file__
    assert (row["calls"], row["total_tokens"], row["credits"]) == (2, 2 * TOKENS, 2 * CREDITS)
    (row,) = mixed.usage("agent", sandbox=False).to_dict("records")
    assert row["calls"] == 2
    (row,) = mixed.usage("agent", sandbox=True).to_dict("records")
    assert (row["calls"], row["total_tokens"], row["credits"]) == (5, 5 * TOKENS, 5 * CREDITS)


def test_sums_that_would_hold_no_sandbox_say_nothing(mixed):
    assert mixed.usage("agent", since="2300-01-01").empty
    assert mixed.usage("agent", agent="nobody").empty


def test_totals_and_costs_of_a_frame_leave_the_sandbox_out_and_say_so(mixed):
    calls = mixed.usage().swiftask

    with pytest.warns(SandboxWarning, match=LEFT_OUT) as warned:
        totals = calls.totals()
    with pytest.warns(SandboxWarning, match=LEFT_OUT) as warned_again:
        costs = calls.cost()

    assert [each.filename for each in (*warned, *warned_again)] == [__file__] * 2
    assert (totals["calls"].tolist(), totals["credits"].tolist()) == ([2], [2 * CREDITS])
    assert costs["credits"].tolist() == [CREDITS] * 2
    assert calls.totals(sandbox=True)["calls"].tolist() == [5]
    assert len(calls.cost(sandbox=True)) == 5
    assert calls.totals(sandbox=False)["calls"].tolist() == [2]


def test_hosts_and_connections_are_groups(box, service, store, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SWIFTASK_TEAM", service.token)
    (tmp_path / "pyproject.toml").write_text(
        f'[tool.swiftask.connections.team]\nbase_url = "{service.url}"\ntoken_env = "SWIFTASK_TEAM"'
    )
    with client_of(box) as sandbox, Swiftask(connection="team", agent="echo") as team:
        sandbox.ask("hello")
        team.ask("hello")
        team.ask("hello")
        frame = team.usage()

        for by, real, play in (("host", service.url, box.url), ("connection", "team", None)):
            for sums in (team.usage, frame.swiftask.totals):
                rows = sums(by, sandbox=False)
                assert (rows[by].tolist(), rows["calls"].tolist()) == ([real], [2])
                rows = sums(by, sandbox=True)
                found = {None if pd.isna(each) else each for each in rows[by]}
                assert found == {real, play}
                assert sorted(rows["calls"]) == [1, 2]


def test_a_budget_counts_no_calls_to_the_sandbox_and_refuses_none(mixed, box, service):
    mixed.budgets.set(parse_budget("3 calls/day"))

    assert mixed.ask("the third").text == "the third"
    with pytest.raises(errors.BudgetSpent, match="3 calls/day is spent: 3"):
        mixed.ask("the fourth")
    with client_of(box) as sandbox:
        answer = sandbox.ask("still answered")

    assert answer.reply.remarks[-1] == "sandbox: counts towards no budget"
    spent = mixed.budgets.spent(Budget(3, "calls", "day"), "")
    assert (spent.amount, spent.calls, spent.left_out) == (3, 3, 4)
    assert (len(posts(service)), len(posts(box))) == (3, 4)


@pytest.mark.parametrize(
    ("text", "spent", "of_sandbox"),
    [("9 calls/day", 2, 3), ("99 credits/week", 2 * CREDITS, 3 * CREDITS),
     ("999 tokens/hour", 2 * TOKENS, 3 * TOKENS)],
)  # fmt: skip
def test_a_budget_for_the_sandbox_counts_its_calls_alone(mixed, text, spent, of_sandbox):
    spending = mixed.budgets.spent

    assert spending(parse_budget(text), "").amount == spent
    assert spending(parse_budget(text, sandbox=True), "").amount == of_sandbox


def test_a_spent_budget_for_the_sandbox_refuses_its_calls_and_no_others(mixed, box):
    mixed.budgets.set(parse_budget("3 calls/day", sandbox=True))
    mixed.budgets.set(parse_budget("100 calls/day"))

    assert mixed.ask("not of the sandbox").reply.remarks == []
    with client_of(box) as sandbox, pytest.raises(errors.BudgetSpent) as raised:
        sandbox.ask("one too many")

    assert "the budget of 3 calls/day in the sandbox is spent" in str(raised.value)
    assert raised.value.advice == "%swiftask budget raise 5 calls/day --sandbox"
    mixed.budgets.increase(parse_budget("5 calls/day", sandbox=True))
    assert mixed.budgets.all() == [
        Budget(5, "calls", "day", sandbox=True),
        Budget(100, "calls", "day"),
    ]


def test_a_batch_in_the_sandbox_is_stopped_by_its_own_budget_alone(mixed, box):
    frame = pd.DataFrame({"text": [f"number {n}" for n in range(6)]})
    mixed.budgets.set(parse_budget("0 calls/day"))
    mixed.budgets.set(parse_budget("7 calls/day", sandbox=True))
    with client_of(box) as sandbox:
        with pytest.raises(errors.BudgetSpent, match="7 calls/day in the sandbox"):
            sandbox.map(frame, "{{text}}", progress=False)

        assert len(posts(box)) == 7
        sandbox.budgets.drop(parse_budget("7 calls/day", sandbox=True))
        assert sandbox.map(frame, "{{text}}", progress=False)["status"].tolist() == ["ok"] * 6


def test_forecasts_of_a_live_agent_ignore_the_agent_of_that_name_in_the_sandbox(
    box, service, store, capsys
):
    rows = pd.DataFrame({"n": range(2)})
    with client_of(box) as sandbox, client_of(service) as live:
        sandbox.ask(PROMPT)

        assert "no earlier call of this agent" in str(live.dry_run(PROMPT))
        assert "last call of this agent" in str(sandbox.dry_run(PROMPT))
        live.map(rows, "{{n}}")
        assert "credits" not in capsys.readouterr().out.splitlines()[0]
        sandbox.map(rows, "{{n}}")
        assert "about 2 credits (median of the last call" in capsys.readouterr().out


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_a_plot_leaves_the_sandbox_out_and_says_so(mixed):
    mpl.use("agg")
    calls = mixed.usage().swiftask

    with pytest.warns(SandboxWarning, match=LEFT_OUT):
        figure = calls.plot()

    assert figure.get_suptitle() == "3 calls to the sandbox left out"
    assert figure.axes[0].get_title(loc="left") == "credits as reported: 2.00"
    assert figure.axes[3].get_title(loc="left") == "2 turns by how they ended"
    figure = calls.plot(sandbox=True)
    assert figure.get_suptitle() == ""
    assert figure.axes[0].get_title(loc="left") == "credits as reported: 5.00"
    assert plt.get_fignums() == []


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_a_plot_of_nothing_but_the_sandbox_says_what_was_left_out(client, box, store):
    mpl.use("agg")
    client.ask("hello")

    figure = client.usage().swiftask.plot(sandbox=False)

    assert figure.get_suptitle() == "no calls yet; 1 call to the sandbox left out"


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_the_magic_prints_what_it_left_out_and_how_to_add_it(connected, mixed, capsys):
    mpl.use("agg")

    def said(line):
        capsys.readouterr()
        value = connected.run_line_magic("swiftask", line)
        return value, capsys.readouterr().out

    line = "3 calls to the sandbox left out; --sandbox adds them\n"
    sums, out = said("usage --by agent")
    assert (sums["calls"].tolist(), out) == ([2], line)
    sums, out = said("usage --by agent --sandbox")
    assert (sums["calls"].tolist(), out) == ([5], "")
    figure, out = said("usage --plot")
    assert (figure.get_suptitle(), out) == ("3 calls to the sandbox left out", line)
    assert said("usage --plot --sandbox")[1] == ""
    frame, out = said("usage")
    assert (len(frame), out) == (5, "")
    assert said("usage --by agent kept <<") == (None, line)
    assert connected.user_ns["kept"]["calls"].tolist() == [2]


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_sums_of_nothing_but_the_sandbox_are_no_silent_empty_table(connected, store, capsys):
    connected.run_cell_magic("swiftask", "echo --cache", "hello")
    connected.run_cell_magic("swiftask", "echo --cache --fresh", "hello")
    capsys.readouterr()

    sums = connected.run_line_magic("swiftask", "usage --by agent")

    assert sums.empty
    line = "1 call to the sandbox left out; --sandbox adds it\n"
    assert capsys.readouterr().out == line
    sums = connected.run_line_magic("swiftask", "usage --by agent --sandbox")
    assert (sums["calls"].tolist(), sums["cached"].tolist()) == ([1], [1])


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_the_magic_lists_budgets_with_the_calls_that_do_not_count(connected, mixed, box, capsys):
    def said(line):
        capsys.readouterr()
        connected.run_line_magic("swiftask", line)
        return capsys.readouterr().out.splitlines()

    real = "2 of 4 calls/day (50 %) · 3 calls to the sandbox not counted"
    assert said("budget 4 calls/day") == [real]
    assert said("budget 5 calls/day --sandbox --agent echo") == [
        real, "3 of 5 calls/day in the sandbox for echo (60 %)",
    ]  # fmt: skip
    assert said("budget raise 6 calls/day --agent echo --sandbox")[1].startswith("3 of 6 ")
    with pytest.raises(errors.ConfigurationError, match="add --agent echo --sandbox"):
        said("budget drop calls/day --agent echo")
    assert said("budget drop all --sandbox") == [real]
    connected.run_cell_magic("swiftask", "echo", "hello")
    assert "sandbox: counts towards no budget" in capsys.readouterr().out


@pytest.fixture
def saved(box, service, tmp_path):
    """A notebook with one call to the sandbox, one to a live service, one by an earlier version."""
    records = []
    for each in (box, service, service):
        with client_of(each) as client:
            records.append(record_of(client.ask(PROMPT).reply))
    for name in ("host", "connection", "sandbox"):
        del records[2][name]
    outputs = [new_output("display_data", {TURN_MIME_TYPE: each}) for each in records]
    path = tmp_path / "n.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("", outputs=outputs)]), path)
    return path


def test_sums_of_saved_notebooks_leave_the_sandbox_out_and_count_older_records(saved, box, service):
    frame = usage_from_notebooks(saved)

    assert frame["sandbox"].tolist() == [True, False, pd.NA]
    assert frame["host"].tolist()[:2] == [box.url, service.url]
    with pytest.warns(SandboxWarning, match="^1 call to the sandbox left out; sandbox=True adds"):
        totals = frame.swiftask.totals()
    assert (totals["calls"].tolist(), totals["credits"].tolist()) == ([2], [2 * CREDITS])
    assert frame.swiftask.totals("host", sandbox=True)["calls"].tolist() == [1, 1, 1]


def test_the_magic_sums_saved_notebooks_without_the_sandbox(connected, saved, capsys):
    capsys.readouterr()
    sums = connected.run_line_magic("swiftask", f'usage --from "{saved}" --by agent')
    out = capsys.readouterr().out
    both = connected.run_line_magic("swiftask", f'usage --from "{saved}" --by agent --sandbox')

    assert sums["calls"].tolist() == [2]
    assert out.endswith("\n1 call to the sandbox left out; --sandbox adds it\n")
    assert both["calls"].tolist() == [3]
    assert "left out" not in capsys.readouterr().out


def test_a_record_of_an_earlier_version_agrees_with_its_copy_of_today(saved, tmp_path):
    notebook = nbformat.read(saved, as_version=4)
    record = notebook.cells[0].outputs[2].data[TURN_MIME_TYPE]
    copy = {**record, "host": None, "connection": None, "sandbox": False}
    outputs = [new_output("display_data", {TURN_MIME_TYPE: copy})]
    nbformat.write(new_notebook(cells=[new_code_cell("", outputs=outputs)]), tmp_path / "o.ipynb")

    with warnings.catch_warnings(action="error"):
        frame = usage_from_notebooks(tmp_path / "*.ipynb")

    assert len(frame) == 3


def test_a_frame_that_an_earlier_version_exported_counts_as_real(mixed):
    frame = mixed.usage().drop(columns=["host", "connection", "sandbox"])

    assert frame.swiftask.totals()["calls"].tolist() == [5]
    with pytest.raises(errors.ConfigurationError, match="this frame has no column host"):
        frame.swiftask.totals("host")


def test_the_doctor_counts_every_call_of_the_ledger(mixed):
    (found,) = [each.text for each in diagnose(mixed) if each.subject == "ledger"]

    assert found.endswith(", 5 calls")


def test_a_prompt_that_was_refused_in_the_sandbox_is_no_refusal_of_a_live_service(client, box):
    with pytest.raises(errors.Refused):
        client.ask(" ")

    [row] = client.usage().to_dict("records")
    assert (row["status"], row["host"], row["sandbox"]) == ("refused", box.url, True)
    with pytest.warns(SandboxWarning):
        assert client.usage("agent").empty
