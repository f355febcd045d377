"""Plots of a usage frame: bars, titles, legends, themes and sizes."""

import sys

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb

from swiftask_jupyter import errors
from swiftask_jupyter.answers.turn import Usage
from swiftask_jupyter.usage.plots import MAX_AGENTS, THEMES
from swiftask_jupyter.usage.query import usage
from tests.support.usage import DAY, NOON, add_turn

pytestmark = pytest.mark.parametrize("ledger", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def no_window():
    """Draw without a window, and check that every figure was closed."""
    mpl.use("agg")
    yield
    assert plt.get_fignums() == []


def charts(figure):
    """Return the four charts: credits, tokens, latency, outcomes."""
    return figure.axes


def heights(axes):
    return sum(patch.get_height() for patch in axes.patches)


def test_each_chart_shows_its_total_and_how_many_calls_reported_nothing(ledger):
    for day in range(3):
        add_turn(ledger, "a", at=NOON + day * DAY, usage=Usage(1, 2, 3, credits=1.5, source="api"))
        add_turn(ledger, "b", at=NOON + day * DAY, usage=Usage(4, 6, 10, source="api"))
    add_turn(ledger, "a", status="interrupted")
    add_turn(ledger, "a", status="refused")
    add_turn(ledger, "a", cached=True, usage=Usage(0, 0, 0, credits=0.0))

    spent, tokens, latency, ends = charts(usage(ledger.usage_queries).swiftask.plot())

    assert spent.get_title(loc="left") == "credits as reported: 4.50\n4 of 7 calls reported none"
    assert tokens.get_title(loc="left") == "tokens: 39.00\n1 of 7 calls reported none"
    assert (heights(spent), heights(tokens), heights(ends)) == (4.5, 39, 9)
    assert [text.get_text() for text in latency.get_yticklabels()] == ["b", "a"]
    assert [text.get_text() for text in ends.get_legend().get_texts()] == [
        "ok", "interrupted", "refused", "cached",
    ]  # fmt: skip
    assert [text.get_text() for text in tokens.get_legend().get_texts()] == ["a", "b"]


def test_latency_is_the_median_of_successful_answers(ledger):
    for seconds in (1.0, 2.0, 30.0):
        add_turn(ledger, seconds=seconds)
    add_turn(ledger, seconds=500.0, status="error")

    *_, latency, _ = charts(usage(ledger.usage_queries).swiftask.plot())

    assert sorted(patch.get_width() for patch in latency.patches) == [0.5, 2.0]


def test_of_many_agents_the_busiest_have_colours_and_the_others_share_one(ledger):
    for number in range(MAX_AGENTS + 3):
        for _ in range(1 + number % 2):
            add_turn(ledger, f"agent-{number}", usage=Usage(1, 1, 2, source="api"))

    _, tokens, *_ = charts(usage(ledger.usage_queries).swiftask.plot())

    names = [text.get_text() for text in tokens.get_legend().get_texts()]
    assert len(names) == MAX_AGENTS + 1
    assert names[-1] == "others"
    assert heights(tokens) == usage(ledger.usage_queries)["total_tokens"].sum()


@pytest.mark.parametrize("span", [0, 50, 5_000, 80_000, 40 * DAY, 900 * DAY])
def test_a_time_span_of_any_length_has_a_readable_number_of_bars(ledger, span):
    for step in range(11):
        add_turn(ledger, at=NOON + step * span / 10, usage=Usage(1, 1, 2, source="api"))

    _, tokens, *_ = charts(usage(ledger.usage_queries).swiftask.plot())

    assert 1 <= len(tokens.patches) <= 150
    assert heights(tokens) == 22


def test_a_frame_of_no_calls_or_one_call_can_be_drawn(ledger):
    assert usage(ledger.usage_queries).swiftask.plot().get_suptitle() == "no calls yet"
    add_turn(ledger)
    spent, *_ = charts(usage(ledger.usage_queries).swiftask.plot())

    assert spent.get_title(loc="left") == "no credits as reported"


def luminance(colour):
    parts = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_text_has_enough_contrast_on_white_and_on_black(ledger):
    for ground in ("#ffffff", "#111111"):
        assert min(contrast(text, ground) for text in THEMES[None][1:]) > 3.5
    for ground, text, line in (THEMES["light"], THEMES["dark"]):
        assert min(contrast(text, ground), contrast(line, ground)) > 7


def test_a_notebook_puts_no_background_behind_the_transparent_figure(ledger):
    from matplotlib_inline.backend_inline import _fetch_figure_metadata

    add_turn(ledger)

    assert _fetch_figure_metadata(usage(ledger.usage_queries).swiftask.plot()) is None


def test_the_matplotlib_style_of_the_user_does_not_change(ledger):
    before = dict(mpl.rcParams)

    usage(ledger.usage_queries).swiftask.plot("dark")

    assert dict(mpl.rcParams) == before


def test_an_unknown_theme_is_an_error_of_one_line(ledger):
    with pytest.raises(errors.ConfigurationError, match="no theme 'sepia'; light or dark"):
        usage(ledger.usage_queries).swiftask.plot("sepia")


def test_without_matplotlib_the_error_says_what_to_install(ledger, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    with pytest.raises(errors.ConfigurationError, match=r"pip install 'swiftask-jupyter\[plot\]'"):
        usage(ledger.usage_queries).swiftask.plot()


def test_a_part_of_a_frame_can_be_drawn(ledger):
    for agent in "aab":
        add_turn(ledger, agent)
    frame = usage(ledger.usage_queries)

    *_, ends = charts(pd.DataFrame(frame[frame["agent"] == "a"]).swiftask.plot())

    assert ends.get_title(loc="left") == "2 turns by how they ended"
