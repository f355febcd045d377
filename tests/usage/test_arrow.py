"""Reading a large ledger through Arrow: the same frame, also if Arrow fails."""

import pandas as pd
import pytest

from swiftask_jupyter.ledger import arrow as ledger_arrow
from swiftask_jupyter.usage import arrow
from swiftask_jupyter.usage.query import usage
from tests.support.usage import NOON, add_varied_turns

pytestmark = pytest.mark.parametrize("ledger", ["sqlite"], indirect=True)


def test_arrow_gives_the_same_frame(ledger, monkeypatch):
    add_varied_turns(ledger)
    plain = usage(ledger.usage_queries, text=True)
    read = []
    stream = ledger_arrow.stream
    monkeypatch.setattr(ledger_arrow, "stream", lambda *asked: read.append(asked) or stream(*asked))
    monkeypatch.setattr(arrow, "MIN_ROWS", 10)

    through = usage(ledger.usage_queries, text=True)
    some = usage(ledger.usage_queries, text=True, agent="a", since=NOON)

    pd.testing.assert_frame_equal(plain, through)
    assert some["turn"].tolist() == plain["turn"][plain["agent"] == "a"].tolist()
    assert len(read) == 2


def test_the_frame_is_read_without_arrow_if_arrow_fails(ledger, monkeypatch, tmp_path):
    add_varied_turns(ledger)
    plain = usage(ledger.usage_queries)
    broken = tmp_path / "child.py"
    broken.write_text("raise SystemExit(3)")
    monkeypatch.setattr(ledger_arrow, "CHILD", broken)
    monkeypatch.setattr(arrow, "MIN_ROWS", 10)

    pd.testing.assert_frame_equal(plain, usage(ledger.usage_queries))
