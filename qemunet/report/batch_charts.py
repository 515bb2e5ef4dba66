"""What a batch's charts show: each metric over each parameter that varies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qemunet.drawing.charts import MetricChart, Sample, Series
from qemunet.report.axes import Axis, axis_of, log_parameters
from qemunet.report.batch_data import BatchData, Run, is_number
from qemunet.report.summary import summarize

MOST_CHARTS = 30
_MOST_SERIES = 8
_SCATTERED = 12  # different values of a parameter, above which one that is no grid's is not joined by lines


@dataclass(frozen=True)
class Chart:
    """A chart, what to call its file, and what its points take together that is not in it."""

    chart: MetricChart
    file: str
    pooled: tuple[str, ...]


def charts_of(data: BatchData) -> Iterator[Chart]:
    """Yield the charts of a batch: of each metric, over each parameter."""
    varying = data.varying
    logs = log_parameters(data.sweep)
    axes = {name: axis_of(name, _texts(data, name), log_scale=name in logs) for name in varying}
    for metric in data.metrics:
        runs = [run for run in data.runs if counts(run) and is_number(_value(run, metric))]
        for name in varying:
            yield _chart(data, metric, runs, axes, name)


def counts(run: Run) -> bool:
    """Whether a run's metrics are taken into means: it has a counted result, and that passed."""
    return run.counted is not None and run.counted.status == "passed"


def _texts(data: BatchData, name: str) -> list[str]:
    return list(dict.fromkeys(parameters.get(name, "") for parameters in data.points.values()))


def _value(run: Run, metric: str) -> float:
    value: float = run.counted.metrics.get(metric) if run.counted is not None else None  # type: ignore[assignment]
    return value


def _chart(data: BatchData, metric: str, runs: Sequence[Run], axes: dict[str, Axis], name: str) -> Chart:
    axis = axes[name]
    others = [other for other in axes if other != name]
    by, pooled = _series_by(data, axes, name, others)
    groups: dict[tuple[str, ...], dict[str, list[float]]] = {}
    for key in _keys(axes, by):
        groups[key] = {text: [] for text in axis.texts}
    for run in runs:
        parameters = data.points[run.point]
        key = tuple(parameters.get(other, "") for other in by)
        groups.setdefault(key, {}).setdefault(parameters.get(name, ""), []).append(_value(run, metric))
    joined = len(axis.texts) <= _SCATTERED or len(data.points) > len(axis.texts)
    series = [
        Series(", ".join(key), samples, joined)
        for key, values in groups.items()
        if (samples := list(_samples(axis, values)))
    ]
    means = [sample.mean for each in series for sample in each.samples]
    spread = bool(means) and min(means) > 0 and axis.scale == "log" and max(means) > 50 * min(means)
    chart = MetricChart(
        metric,
        axis.label,
        series,
        scale=axis.scale,
        log_metric=spread,
        legend=", ".join(by),
        categories=[text for text in axis.texts] if axis.scale == "categories" else (),
    )
    return Chart(chart, f"{_safe(metric)}--{_safe(name)}.svg", tuple(pooled))


def _series_by(
    data: BatchData, axes: dict[str, Axis], name: str, others: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Return the parameters whose values make the series, and those over which a series is taken together.

    As few are pooled as may be: those of few values make the series, as long as there are not too many to tell apart.
    """
    by: list[str] = []
    count = 1
    for other in sorted(others, key=lambda each: len(axes[each].texts)):
        if count * len(axes[other].texts) <= _MOST_SERIES:
            by.append(other)
            count *= len(axes[other].texts)
    by = [other for other in others if other in by]
    return by, [other for other in others if other not in by]


def _keys(axes: dict[str, Axis], by: Sequence[str]) -> list[tuple[str, ...]]:
    keys: list[tuple[str, ...]] = [()]
    for name in by:
        keys = [(*key, text) for key in keys for text in axes[name].texts]
    return keys


def _samples(axis: Axis, values: dict[str, list[float]]) -> Iterator[Sample]:
    for text, found in values.items():
        if found:
            summary = summarize(found)
            x: float | str = axis.places[text] if axis.places else text
            yield Sample(x, summary.mean, summary.low, summary.high)


def _safe(name: str) -> str:
    return "".join(character if character.isalnum() or character in "_-." else "_" for character in name)[:80]
