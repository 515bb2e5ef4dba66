"""Reports as a user sees them: of a real run and of a batch, opened in a browser that is offline."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.batches_on_disk import Made, make_batch
from tests.browser import Page, browser

from .conftest import Bench

needs_guests = pytest.mark.skipif(
    not (os.access("/dev/net/tun", os.R_OK | os.W_OK) and shutil.which("ping")), reason="no tun, or ping is missing"
)

TOPOLOGY = """
node client container
node server container
link client@10.0.0.1/24 server@10.0.0.2/24 wire rate=10Mbps delay=2ms
"""
EXPERIMENT = r"""
from qemunet import Daemon, Task

PARAMETERS = {"count": 2}

async def experiment(bed):
    await bed.run(Task("reachable", {"client": f"ping -c {bed.parameters['count']} -i 0.1 10.0.0.2",
                                     "server": r"printf '<b>bold</b> \033[31mred\033[0m \377\001'"}))
    await bed.run(Task("listening", {"server": Daemon("while :; do date; sleep 0.1; done", until="run"), "client": "sleep 0.2"}))
    await bed.guests["client"].run("seq 1 60000")
    bed.record("answers", 2)
    await bed.run(Task("fails", {"client": "echo no; exit 3", "server": "sleep 30"}))
"""

#: What reaches beyond the right edge of the window without being in something that scrolls.
OVERFLOWING = """[...document.querySelectorAll('body *')].filter(element => {
  const box = element.getBoundingClientRect();
  if (!box.width || box.right <= innerWidth + 1) return false;
  for (let each = element.parentElement; each; each = each.parentElement)
    if (each.tagName == 'svg' || ['auto', 'hidden', 'scroll'].includes(getComputedStyle(each).overflowX)) return false;
  return true;
}).map(element => element.outerHTML.slice(0, 120))"""

SIZE = "(box => Math.min(box.width, box.height))(document.querySelector('{}').getBoundingClientRect())"


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with browser(tmp_path) as page:
        yield page


def look_at(page: Page, report: Path, pictures: list[str]) -> None:
    """Hold a report to what every one of them promises."""
    for width in (1280, 390):
        page.open(report, width=width)
        assert page.value("document.scrollingElement.scrollWidth") <= width
        assert page.value(OVERFLOWING) == []
        for picture in pictures:
            assert page.value(SIZE.format(picture)) > 80, picture
    assert page.value("[...document.images].length") == 0
    assert set(page.requests) == {report.resolve().as_uri()}
    # The first key press leads to the link that skips to the content, the next ones to what can be unfolded.
    page.open(report)
    page.press("Tab", 9)
    assert page.value("document.activeElement.className") == "skip"
    assert page.value("document.activeElement.getBoundingClientRect().left") == 0
    # Words stand out in both themes, on paper everything is unfolded.
    grounds = set()
    for scheme in ("light", "dark"):
        page.emulate(scheme=scheme)
        grounds.add(page.value("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2
    page.emulate(media="print", scheme="dark")
    hidden = "[...document.querySelectorAll('details > *')].filter(each => !each.checkVisibility({contentVisibilityAuto: true}))"
    assert page.value(f"{hidden}.length") == 0
    assert page.value("getComputedStyle(document.querySelector('pre')).color") == "rgb(26, 35, 48)"
    page.emulate()
    pdf = base64.b64decode(page.pdf())
    assert pdf.startswith(b"%PDF-")
    assert len(pdf) > 20_000
    assert page.complaints == []


@needs_guests
def test_the_report_of_a_run(bench: Bench, page: Page) -> None:
    words = ("-p", "count=2", "--seed", "3")
    done, record = bench.run(bench.file("pair.txt", TOPOLOGY), bench.file("job.py", EXPERIMENT), *words)
    assert record["verdict"] == "failed", done.stderr
    lag = json.loads((Path(record["directory"]) / "lag.json").read_text())
    assert max(lag["max_ns"]) >= record["fidelity"]["lag_ns"]["max"]
    assert len(lag["max_ns"]) <= 256
    report, figures = bench.directory / "report.html", bench.directory / "figures"
    written = bench.qemunet("report", record["directory"], "-o", report, "--figures", figures)
    assert written.returncode == 0, written.stderr
    assert {path.name for path in figures.iterdir()} == {"network.svg", "timeline.svg", "lag.svg"}
    look_at(page, report, ["#network svg", "#tasks svg", "#fidelity svg"])
    text = page.value("document.body.textContent")
    for told in (
        "failed",
        "answers",
        "Task 3: fails",
        "<b>bold</b> red \\xff␁",
        "left out",
    ):
        assert told in text
    assert "-p count=2 --seed 3" in text
    assert page.value("document.querySelectorAll('#tasks tbody tr').length") == 3
    assert page.value("document.querySelectorAll('#links tbody tr').length") == 2
    # A summary is unfolded by the keyboard.
    page.value("document.querySelector('#outputs summary').focus()")
    page.press(" ", 32)
    assert page.value("document.querySelector('#outputs details').open")
    for figure in figures.iterdir():
        page.open(figure)
        assert page.value("document.documentElement.getBoundingClientRect().width") > 200
        assert page.value("document.querySelectorAll('text').length") > 3
    assert page.complaints == []


@needs_guests
def test_what_a_run_says_of_itself_is_enough_to_repeat_it(bench: Bench) -> None:
    _, record = bench.run(
        bench.file("pair.txt", TOPOLOGY), bench.file("job.py", EXPERIMENT), "-p", "count=1", "--seed", "5"
    )
    request = record["request"]
    assert request["parameters"] == {"count": "1"}
    _, again = bench.run(request["topology"], request["experiment"], "-p", "count=1", "--seed", str(record["seed"]))
    assert (again["parameters"], again["seed"]) == (record["parameters"], record["seed"])
    directory = Path(record["directory"])
    _, own = bench.run(directory / "network.txt", directory / "experiment.py", "-p", "count=1", "--seed", "5")
    assert own["links"].keys() == record["links"].keys()


def test_the_report_of_a_batch(tmp_path: Path, page: Page) -> None:
    points = [{"N": n, "kind": kind, "delay": "5ms"} for n in ("2", "4", "8", "16") for kind in ("container", "qemu")]
    runs = [
        Made(point, metrics={"delivered_pps": 1000.0 * point + repetition, "loss": 0.01 * repetition})
        for point in range(1, len(points) + 1)
        for repetition in range(4)
    ]
    runs[2] = Made(1, "failed", {}, "client: 'ping' returned 1", cut=1)
    runs[9] = Made(3, None)
    batch = make_batch(tmp_path / "sweep", points, runs, sweep="parameters: {N: [2, 4, 8, 16]}")
    (batch / "ping" / "3").mkdir(parents=True)
    from qemunet.report import write_report

    report = tmp_path / "report.html"
    write_report(batch, report)
    look_at(page, report, ["#charts figure:nth-of-type(1) svg", "#charts figure:nth-of-type(2) svg"])
    assert page.value("document.querySelectorAll('#charts svg').length") == 4
    assert page.value("document.querySelectorAll('#points tbody tr').length") == len(points)
    link = page.value("document.querySelector('#troubled a').href")
    assert link == (batch / "ping" / "3").resolve().as_uri() + "/"
