"""The table of `make bench`: what chains carry by each way, as ratios with 95 % intervals, held to what qemunet promises.

    .venv/bin/python benchmarks/comparison.py BATCH

Reads a batch of benchmarks/throughput.yaml, prints the table, and writes it to comparison.txt and comparison.json in the
batch's directory. Exit status 1: a promise is not kept. A ratio is the median over the repetitions, each of which compares
two runs of the same repetition; its interval is Student's, of the ratios' logarithms.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from qemunet.results.records import read_results
from qemunet.results.statistics import half_widths

Metrics = Mapping[str, Any]
WAYS = ("relay", "wire", "csma", "stock")


@dataclass(frozen=True)
class Ratio:
    """A ratio over all repetitions.

    Attributes:
        what: What is compared with what.
        median, low, high: Of the ratios: median, and 95 % interval of their geometric mean; NaN of one repetition.
        bound: What is promised: at least, or (``most``) at most.
        kept: Whether it is; of an interval the better end counts if ``beyond``.
    """

    what: str
    median: float
    low: float
    high: float
    bound: float
    most: bool
    kept: bool


def ratio_of(what: str, ratios: list[float], bound: float, *, most: bool = False, beyond: bool = False) -> Ratio:
    """Hold ratios, one for each repetition, to a bound."""
    logs = [math.log(ratio) for ratio in ratios]
    below, above = half_widths(logs) if len(logs) > 1 else (math.nan, math.nan)
    middle = statistics.fmean(logs)
    low, high = math.exp(middle - below), math.exp(middle + above)
    median = statistics.median(ratios)
    held = median if not beyond or math.isnan(high) else max(median, high)
    return Ratio(what, median, low, high, bound, most, held <= bound if most else held >= bound)


def peak_of(runs: Sequence[Metrics]) -> float:
    """What a chain carries at most: the largest of the medians over the repetitions, one for each request."""
    curves = [[step["carried"] for step in metrics["curve"]] for metrics in runs]
    return float(max(statistics.median(carried) for carried in zip(*curves, strict=True)))


def promises(runs: Mapping[tuple[str, int], Mapping[int, Metrics]]) -> Iterator[Ratio]:
    """Yield what is promised of those chains that were measured."""

    def compared(
        what: str,
        over: tuple[str, int],
        under: tuple[str, int],
        of: Callable[[Metrics, Metrics], float],
        bound: float,
        **how: bool,
    ) -> Iterator[Ratio]:
        both = sorted(runs.get(over, {}).keys() & runs.get(under, {}).keys())
        if both:
            yield ratio_of(what, [of(runs[over][turn], runs[under][turn]) for turn in both], bound, **how)

    # Of several requests' medians, not of single seconds: the largest of many numbers is always a lucky one.
    peaks = {chain: peak_of(list(of.values())) for chain, of in runs.items()}

    def to_peak(chain: tuple[str, int]) -> Callable[[Metrics, Metrics], float]:
        return lambda one, _: float(one["overload_total_pps"]) / peaks[chain]

    def saturated(one: Metrics, other: Metrics) -> float:
        return float(one["overload_total_pps"]) / float(other["overload_total_pps"])

    lengths = sorted({length for _, length in runs})
    for length in lengths:
        of = f"N={length}:"
        if length in (5, 10, 20):
            yield from compared(
                f"{of} csma to the stock peak", ("csma", length), ("stock", length), to_peak(("stock", length)), 2.5
            )
            yield from compared(
                f"{of} wire to the stock peak", ("wire", length), ("stock", length), to_peak(("stock", length)), 3.5
            )
            yield from compared(f"{of} wire to the relay", ("wire", length), ("relay", length), saturated, 0.85)
        if length == 2:
            yield from compared(f"{of} wire to the relay", ("wire", length), ("relay", length), saturated, 0.8)
            for way in ("wire", "csma"):
                yield from compared(
                    f"{of} {way}'s round trip to the stock way's",
                    (way, length),
                    ("stock", length),
                    lambda one, other: one["rtt"] / other["rtt"],
                    0.6,
                    most=True,
                )
    for way in ("wire", "csma"):
        for length in lengths:
            if length in (5, 10, 20):
                chain = (way, length)
                yield from compared(f"N={length}: {way} overloaded to its own peak", chain, chain, to_peak(chain), 0.95)
        yield from compared(f"{way}: N=32 to N=5", (way, 32), (way, 5), saturated, 0.9, beyond=True)


def main() -> None:
    """Print the table of a batch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("batch", type=Path, metavar="BATCH", help="directory of a batch of throughput.yaml")
    directory: Path = parser.parse_args().batch
    runs: dict[tuple[str, int], dict[int, Metrics]] = defaultdict(dict)
    for result in read_results(directory):
        if result["status"] == "passed":
            about = result["parameters"]
            runs[str(about["way"]), int(about["N"])][result["repetition"]] = result["metrics"]
    if not runs:
        sys.exit(f"{directory} has no run that passed")
    ratios = list(promises(runs))
    consoles = [Console(soft_wrap=True), Console(file=(directory / "comparison.txt").open("w"), width=120)]
    for console in consoles:
        console.print(carried(runs))
        console.print(kept(ratios))
    written = {
        "carried": [{"way": way, "N": length, "runs": list(of.values())} for (way, length), of in sorted(runs.items())],
        "ratios": [asdict(ratio) for ratio in ratios],
    }
    (directory / "comparison.json").write_text(json.dumps(written, indent=1) + "\n")
    sys.exit(0 if all(ratio.kept for ratio in ratios) else 1)


def carried(runs: Mapping[tuple[str, int], Mapping[int, Metrics]]) -> Table:
    """The numbers themselves, medians."""
    table = Table(title="Datagrams of 1470 bytes a second over all links, medians")
    for heading in ("way", "N", "runs", "peak", "asked for all", "of its peak", "CPU at the peak", "round trip"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    for way in WAYS:
        for length in sorted(length for name, length in runs if name == way):
            of = list(runs[way, length].values())
            cpu = [metrics["cpu"] for metrics in of if "cpu" in metrics]
            table.add_row(
                way,
                str(length),
                str(len(of)),
                f"{peak_of(of):,.0f}",
                f"{statistics.median(metrics['overload_total_pps'] for metrics in of):,.0f}",
                f"{100 * statistics.median(metrics['overload_total_pps'] for metrics in of) / peak_of(of):.0f} %",
                f"{100 * statistics.median(cpu):.0f} %" if cpu else "",
                f"{1000 * statistics.median(metrics['rtt'] for metrics in of):.0f} us",
            )
    return table


def kept(ratios: list[Ratio]) -> Table:
    """What is promised, and whether it is kept."""
    table = Table(title="Ratios, medians over the repetitions")
    for heading in ("", "ratio", "95 % interval", "promised", ""):
        table.add_column(heading, justify="right" if heading else "left")
    for ratio in ratios:
        table.add_row(
            ratio.what,
            f"{ratio.median:.2f}",
            "" if math.isnan(ratio.low) else f"{ratio.low:.2f} to {ratio.high:.2f}",
            f"{'at most' if ratio.most else 'at least'} {ratio.bound:g}",
            "kept" if ratio.kept else "NOT KEPT",
        )
    return table


if __name__ == "__main__":
    main()
