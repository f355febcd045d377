"""The pictures of a usage frame, read by what stands in them."""

import sys

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb

from swiftask_jupyter import errors
from swiftask_jupyter.answers.reply import Delta, Reply, Usage
from swiftask_jupyter.ledger.turns import Place, new_id
from swiftask_jupyter.usage.plots import MOST_AGENTS, THEMES
from swiftask_jupyter.usage.query import usage

pytestmark = pytest.mark.parametrize("ledger", ["sqlite"], indirect=True)
NOON = 1_767_268_800.0  # 2026-01-01, 12:00 UTC


@pytest.fixture(autouse=True)
def drawn_nowhere():
    """No window, and none left over."""
    mpl.use("agg")
    yield
    assert plt.get_fignums() == []


def add(ledger, agent="a", *, at=NOON, status="ok", spent=None, seconds=2.0, cached=False):
    reply = Reply(agent, turn=new_id(), session="s", at=at)
    ledger.turns.begin(reply, Place(None, "s"), "hello")
    reply.status, reply.seconds, reply.first_token_seconds = status, seconds, seconds / 4
    reply.usage, reply.cached = spent or Usage(), cached
    reply.apply([Delta("hi")])
    ledger.turns.complete(reply)


def parts(figure):
    """The four pictures: credits, tokens, latency, outcomes."""
    return figure.axes


def heights(axes):
    return sum(patch.get_height() for patch in axes.patches)


def test_each_picture_shows_all_that_was_reported_and_says_what_was_not(ledger):
    for day in range(3):
        add(ledger, "a", at=NOON + day * 86_400, spent=Usage(1, 2, 3, credits=1.5, source="api"))
        add(ledger, "b", at=NOON + day * 86_400, spent=Usage(4, 6, 10, source="api"))
    add(ledger, "a", status="interrupted")
    add(ledger, "a", status="refused")
    add(ledger, "a", cached=True, spent=Usage(0, 0, 0, credits=0.0))

    spent, tokens, latency, ends = parts(usage(ledger.accounts).swiftask.plot())

    assert spent.get_title(loc="left") == "credits as reported: 4.50\n4 of 7 calls reported none"
    assert tokens.get_title(loc="left") == "tokens: 39.00\n1 of 7 calls reported none"
    assert (heights(spent), heights(tokens), heights(ends)) == (4.5, 39, 9)
    assert [text.get_text() for text in latency.get_yticklabels()] == ["b", "a"]
    assert [text.get_text() for text in ends.get_legend().get_texts()] == [
        "ok", "interrupted", "refused", "cached",
    ]  # fmt: skip
    assert [text.get_text() for text in tokens.get_legend().get_texts()] == ["a", "b"]


def test_latency_is_the_median_of_answers_that_came(ledger):
    for seconds in (1.0, 2.0, 30.0):
        add(ledger, seconds=seconds)
    add(ledger, seconds=500.0, status="error")

    *_, latency, _ = parts(usage(ledger.accounts).swiftask.plot())

    assert sorted(patch.get_width() for patch in latency.patches) == [0.5, 2.0]


def test_many_agents_are_the_busiest_and_the_others(ledger):
    for number in range(MOST_AGENTS + 3):
        for _ in range(1 + number % 2):
            add(ledger, f"agent-{number}", spent=Usage(1, 1, 2, source="api"))

    _, tokens, *_ = parts(usage(ledger.accounts).swiftask.plot())

    names = [text.get_text() for text in tokens.get_legend().get_texts()]
    assert len(names) == MOST_AGENTS + 1
    assert names[-1] == "others"
    assert heights(tokens) == usage(ledger.accounts)["total_tokens"].sum()


@pytest.mark.parametrize("span", [0, 50, 5_000, 80_000, 40 * 86_400, 900 * 86_400])
def test_a_span_of_any_length_has_bars_one_can_count(ledger, span):
    for step in range(11):
        add(ledger, at=NOON + step * span / 10, spent=Usage(1, 1, 2, source="api"))

    _, tokens, *_ = parts(usage(ledger.accounts).swiftask.plot())

    assert 1 <= len(tokens.patches) <= 150
    assert heights(tokens) == 22


def test_no_calls_and_one_call_can_be_drawn(ledger):
    assert usage(ledger.accounts).swiftask.plot().get_suptitle() == "no calls yet"
    add(ledger)
    spent, *_ = parts(usage(ledger.accounts).swiftask.plot())

    assert spent.get_title(loc="left") == "no credits as reported"


def luminance(colour):
    parts = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_text_is_read_on_white_and_on_black(ledger):
    for ground in ("#ffffff", "#111111"):
        assert min(contrast(text, ground) for text in THEMES[None][1:]) > 3.5
    for ground, text, line in (THEMES["light"], THEMES["dark"]):
        assert min(contrast(text, ground), contrast(line, ground)) > 7


def test_a_notebook_puts_no_card_behind_the_picture_for_both_themes(ledger):
    from matplotlib_inline.backend_inline import _fetch_figure_metadata

    add(ledger)

    assert _fetch_figure_metadata(usage(ledger.accounts).swiftask.plot()) is None


def test_the_users_own_style_stays_as_it_was(ledger):
    before = dict(mpl.rcParams)

    usage(ledger.accounts).swiftask.plot("dark")

    assert dict(mpl.rcParams) == before


def test_a_theme_that_is_none_is_one_clear_line(ledger):
    with pytest.raises(errors.ConfigurationError, match="no theme 'sepia'; light or dark"):
        usage(ledger.accounts).swiftask.plot("sepia")


def test_without_matplotlib_one_line_says_what_to_install(ledger, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    with pytest.raises(errors.ConfigurationError, match=r"pip install 'swiftask-jupyter\[plot\]'"):
        usage(ledger.accounts).swiftask.plot()


def test_a_part_of_a_frame_is_drawn_too(ledger):
    for agent in "aab":
        add(ledger, agent)
    frame = usage(ledger.accounts)

    *_, ends = parts(pd.DataFrame(frame[frame["agent"] == "a"]).swiftask.plot())

    assert ends.get_title(loc="left") == "2 turns by how they ended"
