"""Charts as SVG text: lag over time, and metrics over parameters. Sized for a column of a paper."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median_low
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from qemunet.drawing.style import INK, PALE, PAPER

COLUMN_INCHES = 3.5
"""Width of a column of a two-column paper."""

SERIES_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b0559a", "#a87900", "#3a9ad9", "#5a5a5a", "#8c3b1b")
"""Colours that also who sees fewer of them tells apart (after Okabe and Ito, the pale ones darkened)."""
GRID = "#d5dbe3"
"""Colour of grids and of the lines that matter least."""
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_PATTERNS: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
_MOST_WORDS = 26
_MOST_BEYOND = 1.5  # shares of the span of the means that intervals may reach beyond them
_MOST_ABOVE_OTHERS = 3.0  # how far, over that of half of the intervals
_MOST_TICKS = 7  # values of a parameter that each get a tick

_SETTINGS: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "svg.fonttype": "none",  # words stay words, that can be searched and set in another font
    "svg.hashsalt": "qemunet",  # the same figures give the same file
    "axes.edgecolor": PALE,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": False,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": PALE,
    "ytick.color": PALE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "legend.title_fontsize": 7,
    "lines.linewidth": 1.4,
    "lines.markersize": 4,
}

Scale = Literal["linear", "log", "categories"]


@dataclass(frozen=True)
class Sample:
    """A metric at one point.

    Attributes:
        x: Value of the parameter; its text where the axis has categories.
        mean: The metric's mean.
        low, high: Its interval, None where there are too few runs for one.
    """

    x: float | str
    mean: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Series:
    """Points that belong together; ``joined`` by a line."""

    label: str
    samples: Sequence[Sample]
    joined: bool = True


@dataclass(frozen=True)
class MetricChart:
    """A metric over a parameter.

    Attributes:
        metric, parameter: Names of the axes.
        series: What is drawn; labels only where there is more than one.
        scale: Of the parameter's axis.
        log_metric: The metric's axis is logarithmic.
        legend: What the labels of the series are values of.
        facet: What all of the chart has in common, above it.
        categories: Order of the texts on an axis of categories.
    """

    metric: str
    parameter: str
    series: Sequence[Series]
    scale: Scale = "linear"
    log_metric: bool = False
    legend: str = ""
    facet: str = ""
    categories: Sequence[str] = field(default_factory=tuple)


def draw_metric(chart: MetricChart) -> str:
    """Return a metric over a parameter, with intervals, as SVG."""
    with mpl.rc_context(_SETTINGS):
        many = len(chart.series) > 1
        figure, axes = _figure(COLUMN_INCHES, 2.5)
        places = {text: float(index) for index, text in enumerate(chart.categories)}
        for index, series in enumerate(chart.series):
            # Intervals on one place would hide one another.
            aside = (index - (len(chart.series) - 1) / 2) * min(0.12, 0.6 / len(chart.series)) if places else 0.0
            xs = [places[str(each.x)] + aside if places else float(each.x) for each in series.samples]
            _draw_series(axes, index, series, xs, joined=series.joined and not places)
        if places:
            axes.set_xticks(list(places.values()), [_short(text) for text in places])
            axes.set_xlim(-0.5, len(places) - 0.5)
            if sum(len(_short(text)) + 2 for text in places) > 48:
                axes.tick_params(axis="x", labelrotation=35)
                for label in axes.get_xticklabels():
                    label.set(ha="right", rotation_mode="anchor")
        elif chart.scale == "log":
            axes.set_xscale("log")
            _plain_logs(axes, "x", [float(each.x) for series in chart.series for each in series.samples])
        else:
            _ticks_at_values(axes, [float(each.x) for series in chart.series for each in series.samples])
        if chart.log_metric:
            axes.set_yscale("log")
            _plain_logs(axes, "y", [each.mean for series in chart.series for each in series.samples])
        else:
            axes.ticklabel_format(axis="y", style="sci", scilimits=(-4, 6), useMathText=False)
            _bound(axes, [each for series in chart.series for each in series.samples])
        axes.set_xlabel(_short(chart.parameter, 48))
        axes.set_ylabel(_short(chart.metric, 32))
        if chart.facet:
            axes.text(
                1.0, 1.02, _short(chart.facet, 40), transform=axes.transAxes, ha="right", va="bottom", weight="bold"
            )
        if many:
            formatter = axes.yaxis.get_major_formatter()
            # Only then it knows of a common power of ten, which is written above the axis.
            formatter.set_locs(list(map(float, axes.get_yticks())))
            above = chart.facet or formatter.get_offset()
            columns = 2 if max(len(series.label) for series in chart.series) <= 16 else 1
            axes.legend(
                title=_short(chart.legend, 48),
                loc="lower left",
                bbox_to_anchor=(0.0, 1.1 if above else 1.02),
                ncols=min(columns + (len(chart.series) > 4 and columns == 2), len(chart.series)),
                borderaxespad=0.0,
                alignment="left",
                handlelength=2.4,
            )
        return _svg(figure)


def draw_lag(
    interval_s: float,
    p99_ms: Sequence[float | None],
    max_ms: Sequence[float | None],
    limits_ms: Mapping[str, float],
    worst: tuple[float, float] | None = None,
) -> str:
    """Return how late events ran in the course of simulation time as SVG.

    Args:
        interval_s: Length of the intervals.
        p99_ms: Of each from time 0, in ms; None where nothing was due.
        max_ms: Likewise.
        limits_ms: What they are held to: ``p99`` and ``max``.
        worst: Simulation time in s of the latest event, and how late it was in ms.
    """
    with mpl.rc_context(_SETTINGS):
        figure, axes = _figure(2 * COLUMN_INCHES, 2.3)
        edges = [index * interval_s for index in range(len(max_ms) + 1)]
        least = 1e-4  # of what is drawn on a logarithmic axis
        # Where few events were due both are the same: the wider line is seen below the other.
        for label, values, colour, width in (
            ("max", max_ms, SERIES_COLOURS[1], 2.6),
            ("p99", p99_ms, SERIES_COLOURS[0], 1.1),
        ):
            known = [float("nan") if value is None else max(value, least) for value in values]
            axes.stairs(known, edges, color=colour, linewidth=width, label=label, baseline=None)
            if label in limits_ms:
                axes.axhline(
                    limits_ms[label], color=colour, linewidth=0.9, linestyle=(0, (4, 3)), label=f"{label} limit"
                )
        axes.set_yscale("log")
        every = [value for value in [*p99_ms, *max_ms, *limits_ms.values()] if value is not None and value > 0]
        _plain_logs(axes, "y", every)
        axes.set_xlim(0, edges[-1] or 1)
        if worst is not None:
            at_s, latest_ms = worst
            right = at_s > edges[-1] / 2  # the words stay within the axes
            axes.annotate(
                f"{latest_ms:.3g} ms at {at_s:.3g} s",
                (at_s, max(latest_ms, least)),
                xytext=(-6 if right else 6, 3),
                textcoords="offset points",
                ha="right" if right else "left",
                va="bottom",
                fontsize="small",
            )
            axes.plot([at_s], [max(latest_ms, least)], marker="o", markersize=3.5, color=SERIES_COLOURS[1])
            low, high = axes.get_ylim()
            axes.set_ylim(low, max(high, 3 * latest_ms))
        axes.set_xlabel("simulation time (s)")
        axes.set_ylabel("lag (ms)")
        axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.02), ncols=4, borderaxespad=0.0)
        return _svg(figure)


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height))
    return figure, figure.add_axes((0.14, 0.2, 0.84, 0.7))


def _draw_series(axes: Axes, index: int, series: Series, xs: Sequence[float], *, joined: bool) -> None:
    means = [each.mean for each in series.samples]
    below = [each.mean - each.low if each.low is not None else 0.0 for each in series.samples]
    above = [each.high - each.mean if each.high is not None else 0.0 for each in series.samples]
    axes.errorbar(
        xs,
        means,
        yerr=[[max(0.0, value) for value in below], [max(0.0, value) for value in above]],
        color=SERIES_COLOURS[index % len(SERIES_COLOURS)],
        marker=_MARKERS[index % len(_MARKERS)],
        linestyle=_PATTERNS[(index // 2) % len(_PATTERNS)] if joined else "none",
        capsize=2.2,
        elinewidth=0.9,
        label=_short(series.label),
    )


def _bound(axes: Axes, samples: Sequence[Sample]) -> None:
    """Let no interval, such as that of two runs that differ, make all else too small to see.

    One that is like the others does not, however wide they are.
    """
    means = [each.mean for each in samples]
    span = max(means) - min(means)
    if span > 0:
        reaches = [each.high - each.mean for each in samples if each.high is not None]
        beyond = max(_MOST_BEYOND * span, _MOST_ABOVE_OTHERS * median_low(reaches or [0.0]))
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, min(means) - beyond), min(high, max(means) + beyond))


def _ticks_at_values(axes: Axes, values: Sequence[float]) -> None:
    """Label a linear axis where points are, if they have room, and never by halves of what is whole."""
    distinct = sorted(set(values))
    span = distinct[-1] - distinct[0]
    if len(distinct) <= _MOST_TICKS and all(b - a >= span / _MOST_TICKS for a, b in pairwise(distinct)):
        axes.xaxis.set_major_locator(FixedLocator(distinct))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.10g}"))
    elif all(value.is_integer() for value in distinct):
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 2.5, 5, 10]))


def _plain_logs(axes: Axes, axis: Literal["x", "y"], values: Sequence[float]) -> None:
    """Label a logarithmic axis by plain numbers; where it spans little, between the powers of ten too."""
    which = axes.xaxis if axis == "x" else axes.yaxis
    positive = [value for value in values if value > 0]
    span = max(positive) / min(positive) if positive else 10.0
    if axis == "x" and len(set(positive)) <= _MOST_TICKS:
        which.set_major_locator(FixedLocator(sorted(set(positive))))
        which.set_minor_locator(NullLocator())
        which.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.10g}"))
        return
    subs = (1.0, 2.0, 5.0) if span < 300 else (1.0,)
    which.set_major_locator(LogLocator(base=10, subs=subs, numticks=12))
    which.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:.10g}" if 1e-4 <= value < 1e6 else f"{value:.4g}")
    )
    which.set_minor_formatter(NullFormatter())


def _short(text: str, most: int = _MOST_WORDS) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _svg(figure: Figure) -> str:
    target = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from font", UserWarning)
        figure.savefig(
            target,
            format="svg",
            bbox_inches="tight",
            pad_inches=0.04,
            facecolor=PAPER,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    return target.getvalue()
