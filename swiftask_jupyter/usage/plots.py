"""Plots of a usage frame: credits, tokens, latency and outcomes, as a matplotlib figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.support.wording import quantity
from swiftask_jupyter.usage.totals import LeftOut

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The colours of background, text and lines. Without a theme the figure is transparent, and its
# greys are readable on white and on black. The two greys differ a little: if all labels of a
# transparent figure are equally dark or light, a notebook puts a background behind it.
THEMES: dict[str | None, tuple[str, str, str]] = {
    None: ("none", "#7d7d7d", "#858585"),
    "light": ("#ffffff", "#333333", "#333333"),
    "dark": ("#111111", "#dddddd", "#dddddd"),
}
# The colours of Okabe and Ito (https://jfly.uni-koeln.de/color/), which colour-blind people can
# distinguish, without those that are hard to see on white or on black.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9")
OTHERS_COLOUR = "#999999"
STATUS_COLOURS = {
    "ok": "#009e73", "error": "#d55e00", "interrupted": "#e69f00", "lost": "#cc79a7",
    "running": "#56b4e9", "refused": OTHERS_COLOUR, "cached": "#0072b2",
}  # fmt: skip
MIN_BARS = 8  # the minimum width of a chart, in bars: fewer bars would be too wide
MAX_AGENTS = len(COLOURS)


def plot(
    frame: pd.DataFrame,
    theme: Literal["light", "dark"] | None = None,
    left_out: LeftOut | None = None,
) -> Figure:
    """Return a figure with four charts.

    The charts show credits over time, tokens over time, the latency of each agent, and outcomes
    over time.

    Args:
        frame: a usage frame.
        theme: the color of the background; `None` for a transparent figure, which can be read on
            light and dark pages.
        left_out: how much of the sandbox is missing in the frame. The figure shows these numbers.

    Raises:
        ConfigurationError: matplotlib is not installed, or the theme does not exist.
    """
    if theme not in THEMES:
        raise ConfigurationError(f"no theme {theme!r}", advice="light or dark")
    try:
        import matplotlib as mpl
        from matplotlib import pyplot as plt
    except ImportError:
        raise ConfigurationError(
            "plots need matplotlib", advice="pip install 'swiftask-jupyter[plot]'"
        ) from None
    background, text, line = THEMES[theme]
    style: dict[Any, Any] = {
        "figure.facecolor": background, "axes.facecolor": "none", "savefig.facecolor": background,
        "text.color": text, "axes.labelcolor": text, "axes.titlecolor": text,
        "axes.edgecolor": line, "xtick.color": text, "ytick.color": line,
        "axes.spines.top": False, "axes.spines.right": False, "font.size": 9,
        "axes.titlesize": 10, "axes.titlelocation": "left", "legend.frameon": False,
        "axes.grid": False, "axes.autolimit_mode": "data",
    }  # fmt: skip
    with mpl.rc_context(style):
        figure, axes = plt.subplots(2, 2, figsize=(10, 6), layout="constrained")
        _draw(axes.ravel(), frame)
        remarks = ["no calls yet"] if frame.empty else []
        remarks += [left_out.line()] if left_out and left_out.turns else []
        if remarks:
            figure.suptitle("; ".join(remarks))
        plt.close(figure)  # otherwise a notebook shows it twice: here and as the cell's value
    return figure


def _draw(axes: Any, frame: pd.DataFrame) -> None:
    import pandas as pd

    spending, tokens, latency, outcomes = axes
    colours = _colours(frame)
    agents = frame["agent"].astype("object").where(frame["agent"].isin(list(colours)), "others")
    periods = frame["at"].dt.floor(_period(frame))
    cached = frame["cached"].fillna(value=False)
    calls = frame[(frame["status"] != "refused") & ~cached]  # only these can report a cost
    _stack_bars(spending, frame["credits"], periods, agents, colours)
    _set_total_title(spending, "credits as reported", calls["credits"])
    _stack_bars(tokens, frame["total_tokens"], periods, agents, colours)
    _set_total_title(tokens, "tokens", calls["total_tokens"])
    _draw_latency(latency, frame, agents, colours)
    status = frame["status"].astype("object").mask(cached, "cached")
    one_each = pd.Series(1, index=frame.index, dtype="Int64")
    _stack_bars(outcomes, one_each, periods, status, STATUS_COLOURS)
    outcomes.set_title(f"{quantity(len(frame), 'turn')} by how they ended")
    _add_legend(tokens, colours, agents)
    _add_legend(outcomes, STATUS_COLOURS, status)


def _colours(frame: pd.DataFrame) -> dict[str, str]:
    """Return a dict that maps the agents with the most turns, and `others`, to colours.

    The agents are in alphabetical order.
    """
    counts = frame["agent"].value_counts()
    busiest = sorted(name for name in counts.index[:MAX_AGENTS] if counts[name])
    return dict(zip(busiest, COLOURS, strict=False)) | {"others": OTHERS_COLOUR}


def _period(frame: pd.DataFrame) -> str:
    """Return the time span of one bar, as a pandas frequency such as `10min`.

    A chart of up to 60 days has at most about 60 bars. In a longer chart, a bar spans a week.
    """
    if frame.empty:
        return "1h"
    hours = (frame["at"].max() - frame["at"].min()).total_seconds() / 3_600
    periods = {1: "1min", 8: "10min", 60: "1h", 24 * 60: "1D"}
    return next((period for limit, period in periods.items() if hours <= limit), "7D")


def _stack_bars(
    axes: Axes,
    values: pd.Series[Any],
    periods: pd.Series[Any],
    kinds: pd.Series[Any],
    colours: dict[str, str],
) -> None:
    """Draw a stacked bar for each period, with one segment for each kind of turn.

    The height of a segment is the sum of the values of all turns of this kind in the period.

    Args:
        axes: the chart.
        values: the value of each turn.
        periods: the start of the period of each turn.
        kinds: the kind of each turn, which is the agent or the status of the turn.
        colours: a dict that maps each kind to a colour.
    """
    import numpy as np
    import pandas as pd

    sums = values.groupby([periods, kinds]).sum(min_count=1).unstack()  # noqa: PD010 - a pivot of one column
    if sums.empty:
        return
    bottom = np.zeros(len(sums))
    period = sums.index.to_series().diff().min()
    width: Any = (period if pd.notna(period) else pd.Timedelta("1min")) * 0.85
    for kind in [kind for kind in colours if kind in sums]:
        heights = sums[kind].fillna(0).to_numpy(dtype="float64")
        axes.bar(
            sums.index.to_numpy(), heights, width, bottom, color=colours[kind], align="edge",
        )  # fmt: skip
        bottom = bottom + heights
    margin = max(0, MIN_BARS - len(sums)) / 2 * width
    if margin:
        axes.set_xlim(sums.index[0] - margin, sums.index[-1] + width + margin)
    _set_time_axis(axes)


def _set_time_axis(axes: Axes) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(maxticks=8)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def _set_total_title(axes: Axes, name: str, values: pd.Series[Any]) -> None:
    """Set the title of a chart: the sum of the values, and the number of missing values.

    If all values are missing, the title is `no` and the name of the values, such as `no credits`.
    """
    missing = int(values.isna().sum())
    if missing == len(values):
        axes.set_title(f"no {name}")
        return
    unknown = f"\n{missing:,} of {quantity(len(values), 'call')} reported none" if missing else ""
    total = float(values.sum())
    axes.set_title(f"{name}: {total:,.{0 if total >= 100 else 2}f}{unknown}")


def _draw_latency(
    axes: Axes, frame: pd.DataFrame, agents: pd.Series[Any], colours: dict[str, str]
) -> None:
    """Draw two bars for each agent: the seconds to the first text, and to the end of the answer.

    A bar shows the median. A line from the end of the bar shows the 90 % quantile.
    """
    answered = (frame["status"] == "ok") & ~frame["cached"].fillna(value=False)
    names = [name for name in colours if (answered & (agents == name)).any()][::-1]
    for row, name in enumerate(names):
        for column, offset, alpha in (("first_token_seconds", 0.18, 0.55), ("seconds", -0.18, 1)):
            values = frame.loc[answered & (agents == name), column].dropna().astype("float64")
            if values.empty:
                continue
            median, slow = values.quantile(0.5), values.quantile(0.9)
            axes.barh(row + offset, median, 0.32, color=colours[name], alpha=alpha)
            axes.plot([median, slow], [row + offset] * 2, color=colours[name], linewidth=1)
    axes.set_yticks(range(len(names)), names)
    axes.set_title(
        "seconds to the first text (pale) and to the end\nthe median; the line ends at 90 %"
    )


def _add_legend(axes: Axes, colours: dict[str, str], kinds: pd.Series[Any]) -> None:
    from matplotlib.patches import Patch

    present = [kind for kind in colours if (kinds == kind).any()]
    patches = [Patch(color=colours[kind], label=kind) for kind in present]
    axes.legend(handles=patches, loc="upper left", bbox_to_anchor=(1, 1), borderaxespad=0)
