"""The paper's Figures 6 and 7, and the same of QEMU guests, by the stock way of ns-3 and by qemunet's: `make figures`.

    .venv/bin/python benchmarks/figures.py [--short] [--directory runs/figures]

Runs the batches of benchmarks/figure_*.yaml, those that are begun from where they stopped, and draws what they measured as SVG,
with 95 % intervals of the means. `--short` takes fewer points and repetitions: under twenty minutes on two cores.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from qemunet.drawing.charts import MetricChart, Sample, Series, draw_metric
from qemunet.results.records import read_results
from qemunet.results.statistics import summarize

HERE = Path(__file__).resolve().parent
WAYS = {
    ("csma", "tapbridge"): "stock ns-3, csma",
    ("csma", "native"): "qemunet, csma",
    ("wire", "native"): "qemunet, wire",
}
SHORT: Mapping[str, Mapping[str, Any]] = {
    "figure_6": {"repeat": 3, "rate_pps": {"from": 1000, "to": 64000, "steps": 7, "scale": "log"}, "seconds": 1},
    "figure_7": {"repeat": 2, "N": [2, 8, 32]},
    "figure_qemu": {"repeat": 2, "N": [2, 5], "rate_pps": [1000, 4000, 16000]},
}

Result = Mapping[str, Any]


def total_asked(run: Result) -> float:
    """Datagrams a second that a run asked of all links together."""
    return float(run["parameters"]["rate_pps"]) * (int(run["parameters"]["N"]) - 1)


def nodes(run: Result) -> float:
    """Length of a run's chain."""
    return float(run["parameters"]["N"])


def metric(name: str, factor: float = 1.0) -> Callable[[Result], float]:
    """What takes a metric from a run, times a factor."""
    return lambda run: factor * float(run["metrics"][name])


def run(name: str, directory: Path, *, short: bool) -> list[Result]:
    """Run a batch, or what is missing of it; returns its runs."""
    sweep = yaml.safe_load((HERE / f"{name}.yaml").read_text())
    for source in ("topology", "experiment"):
        sweep[source] = os.fspath((HERE / sweep[source]).resolve())
    for key, value in (SHORT[name] if short else {}).items():
        (sweep if key == "repeat" else sweep["parameters"])[key] = value
    written = directory / f"{name}.yaml"
    written.write_text(yaml.safe_dump(sweep, sort_keys=False))
    command = [sys.executable, "-m", "qemunet.cli.main", "batch", str(written), "--runs-dir", str(directory)]
    resume = ["--resume"] if (directory / name).exists() else []
    subprocess.run([*command, *resume, "--jobs", "1"], check=False, stdout=subprocess.DEVNULL)
    return [each for each in read_results(directory / name) if each["status"] == "passed"]


def draw(
    file: Path,
    runs: list[Result],
    x: tuple[str, Callable[[Result], float]],
    y: tuple[str, Callable[[Result], float]],
    *,
    facet: str = "",
    log: bool = True,
) -> None:
    """Draw one figure: a line for each way."""
    values: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for each in runs:
        about = each["parameters"]
        values[WAYS[about["link"], about["attach"]]][x[1](each)].append(y[1](each))
    series = []
    for label in WAYS.values():
        samples = []
        for place, measured in sorted(values[label].items()):
            summary = summarize(measured)
            samples.append(Sample(place, summary.mean, summary.low, summary.high))
        if samples:
            series.append(Series(label, samples))
    if series:
        chart = MetricChart(y[0], x[0], series, scale="log", log_metric=log, facet=facet)
        file.write_text(draw_metric(chart))
        print(file)


def main() -> None:
    """Run the batches and draw them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="fewer points and repetitions")
    parser.add_argument("--directory", type=Path, default=Path("runs/figures"), help="of the batches and the figures")
    arguments = parser.parse_args()
    directory: Path = arguments.directory
    directory.mkdir(parents=True, exist_ok=True)
    asked = ("asked, packets/s over all links", total_asked)
    carried = ("carried, packets/s", metric("total_pps"))
    cpu = ("simulator's CPU use, %", metric("cpu", 100))

    measured = run("figure_6", directory, short=arguments.short)
    draw(directory / "figure-6.svg", measured, asked, carried, facet="10 containers")
    draw(directory / "figure-6-cpu.svg", measured, asked, cpu, facet="10 containers", log=False)

    measured = run("figure_7", directory, short=arguments.short)
    length = ("nodes", nodes)
    fixed, peak = metric("fixed_total_pps"), metric("peak_total_pps")
    draw(directory / "figure-7-fixed.svg", measured, length, ("carried of 40,000 packets/s", fixed), log=False)
    draw(directory / "figure-7-peak.svg", measured, length, ("most carried, packets/s", peak))
    draw(directory / "figure-7-cpu.svg", measured, length, cpu, log=False)

    measured = run("figure_qemu", directory, short=arguments.short)
    for count in sorted({nodes(each) for each in measured}):
        chain = [each for each in measured if nodes(each) == count]
        facet = f"{count:.0f} QEMU guests"
        draw(directory / f"figure-qemu-{count:.0f}.svg", chain, asked, carried, facet=facet)
        draw(directory / f"figure-qemu-{count:.0f}-cpu.svg", chain, asked, cpu, facet=facet, log=False)


if __name__ == "__main__":
    main()
