"""What a batch's charts show: each metric over each parameter that varies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qemunet.drawing.charts import MetricChart, Sample, Series
from qemunet.report.axes import Axis, axis_of, log_parameters
from qemunet.report.batch_data import BatchData, Run
from qemunet.report.text import one_line
from qemunet.results.statistics import is_number, summarize

MOST_CHARTS = 60
_MOST_SERIES = 8
_MOST_FACETS = 6
_LOG_SPAN = 50.0  # of a metric, above which its axis is logarithmic too
_SCATTERED = 12  # different values of a parameter, above which one that is no grid's is not joined by lines


@dataclass(frozen=True)
class Chart:
    """A chart, what to call its file, and what its points take together that is not in it."""

    chart: MetricChart
    file: str
    pooled: tuple[str, ...]


def charts_of(data: BatchData) -> Iterator[Chart]:
    """Yield the charts of a batch: of each metric, over each parameter.

    Of the other parameters those of few values make the series of a chart, the next ones charts of their own; over what
    is left means are taken together, which the chart says.
    """
    varying = data.varying
    logs = log_parameters(data.sweep)
    axes = {name: axis_of(name, _texts(data, name), log_scale=name in logs) for name in varying}
    for metric in data.metrics:
        runs = [run for run in data.runs if counts(run) and is_number(_value(run, metric))]
        for name in varying:
            others = [other for other in varying if other != name]
            by, rest = _split(axes, others, _MOST_SERIES)
            facets, pooled = _split(axes, rest, _MOST_FACETS)
            for key in _keys(axes, facets):
                fixed = dict(zip(facets, key, strict=True))
                some = [run for run in runs if fixed.items() <= data.points[run.point].items()]
                if some:
                    yield _chart(data, metric, some, axes, name, by, fixed, pooled)


def counts(run: Run) -> bool:
    """Whether a run's metrics are taken into means: it has a counted result, and that passed."""
    return run.counted is not None and run.counted.status == "passed"


def _texts(data: BatchData, name: str) -> list[str]:
    return list(dict.fromkeys(parameters.get(name, "") for parameters in data.points.values()))


def _value(run: Run, metric: str) -> Any:
    return None if run.counted is None else run.counted.metrics.get(metric)


def _chart(
    data: BatchData,
    metric: str,
    runs: Sequence[Run],
    axes: Mapping[str, Axis],
    name: str,
    by: Sequence[str],
    fixed: Mapping[str, str],
    pooled: Sequence[str],
) -> Chart:
    axis = axes[name]
    groups: dict[tuple[str, ...], dict[str, list[float]]] = {
        key: {text: [] for text in axis.texts} for key in _keys(axes, by)
    }
    for run in runs:
        parameters = data.points[run.point]
        groups[tuple(parameters.get(other, "") for other in by)][parameters.get(name, "")].append(_value(run, metric))
    joined = len(axis.texts) <= _SCATTERED or len(data.points) > len(axis.texts)
    # What takes several points together has no pilot.
    pilot = None if pooled else data.pilots.get(metric)
    series = [
        Series(one_line(", ".join(key)), samples, joined)
        for key, values in groups.items()
        if (samples := list(_samples(axis, values, pilot)))
    ]
    means = [sample.mean for each in series for sample in each.samples]
    lowest = [sample.mean if sample.low is None else sample.low for each in series for sample in each.samples]
    spread = bool(means) and min(lowest) > 0 and axis.scale == "log" and max(means) > _LOG_SPAN * min(means)
    facet = one_line(", ".join(f"{key}={text}" for key, text in fixed.items()))
    chart = MetricChart(
        one_line(metric),
        one_line(axis.label),
        series,
        scale=axis.scale,
        log_metric=spread,
        legend=one_line(", ".join(by)),
        facet=facet,
        categories=list(map(one_line, axis.texts)) if axis.scale == "categories" else (),
    )
    words = [metric, name, *(facet.split(", ") if facet else ())]
    return Chart(chart, f"{'--'.join(map(_safe, words))}.svg", tuple(pooled))


def _split(axes: Mapping[str, Axis], names: Sequence[str], most: int) -> tuple[list[str], list[str]]:
    """Part parameters: those whose values make at most so many combinations together, those of few values first."""
    taken: set[str] = set()
    count = 1
    for name in sorted(names, key=lambda each: len(axes[each].texts)):
        if count * len(axes[name].texts) <= most:
            taken.add(name)
            count *= len(axes[name].texts)
    return [name for name in names if name in taken], [name for name in names if name not in taken]


def _keys(axes: Mapping[str, Axis], by: Sequence[str]) -> list[tuple[str, ...]]:
    keys: list[tuple[str, ...]] = [()]
    for name in by:
        keys = [(*key, text) for key in keys for text in axes[name].texts]
    return keys


def _samples(axis: Axis, values: dict[str, list[float]], pilot: int | None) -> Iterator[Sample]:
    for text, found in values.items():
        if found:
            summary = summarize(found, pilot=pilot)
            x: float | str = axis.places[text] if axis.places else one_line(text)
            yield Sample(x, summary.mean, summary.low, summary.high)


def _safe(name: str) -> str:
    return "".join(character if character.isalnum() or character in "_-." else "_" for character in name)[:80] or "_"
