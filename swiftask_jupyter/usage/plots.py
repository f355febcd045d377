"""Pictures of a usage frame: what was spent, how fast it was, how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.support.wording import quantity

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Background, text and lines. Without a theme the figure is transparent, and its greys are read on
# white and on black alike; the two differ a little, because a notebook that finds all of a
# transparent figure's labels dark (or light) puts a white (or black) card behind it.
THEMES: dict[str | None, tuple[str, str, str]] = {
    None: ("none", "#7d7d7d", "#858585"),
    "light": ("#ffffff", "#333333", "#333333"),
    "dark": ("#111111", "#dddddd", "#dddddd"),
}
# Okabe and Ito's colours, which colour-blind people tell apart; those that show on both grounds.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9")
OTHERS = "#999999"
ENDS = {
    "ok": "#009e73", "error": "#d55e00", "interrupted": "#e69f00", "lost": "#cc79a7",
    "running": "#56b4e9", "refused": OTHERS, "cached": "#0072b2",
}  # fmt: skip
FEWEST_STEPS = 8
MOST_AGENTS = len(COLOURS)


def plot(frame: pd.DataFrame, theme: Literal["light", "dark"] | None = None) -> Figure:
    """Draw credits and tokens over time by agent, latency by agent, and outcomes over time.

    Raises:
        ConfigurationError: matplotlib is not installed, or there is no such theme.
    """
    if theme not in THEMES:
        raise ConfigurationError(f"no theme {theme!r}", advice="light or dark")
    try:
        import matplotlib as mpl
        from matplotlib import pyplot as plt
    except ImportError:
        raise ConfigurationError(
            "pictures need matplotlib", advice="pip install 'swiftask-jupyter[plot]'"
        ) from None
    ground, text, line = THEMES[theme]
    style: dict[Any, Any] = {
        "figure.facecolor": ground, "axes.facecolor": "none", "savefig.facecolor": ground,
        "text.color": text, "axes.labelcolor": text, "axes.titlecolor": text,
        "axes.edgecolor": line, "xtick.color": text, "ytick.color": line,
        "axes.spines.top": False, "axes.spines.right": False, "font.size": 9,
        "axes.titlesize": 10, "axes.titlelocation": "left", "legend.frameon": False,
        "axes.grid": False, "axes.autolimit_mode": "data",
    }  # fmt: skip
    with mpl.rc_context(style):
        figure, places = plt.subplots(2, 2, figsize=(10, 6), layout="constrained")
        _draw(figure, places.ravel(), frame)
        plt.close(figure)  # it is the caller's: shown once, as a cell's last line or by hand
    return figure


def _draw(figure: Figure, places: Any, frame: pd.DataFrame) -> None:
    spent, tokens, latency, ends = places
    if frame.empty:
        figure.suptitle("no calls yet")
    colours = _colours(frame)
    agents = frame["agent"].astype("object").where(frame["agent"].isin(list(colours)), "others")
    steps = frame["at"].dt.floor(_step(frame))
    cached = frame["cached"].fillna(value=False)
    calls = frame[(frame["status"] != "refused") & ~cached]  # only these have a cost to report
    _stacked(spent, frame["credits"], steps, agents, colours)
    _titled(spent, "credits as reported", calls["credits"])
    _stacked(tokens, frame["total_tokens"], steps, agents, colours)
    _titled(tokens, "tokens", calls["total_tokens"])
    _latency(latency, frame, agents, colours)
    how = frame["status"].astype("object").mask(cached, "cached")
    _stacked(ends, frame["seconds"].notna().astype("Int64") * 0 + 1, steps, how, ENDS)
    ends.set_title(f"{quantity(len(frame), 'turn')} by how they ended")
    _legend(tokens, colours, agents)
    _legend(ends, ENDS, how)


def _colours(frame: pd.DataFrame) -> dict[str, str]:
    """Return a colour for each of the busiest agents, in the order of the alphabet."""
    counts = frame["agent"].value_counts()
    busiest = sorted(name for name in counts.index[:MOST_AGENTS] if counts[name])
    return dict(zip(busiest, COLOURS, strict=False)) | {"others": OTHERS}


def _step(frame: pd.DataFrame) -> str:
    """Return how long a bar's time is, so that there are some tens of bars."""
    if frame.empty:
        return "1h"
    hours = (frame["at"].max() - frame["at"].min()).total_seconds() / 3_600
    steps = {1: "1min", 8: "10min", 60: "1h", 24 * 60: "1D"}
    return next((step for most, step in steps.items() if hours <= most), "7D")


def _stacked(
    axes: Axes,
    values: pd.Series[Any],
    steps: pd.Series[Any],
    kinds: pd.Series[Any],
    colours: dict[str, str],
) -> None:
    """Draw a bar for each step of time, a part of it for each kind."""
    import numpy as np
    import pandas as pd

    sums = values.groupby([steps, kinds]).sum(min_count=1).unstack()  # noqa: PD010 - a pivot of one column
    if sums.empty:
        return
    floor = np.zeros(len(sums))
    step = sums.index.to_series().diff().min()
    width: Any = (step if pd.notna(step) else pd.Timedelta("1min")) * 0.85
    for kind in [kind for kind in colours if kind in sums]:
        heights = sums[kind].fillna(0).to_numpy(dtype="float64")
        axes.bar(
            sums.index.to_numpy(), heights, width, floor, color=colours[kind], align="edge",
        )  # fmt: skip
        floor = floor + heights
    spare = max(0, FEWEST_STEPS - len(sums)) / 2 * width  # one bar alone is no wall
    if spare:
        axes.set_xlim(sums.index[0] - spare, sums.index[-1] + width + spare)
    _times(axes)


def _times(axes: Axes) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(maxticks=8)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def _titled(axes: Axes, what: str, values: pd.Series[Any]) -> None:
    """Say how much it is in all, and of how many calls nothing is known."""
    missing = int(values.isna().sum())
    if missing == len(values):
        axes.set_title(f"no {what}")
        return
    unknown = f"\n{missing:,} of {quantity(len(values), 'call')} reported none" if missing else ""
    total = float(values.sum())
    axes.set_title(f"{what}: {total:,.{0 if total >= 100 else 2}f}{unknown}")


def _latency(
    axes: Axes, frame: pd.DataFrame, agents: pd.Series[Any], colours: dict[str, str]
) -> None:
    """Draw the middle of the time to the first text and to the end, with the 90 % quantile."""
    done = (frame["status"] == "ok") & ~frame["cached"].fillna(value=False)
    names = [name for name in colours if (done & (agents == name)).any()][::-1]
    for place, name in enumerate(names):
        for column, offset, alpha in (("first_token_seconds", 0.18, 0.55), ("seconds", -0.18, 1)):
            values = frame.loc[done & (agents == name), column].dropna().astype("float64")
            if values.empty:
                continue
            middle, most = values.quantile(0.5), values.quantile(0.9)
            axes.barh(place + offset, middle, 0.32, color=colours[name], alpha=alpha)
            axes.plot([middle, most], [place + offset] * 2, color=colours[name], linewidth=1)
    axes.set_yticks(range(len(names)), names)
    axes.set_title(
        "seconds to the first text (pale) and to the end\nthe median; the line ends at 90 %"
    )


def _legend(axes: Axes, colours: dict[str, str], kinds: pd.Series[Any]) -> None:
    from matplotlib.patches import Patch

    there = [kind for kind in colours if (kinds == kind).any()]
    patches = [Patch(color=colours[kind], label=kind) for kind in there]
    axes.legend(handles=patches, loc="upper left", bbox_to_anchor=(1, 1), borderaxespad=0)
