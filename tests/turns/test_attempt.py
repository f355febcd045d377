"""A cell, the panel and a batch row run the same attempt, and leave equal rows in the ledger."""

import contextlib
import json
import sqlite3

import pandas as pd
import pytest

from swiftask_jupyter import ChatPanel, Swiftask, errors
from swiftask_jupyter.sandbox.faults import Fault
from tests.support.frontends import until
from tests.support.notebooks import ask_from

# What a row says of the request and its answer, and not of who asked, when, or in which session.
SAME = (
    "agent", "dialect", "status", "finish_reason", "attempts", "input_tokens", "output_tokens",
    "total_tokens", "reported_total", "credits", "usage_source", "cached", "key", "said",
    "prompt", "answer", "error", "raw",
)  # fmt: skip
DIALECTS = {
    "openai": lambda box: (box.token, "echo"),
    "native": lambda box: (box.token, "echo"),
    "widget": lambda box: (box.client_token("echo"), "echo"),
    "chat": lambda box: (box.token, "echo"),
    "agencii": lambda box: (box.agencii_token, box.integration_id("echo")),
}
FAULTS = {
    "answered": None,
    "bad request": Fault(status=400),
    "forbidden": Fault(status=403),
    "too many requests": Fault(status=429, headers={"Retry-After": "7"}),
    "internal error": Fault(status=500),
    "not JSON": Fault(body="<h1>Bad gateway</h1>", content_type="text/html"),
    "empty answer": Fault(empty=True),
    "an error object with status 200": Fault(error_object=True),
    "cut at the start": Fault(cut_after=0),
    "cut in the middle": Fault(cut_after=1),
    "an error inside the stream": Fault(error_after=1),
}


@pytest.fixture(autouse=True)
def one_request(monkeypatch):
    """Surfaces differ in how often they retry; here none does."""
    monkeypatch.setattr("swiftask_jupyter.turns.retry.MAX_TRIES", 1)


def by_cell(client):
    ask_from(client.session("cells"), "hello there")


def by_panel(client):
    panel = ChatPanel(client, session="panel", transcript=False)
    try:
        view = panel.ask("hello there")
        until(lambda: not view.running)
    finally:
        panel.close()


def by_row(client):
    client.map(pd.DataFrame({"n": [1]}), "hello there", tries=1, progress=False)


def row_of(client, box, fault, ask):
    """Ask once, and return what the newest row of the ledger says."""
    box.clear_faults()
    if fault is not None:
        box.fail(fault)
    with contextlib.suppress(errors.SwiftaskError):
        ask(client)
    with sqlite3.connect(client.store) as ledger:
        ledger.row_factory = sqlite3.Row
        [row] = ledger.execute(
            "SELECT * FROM turns JOIN texts USING (turn) ORDER BY at DESC, turn DESC LIMIT 1"
        ).fetchall()
    values = {name: row[name] for name in SAME}
    values["raw"] = sorted(json.loads(values["raw"] or "{}"))  # ids differ, names do not
    return values


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_cell_panel_and_batch_row_leave_equal_rows(box, dialect, fault):
    token, agent = DIALECTS[dialect](box)
    with Swiftask(base_url=box.url, token=token, agent=agent, dialect=dialect) as client:
        cell, panel, row = (row_of(client, box, fault, ask) for ask in (by_cell, by_panel, by_row))

    assert cell["status"] == ("error" if cell["error"] else "ok")
    assert panel == cell
    if row["key"] is None:  # every row would fail so, and the next run is to send it again
        assert cell["status"] == "error"
        row["key"] = cell["key"]
    assert row == cell
