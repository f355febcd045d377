"""What an earlier version of the package wrote is read by this one, with the same result.

`fixtures/before_rooms/README.md` says how the files were made. `readings.json` there holds what
the earlier package read in them.
"""

import contextlib
import json
import os
import shutil
import sqlite3
import warnings
from operator import attrgetter
from pathlib import Path

import pandas as pd
import pytest

from swiftask_jupyter import ChatPanel, Swiftask, errors, usage_from_notebooks
from swiftask_jupyter.notebook.commands.session import history_frame
from swiftask_jupyter.notebook.panel.totals import session_total

FIXTURES = Path(__file__).parent / "fixtures" / "before_rooms"
FOLDER = "/home/user/work"  # where the notebooks were when the files were made
READINGS = json.loads((FIXTURES / "readings.json").read_text())
NOBODY = "http://127.0.0.1:9"  # whatever asks the network fails
ADDED = ("host", "connection", "sandbox")  # columns that the earlier version did not have

# Each field of a turn in `readings.json`, and where a turn has it now.
FIELDS = {
    **{name: name for name in (
        "at", "number", "slot", "cell", "run", "surface", "agent", "dialect", "conversation",
        "stale", "prompt", "answer", "raw", "seconds", "session", "finish_reason",
        "first_token_seconds", "attempts", "cached",
    )},
    "turn": "id",
    "after": "history_digest",
    "said": "content_digest",
    "digest": "request_digest",
}  # fmt: skip
USAGE = ("input_tokens", "output_tokens", "total_tokens", "reported_total", "credits", "source")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The notebooks and their ledger, as if they had always been in this folder."""
    ledger = tmp_path / "ledger.db"
    shutil.copy(FIXTURES / "ledger.db", ledger)
    for name, saved in READINGS["saved"].items():
        shutil.copy(FIXTURES / f"{name}.ipynb", tmp_path)
        os.utime(tmp_path / f"{name}.ipynb", (saved, saved))
    with contextlib.closing(sqlite3.connect(ledger)) as connection, connection:
        for table in ("turns", "sessions", "budgets"):
            connection.execute(
                f"UPDATE {table} SET notebook = replace(notebook, ?, ?)", (FOLDER, str(tmp_path))
            )
    monkeypatch.setenv("SWIFTASK_STORE", str(ledger))
    monkeypatch.setattr("platform.node", lambda: "laptop")
    # The files were made with a sandbox: its answers are replayed by a sandbox of today.
    monkeypatch.setattr("swiftask_jupyter.settings.connection.is_sandbox", lambda port: port == 9)
    return tmp_path


@pytest.fixture
def opened(folder):
    """A function that opens a client, for a notebook of the folder or for none."""
    with contextlib.ExitStack() as stack:

        def opened(name=None):
            notebook = name and folder / f"{name}.ipynb"
            return stack.enter_context(
                Swiftask(
                    base_url=NOBODY, token="no-such-token", dialect="openai", agent="echo",
                    notebook=notebook,
                )
            )  # fmt: skip

        yield opened


def rows(frame, folder=FOLDER):
    known = [name for name in ADDED if name in frame and frame[name].isna().all()]
    frame = frame.drop(columns=known)
    text = frame.to_json(orient="records", date_format="iso", date_unit="us", double_precision=10)
    return json.loads(text.replace(str(folder).replace("/", "\\/"), FOLDER.replace("/", "\\/")))


@pytest.mark.parametrize("session", READINGS["history"])
def test_the_history_of_every_session_is_read_field_by_field(opened, session):
    held = opened("analysis").session(session).history()

    for turn, expected in zip(held, READINGS["history"][session], strict=True):
        usage = expected.pop("usage") if "usage" in expected else {}
        assert {name: attrgetter(path)(turn) for name, path in FIELDS.items()} == expected
        assert {name: getattr(turn.usage, name) for name in USAGE} == usage
        expected["usage"] = usage


@pytest.mark.parametrize("place", READINGS["frames"])
def test_the_history_frame_of_a_notebook_and_of_its_copy_is_the_same(opened, place):
    notebook, session = place.split("/")

    frame = history_frame(opened(notebook).session(session).history())

    assert rows(frame) == READINGS["frames"][place]


def test_a_notebook_that_was_moved_goes_on_with_its_conversation(folder, opened):
    (folder / "analysis.ipynb").rename(folder / "renamed.ipynb")

    frame = history_frame(opened("renamed").session().history())

    assert rows(frame) == READINGS["frames"]["analysis/main"]


def test_every_row_of_the_usage_frame_is_the_same(opened, folder):
    assert rows(opened().usage(text=True), folder) == READINGS["usage"]


@pytest.mark.parametrize(
    ("reading", "by"),
    [
        ("by_agent", "agent"),
        ("by_status", "status"),
        ("by_surface_and_session", "surface,session"),
        ("by_notebook", "notebook"),
    ],
)
def test_sums_of_usage_are_the_same(opened, folder, reading, by):
    assert rows(opened().usage(by), folder) == READINGS[reading]


@pytest.mark.parametrize("name", READINGS["notebooks"])
def test_the_usage_in_a_saved_notebook_is_the_same_without_its_ledger(folder, name):
    with warnings.catch_warnings(action="ignore"):
        frame = usage_from_notebooks(folder / f"{name}.ipynb")

    assert rows(frame, folder) == READINGS["notebooks"][name]


def test_budgets_and_what_was_spent_of_them_are_the_same(opened, folder):
    client = opened("analysis")
    budgets = client.budgets
    budgets._clock = lambda: READINGS["now"]

    read = [
        {
            **{name: getattr(budget, name) for name in ("amount", "unit", "period", "agent")},
            "notebook": budget.notebook and budget.notebook.replace(str(folder), FOLDER),
            "text": str(budget),
            "spent": [spent.amount, spent.calls, spent.in_flight, spent.unreported],
        }
        for budget in budgets.all()
        if (spent := budgets.spent(budget, client.session().id))
    ]

    assert read == READINGS["budgets"]


def test_a_budget_that_was_spent_before_still_refuses_a_call(opened, monkeypatch):
    monkeypatch.setattr("swiftask_jupyter.settings.connection.is_sandbox", lambda _: False)
    client = opened("analysis")
    client.budgets._clock = lambda: READINGS["now"]

    with pytest.raises(errors.BudgetSpent, match="2 calls/day for math is spent"):
        client.ask("1 + 1", "math")


def test_marks_replays_and_costs_are_the_same(opened):
    session = opened("analysis").session()
    ledger = session.runtime.ledger
    marks = ledger.history.marks(ledger.history.segments(session.id))

    assert [[each.at, each.kind, each.turn, each.value] for each in marks] == READINGS["marks"]
    assert list(ledger.history.replays()) == READINGS["replays"]
    assert [list(each) for each in ledger.turns.costs("mirror")] == READINGS["costs"]


def test_the_next_prompt_is_sent_with_the_same_messages_where_that_is_asked_for(opened):
    session = opened("analysis").session()

    preview = session.dry_run("what comes next", share_history=True)

    assert [[each.role, each.text] for each in preview.messages] == READINGS["next_messages"]


def test_turns_of_a_service_that_was_not_recorded_are_sent_to_none_unasked(opened):
    preview = opened("analysis").session().dry_run("what comes next")

    assert [each.text for each in preview.messages] == ["what comes next"]
    assert "earlier turns stayed with a service that was not recorded" in preview.note


def test_an_earlier_answer_is_replayed_without_asking_anybody(opened):
    answer = opened("analysis").session().ask("asked twice", fresh=True, cache="strict")

    assert (answer.text, answer.reply.cached) == ("asked twice", True)


@pytest.mark.parametrize("name", ["main.json", "main.md"])
def test_a_conversation_is_exported_to_the_same_file(opened, tmp_path, name):
    path = opened("analysis").session().export(tmp_path / f"again-{name}")

    assert path.read_text() == (FIXTURES / name).read_text()


@pytest.mark.parametrize("name", ["main.json", "main.md"])
def test_an_exported_conversation_is_imported(opened, name):
    session = opened().session("imported here")
    expected = READINGS["history"]["main"]

    assert session.import_file(FIXTURES / name) == len(expected)

    imported = [(each.prompt, each.agent, each.dialect) for each in session.history()]
    assert imported == [(each["prompt"], each["agent"], each["dialect"]) for each in expected]


@pytest.mark.parametrize(
    ("name", "prompt", "options"),
    [
        ("rows", "say {{text}}", {}),
        ("typed", '{"label": "{{text}}", "score": 0.5}', {"schema": "label: str, score: float"}),
    ],
)
def test_rows_that_were_answered_are_not_sent_again(opened, name, prompt, options):
    expected = json.loads((FIXTURES / f"{name}.json").read_text())
    frame = pd.DataFrame({"text": [row["text"] for row in expected]})

    made = opened().map(frame, prompt, agent="echo", progress=False, **options)

    # A column that the earlier version did not have.
    assert rows(made.drop(columns="finish_reason")) == expected


def test_a_panel_shows_the_same_exchanges(opened, shell):
    client = opened("analysis")
    client.budgets._clock = lambda: READINGS["now"]
    with contextlib.closing(ChatPanel(client)) as panel:
        shown = [{**each.as_message(), "text": each.reply.text} for each in panel.chat.exchanges]
        total = session_total(panel.chat.session)

    now = {"cell": "from_cell", "note": "footer"}  # what the panel calls these by now
    expected = READINGS["panel"]["exchanges"]
    names = expected[0]
    assert [{name: each[now.get(name, name)] for name in names} for each in shown] == expected
    assert total == READINGS["panel"]["total"]
