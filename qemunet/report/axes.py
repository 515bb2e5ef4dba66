"""Where the values of a parameter stand on an axis. They are text, as a user types them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite, log

import yaml

from qemunet.drawing.charts import Scale
from qemunet.units import parse_rate_bps, parse_size_bytes, parse_time_ns

_UNITS: tuple[tuple[Callable[[str], int], Sequence[tuple[int, str]]], ...] = (
    (parse_time_ns, ((10**9, "s"), (10**6, "ms"), (10**3, "us"), (1, "ns"))),
    (parse_rate_bps, ((10**9, "Gbps"), (10**6, "Mbps"), (10**3, "kbps"), (1, "bps"))),
    (parse_size_bytes, ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B"))),
)
_LOG_SPAN = 8.0


@dataclass(frozen=True)
class Axis:
    """An axis of a parameter.

    Attributes:
        label: The parameter, and the unit of its values where they have one.
        places: Value by text; empty on an axis of categories.
        scale: Of the axis.
        texts: All texts, in the order of the axis.
    """

    label: str
    places: Mapping[str, float]
    scale: Scale
    texts: Sequence[str]


def axis_of(name: str, texts: Sequence[str], *, log_scale: bool) -> Axis:
    """Return the axis for the values of a parameter.

    Args:
        name: The parameter.
        texts: Its values, in the order of the batch, without repetitions.
        log_scale: The sweep file says so.
    """
    label, places = _numbers(name, texts)
    if not places:
        return Axis(name, {}, "categories", list(texts))
    values = sorted(places.values())
    spread = values[0] > 0 and (log_scale or _is_geometric(values))
    return Axis(label, places, "log" if spread else "linear", sorted(texts, key=places.__getitem__))


def log_parameters(sweep: str) -> set[str]:
    """Return the parameters that a sweep file gives a logarithmic range."""
    try:
        content = yaml.safe_load(sweep)
    except (yaml.YAMLError, RecursionError):
        return set()
    if not isinstance(content, Mapping):
        return set()
    sample = content.get("sample")
    groups = [content.get("parameters"), sample.get("parameters") if isinstance(sample, Mapping) else None]
    return {
        str(name)
        for group in groups
        if isinstance(group, Mapping)
        for name, value in group.items()
        if isinstance(value, Mapping) and value.get("scale") == "log"
    }


def _numbers(name: str, texts: Sequence[str]) -> tuple[str, dict[str, float]]:
    for label, ending in ((name, ""), (f"{name} (%)", "%")):
        try:
            numbers = {text: float(text.removesuffix(ending)) for text in texts if text.endswith(ending)}
        except ValueError:
            continue
        if len(numbers) == len(texts) and all(map(isfinite, numbers.values())):
            return label, numbers
    for parse, units in _UNITS:
        try:
            values = {text: parse(text) for text in texts}
        except ValueError:
            continue
        largest = max(values.values())
        factor, unit = next(((factor, unit) for factor, unit in units if largest >= factor), units[-1])
        return f"{name} ({unit})", {text: value / factor for text, value in values.items()}
    return name, {}


def _is_geometric(values: Sequence[float]) -> bool:
    """Whether numbers grow by about the same factor rather than by the same sum."""
    if len(values) < 3 or values[-1] < _LOG_SPAN * values[0]:
        return False
    steps = [log(b / a) for a, b in pairwise(values)]
    return max(steps) < 1.6 * min(steps)
