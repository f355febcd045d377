"""The usage frame of saved notebooks: equal to the ledger's, and safe for files from anyone."""

import json
import math
import subprocess
import sys
from importlib.util import find_spec

import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook, new_output

from swiftask_jupyter import Swiftask, errors
from swiftask_jupyter.answers.turn import TURN_MIME_TYPE
from swiftask_jupyter.conversation.notebook_file import read_cells
from swiftask_jupyter.ledger.notebook_record import record_of
from swiftask_jupyter.notebook.panel.exchange_view import ExchangeView
from swiftask_jupyter.notebook.panel.transcript import transcript_mimebundle
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.usage.notebooks import NotebookWarning, usage_from_notebooks

GOOD = {
    "version": 1, "turn": "t1", "session": "main-1", "number": 1, "agent": "a",
    "dialect": "openai", "at": "2026-01-31T09:00:00.123456+00:00", "status": "ok",
    "finish_reason": "stop", "attempts": 1, "seconds": 2.5, "first_token_seconds": 0.5,
    "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3, "source": "api"},
    "cached": False, "request_sha256": "ab", "error": None,
}  # fmt: skip


def save(path, *records):
    """Save a notebook with a cell for each record, and return its path."""
    cells = [
        new_code_cell(
            "", outputs=[new_output("display_data", {TURN_MIME_TYPE: each, "text/plain": ""})]
        )
        for each in records
    ]
    nbformat.write(new_notebook(cells=cells), path)
    return path


def as_saved(frame, path):
    """Return the ledger's frame as a file would give it: only recorded turns, and its own path."""
    made = frame[frame["number"].notna()].reset_index(drop=True)
    for name in made.columns[made.dtypes == "category"]:
        made[name] = made[name].cat.remove_unused_categories()
    made["notebook"] = pd.Categorical([str(path)] * len(made))
    return made


def credentials_by_dialect(box):
    """Yield each dialect with the token and the agent for it."""
    yield "openai", {"token": box.token, "agent": "echo"}
    yield "native", {"token": box.token, "agent": "echo"}
    yield "widget", {"token": box.client_token("echo"), "agent": "echo"}
    yield "chat", {"token": box.token, "agent": "mirror"}
    yield "agencii", {"token": box.agencii_token, "agent": box.integration_id("mirror")}


def test_the_frame_equals_the_ledgers_for_every_dialect_and_outcome(box, tmp_path):
    streams = []
    for dialect, credentials in credentials_by_dialect(box):
        with Swiftask(base_url=box.url, dialect=dialect, session="all", **credentials) as client:
            session = client.session()
            for options in ({}, {"cache": "on"}):
                streams.append(session.stream("hello", fresh=True, **options))
                list(streams[-1])
            box.fail(Fault(status=400), times=None)
            streams.append(session.stream("hello"))
            with pytest.raises(errors.ServiceError):
                list(streams[-1])
            box.clear_faults()
    with (
        Swiftask(base_url=box.url, token=box.token, dialect="openai", session="all") as client,
        client.session().stream("hello", "slow") as left_early,
    ):
        next(iter(left_early))
    streams.append(left_early)
    with client:
        live = client.usage()
    replies = [stream.reply for stream in streams]
    path = save(tmp_path / "all.ipynb", *map(record_of, replies))

    frame = usage_from_notebooks(path)

    pd.testing.assert_frame_equal(frame, as_saved(live, path))
    assert set(frame["dialect"]) == {name for name, _ in credentials_by_dialect(box)}
    assert set(frame["status"]) == {"ok", "error", "interrupted"}
    assert frame["cached"].sum() == 5


def test_imported_turns_in_the_transcript_of_a_panel_are_left_out(client, tmp_path):
    session = client.session()
    session.ask("hello")
    session.import_file(session.export(tmp_path / "said.json"))
    transcript = transcript_mimebundle(
        [ExchangeView.from_history(each) for each in session.history()]
    )
    path = save(tmp_path / "panel.ipynb", *transcript[TURN_MIME_TYPE])

    frame = usage_from_notebooks(path)

    assert len(transcript[TURN_MIME_TYPE]) == 2
    assert frame["turn"].tolist() == client.usage()["turn"].tolist()


def test_a_notebook_that_nbclient_ran_gives_the_frame_of_the_ledger(box, monkeypatch, tmp_path):
    monkeypatch.setenv("SWIFTASK_BASE_URL", box.url)
    monkeypatch.setenv("SWIFTASK_API_KEY", box.token)
    cells = [
        "%load_ext swiftask_jupyter",
        "%%swiftask echo\nhello",
        "%%swiftask nobody-of-that-name\nhello",
        "%%swiftask echo ans <<\nhello",
        "%%swiftask\nfor nobody",
    ]
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=60, allow_errors=True).execute()
    path = tmp_path / "run.ipynb"
    nbformat.write(notebook, path)

    frame = usage_from_notebooks(path)

    with Swiftask() as client:
        pd.testing.assert_frame_equal(frame, as_saved(client.usage(), path))
    assert frame["status"].tolist() == ["ok", "error", "ok"]
    assert "did you mean" in frame["error"][1] or "nobody" in frame["error"][1]


@pytest.mark.soak
@pytest.mark.skipif(find_spec("papermill") is None, reason="papermill is not installed here")
def test_a_notebook_that_papermill_ran_gives_the_frame_of_the_ledger(box, monkeypatch, tmp_path):
    monkeypatch.setenv("SWIFTASK_BASE_URL", box.url)
    monkeypatch.setenv("SWIFTASK_API_KEY", box.token)
    cells = ["%load_ext swiftask_jupyter", "%%swiftask echo\nhello", "%%swiftask nobody\nhello"]
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    given, path = tmp_path / "given.ipynb", tmp_path / "run.ipynb"
    nbformat.write(notebook, given)
    command = [sys.executable, "-m", "papermill", str(given), str(path), "--no-progress-bar"]

    ran = subprocess.run(command, capture_output=True, text=True, check=False)

    assert ran.returncode == 1  # papermill stops at the failed prompt, and saves what it has
    frame = usage_from_notebooks(path)
    with Swiftask() as client:
        pd.testing.assert_frame_equal(frame, as_saved(client.usage(), path))
    assert frame["status"].tolist() == ["ok", "error"]


def test_the_frame_has_its_accessor_in_a_process_that_imports_nothing_else(tmp_path):
    path = save(tmp_path / "a.ipynb", GOOD)
    code = (
        "import sys; from swiftask_jupyter import usage_from_notebooks as read;"
        " print(read(sys.argv[1]).swiftask.totals('agent')['calls'].tolist())"
    )

    ran = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )

    assert (ran.stdout, ran.stderr) == ("[1]\n", "")


def test_a_pattern_finds_files_in_subfolders_and_a_copied_turn_is_one_row(tmp_path):
    (tmp_path / "deep" / ".ipynb_checkpoints").mkdir(parents=True)
    save(tmp_path / "a.ipynb", GOOD)
    save(tmp_path / "deep" / "b.ipynb", GOOD, {**GOOD, "turn": "t2"})
    save(tmp_path / "deep" / ".ipynb_checkpoints" / "c.ipynb", {**GOOD, "turn": "t3"})

    frame = usage_from_notebooks(str(tmp_path / "**" / "*.ipynb"))

    assert frame["turn"].tolist() == ["t1", "t2"]
    assert frame["notebook"].tolist() == [
        str(tmp_path / "a.ipynb"), str(tmp_path / "deep" / "b.ipynb"),
    ]  # fmt: skip


def test_a_tilde_is_the_home_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    save(tmp_path / "a.ipynb", GOOD)

    assert len(usage_from_notebooks("~/a.ipynb")) == 1


def test_an_output_may_hold_several_records(tmp_path):
    path = save(tmp_path / "a.ipynb", [GOOD, {**GOOD, "turn": "t2", "agent": "b"}])

    assert usage_from_notebooks(path)["agent"].tolist() == ["a", "b"]


def test_fields_that_an_older_record_lacks_are_missing(tmp_path):
    old = {key: value for key, value in GOOD.items() if key not in {"attempts", "number", "cached"}}

    (row,) = usage_from_notebooks(save(tmp_path / "a.ipynb", old)).to_dict("records")

    assert pd.isna(row["attempts"])
    assert row["total_tokens"] == 3


def test_a_pattern_without_a_file_is_an_error_of_one_line(tmp_path):
    with pytest.raises(errors.ConfigurationError, match=r"no file fits '.*none\*\.ipynb'; write"):
        usage_from_notebooks(str(tmp_path / "none*.ipynb"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"turn": None}, "names no turn"),
        ({"turn": 5}, "turn 5 is invalid"),
        ({"status": "hacked"}, "status 'hacked' is unknown"),
        ({"status": ["ok"]}, "status of another type is unknown"),
        ({"at": "yesterday"}, "at 'yesterday' is no time"),
        ({"at": "2026-01-31T09:00:00"}, "is no time"),
        ({"at": "9999-12-31T23:59:59-23:59"}, "is no time"),
        ({"at": 1.0}, "at 1.0 is no time"),
        ({"seconds": "long"}, "seconds 'long' is invalid"),
        ({"seconds": -5.0}, "seconds -5.0 is invalid"),
        ({"seconds": math.inf}, "seconds inf is invalid"),
        ({"seconds": 10**400}, "is invalid"),
        ({"attempts": True}, "attempts True is invalid"),
        ({"attempts": -1}, "attempts -1 is invalid"),
        ({"agent": "x" * 5_000}, "agent 'xxx"),
        ({"cached": 1}, "cached 1 is invalid"),
        ({"usage": []}, "usage is no object"),
        ({"usage": {"source": "guessed"}}, "usage_source 'guessed' is unknown"),
        ({"usage": {"source": "api", "input_tokens": 2**53 + 1}}, "input_tokens"),
        ({"usage": {"source": "api", "credits": -0.5}}, "credits -0.5 is invalid"),
        ({"usage": {"source": "api", "credits": math.nan}}, "credits nan is invalid"),
    ],
)
def test_an_implausible_record_is_left_out_with_one_warning(tmp_path, change, reason):
    path = save(tmp_path / "a.ipynb", {**GOOD, **change}, {**GOOD, "turn": "t2"}, "no record")

    with pytest.warns(NotebookWarning, match=r"a\.ipynb: .* left out: ") as warned:
        frame = usage_from_notebooks(path)

    assert frame["turn"].tolist() == ["t2"]
    (warning,) = warned
    assert reason in str(warning.message)
    assert str(warning.message).endswith("(and 1 more)")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is not JSON"),
        (b"{", "it is not JSON"),
        (b"\xff\xfe", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"[]", "it is no notebook"),
        (b'{"cells": 5}', "it is no notebook"),
    ],
)
def test_a_broken_file_is_left_out_with_one_warning(tmp_path, content, reason):
    (tmp_path / "a.ipynb").write_bytes(content)
    save(tmp_path / "b.ipynb", GOOD)

    with pytest.warns(NotebookWarning, match=rf"a\.ipynb: it can't be read: {reason}") as warned:
        frame = usage_from_notebooks(str(tmp_path / "*.ipynb"))

    assert frame["turn"].tolist() == ["t1"]
    assert len(warned) == 1


def test_malformed_cells_and_outputs_are_ignored(tmp_path):
    odd = [
        5,
        None,
        {},
        {"outputs": 5},
        {"outputs": [5, {"data": 5}, {"data": {TURN_MIME_TYPE: GOOD}}]},
    ]
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps({"cells": odd}))

    assert len(usage_from_notebooks(path)) == 1


def test_a_file_with_nan_lone_surrogates_or_huge_numbers_is_read(tmp_path):
    """Python and editors write them, although they are not valid JSON."""
    odd = {"text/plain": "\ud83d", "application/json": [math.nan, "huge"], TURN_MIME_TYPE: GOOD}
    cells = [{"id": "c1", "outputs": [{"data": odd}]}]
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps({"cells": cells}).replace('"huge"', "1e999"))

    assert len(usage_from_notebooks(path)) == 1
    assert read_cells(path).cells == ("c1",)


def test_a_file_with_brackets_in_its_name_is_found_by_its_name(tmp_path):
    path = save(tmp_path / "r[1].ipynb", GOOD)

    assert usage_from_notebooks(path)["notebook"].tolist() == [str(path)]


def test_a_turn_with_two_different_records_is_one_row_with_a_warning(tmp_path):
    save(tmp_path / "a.ipynb", GOOD)
    save(tmp_path / "b.ipynb", {**GOOD, "agent": "forged"})

    with pytest.warns(
        NotebookWarning, match=r"b\.ipynb: turn t1 is recorded before with other values"
    ):
        frame = usage_from_notebooks(str(tmp_path / "*.ipynb"))

    assert frame["agent"].tolist() == ["a"]


def test_control_characters_reach_neither_the_frame_nor_a_warning(tmp_path):
    path = save(tmp_path / "a.ipynb", {**GOOD, "agent": "a\x1b[2J", "turn": "t"}, {"turn": "\x1b"})

    with pytest.warns(NotebookWarning) as warned:
        frame = usage_from_notebooks(path)

    assert "\x1b" not in frame.to_csv()
    assert "\x1b" not in str(warned[0].message)


def test_a_file_that_is_too_large_is_left_out_with_one_warning(tmp_path, monkeypatch):
    path = save(tmp_path / "a.ipynb", GOOD)
    monkeypatch.setattr("swiftask_jupyter.conversation.notebook_file.LARGEST", 10)

    with pytest.warns(NotebookWarning, match="larger than"):
        assert usage_from_notebooks(path).empty


def test_a_warning_points_at_the_line_of_the_caller(tmp_path):
    (tmp_path / "a.ipynb").write_text("nothing")

    with pytest.warns(NotebookWarning, match="it is not JSON") as caught:
        usage_from_notebooks(tmp_path / "a.ipynb")

    assert [each.filename for each in caught] == [__file__]


@pytest.mark.parametrize("pattern", ["**", "**/*", "*.*"])
def test_a_pattern_without_a_suffix_finds_only_notebooks(tmp_path, pattern):
    save(tmp_path / "a.ipynb", GOOD)
    (tmp_path / "notes.txt").write_text("nothing")

    assert len(usage_from_notebooks(tmp_path / pattern)) == 1
