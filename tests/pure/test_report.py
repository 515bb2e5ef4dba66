"""Reports: what is read of a run or a batch, however it was cut and whatever it holds, and what the page makes of it."""

from __future__ import annotations

import html
import json
import re
import sqlite3
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qemunet.cli.main import main
from qemunet.drawing.charts import MetricChart, Sample, Series, draw_lag, draw_metric
from qemunet.errors import InputError
from qemunet.report import write_report
from qemunet.report.axes import axis_of, log_parameters
from qemunet.report.batch_charts import charts_of
from qemunet.report.batch_data import read_batch_data
from qemunet.report.run_data import read_run_data, repeat_command
from qemunet.report.text import Excerpt, clean, excerpt, file_excerpt, one_line
from qemunet.report.timeline import Timeline, TimelineReader
from qemunet.report.timeline_svg import MOST_LANES, draw_timeline
from qemunet.results.fidelity import CpuUse, DoorDrops, Limits, Measured, judge
from qemunet.results.load import Look, host_load
from tests.batches_on_disk import Made, make_batch
from tests.runs_on_disk import command, make_run

STYLE = Path(write_report.__code__.co_filename).with_name("templates") / "style.css"
HOSTILE = (
    "</pre><script>alert(1)</script>&amp;\x1b[31m\x00\x07\udcff\ud800\u202e\r\n\x1b]0;title\x07<img src=x onerror=y>"
)


class Outline(HTMLParser):
    """What a page consists of: its elements, identities, references and headings."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.headings: list[int] = []
        self.unscoped = 0
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        self.ids += [values["id"] or ""] if "id" in values else []
        self.references += [values[key] or "" for key in ("href", "src", "xlink:href", "action") if key in values]
        self.headings += [int(tag[1])] if re.fullmatch("h[1-6]", tag) else []
        self.unscoped += tag == "th" and "scope" not in values


def outline(path: Path) -> Outline:
    page = path.read_text(encoding="utf-8")
    found = Outline(page)
    assert len(found.ids) == len(set(found.ids)), "two elements of one identity"
    assert not found.unscoped
    assert found.headings[0] == 1
    assert found.headings.count(1) == 1
    assert all(below - above <= 1 for above, below in zip(found.headings, found.headings[1:], strict=False))
    assert {reference[1:] for reference in found.references if reference.startswith("#")} <= set(found.ids)
    assert "script" not in found.tags
    assert {"main", "header", "nav", "footer"} <= set(found.tags)
    assert not re.search(r"url\((?!#)|@import|//(?!www\.w3\.org/)[a-z]+\.", page), "something from elsewhere"
    return found


@given(st.one_of(st.text(), st.binary(), st.text(alphabet="\x1b[]0;31mAK\\\x07\r\n<&\udc80\ud800\u202e")))
def test_cleaned_text_is_visible_and_can_be_written(text: str | bytes) -> None:
    shown = clean(text)
    shown.encode("utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", shown)
    assert "\n" not in one_line(shown)


def test_escape_sequences_of_terminals_are_taken_out() -> None:
    assert clean("\x1b[1;31mred\x1b[0m \x1b]0;a title\x07and \x1b(Bplain\x1b[6n\r\nnext") == "red and plain\nnext"
    assert clean("50%\r100%\n") == "50%\n100%\n"
    assert clean(b"\xff\x00") == "\\xff\u2400"
    assert clean("\udcff") == "\\xff"
    assert clean("a\u202eb") == "a\\u202eb"


def test_a_long_text_shows_its_beginning_and_its_end(tmp_path: Path) -> None:
    path = tmp_path / "output"
    path.write_bytes(b"a" * 100 + b"\xc3\xa9" * 500_000 + b"z" * 50)
    for shown in (excerpt(path.read_text(), head=60, tail=40), file_excerpt(path, head=60, tail=40)):
        assert shown.head == "a" * 60
        assert shown.tail == "z" * 40
        assert shown.bytes == 1_000_150
        assert shown.left_out == 1_000_050
    assert file_excerpt(path, head=0, tail=50).tail == "z" * 50
    lines = "".join(f"{number}\n" for number in range(1000))
    shown = excerpt(lines, head=10_000, tail=10_000)
    assert shown.head.splitlines() == [str(number) for number in range(60)]
    assert shown.tail == excerpt(lines, head=0, tail=10_000).tail == excerpt(lines, head=200, tail=10_000).tail
    assert shown.tail.splitlines() == [str(number) for number in range(880, 1000)]
    assert shown.left_out == len(lines) - len(shown.head) - len(shown.tail)


@given(st.binary(max_size=300), st.integers(0, 100), st.integers(0, 100))
def test_what_is_short_is_shown_whole(data: bytes, head: int, tail: int) -> None:
    shown = excerpt(data.decode("utf-8", "surrogateescape"), head=head, tail=tail)
    assert shown.bytes == len(data)
    assert (shown.left_out == 0) == (len(data) <= head + tail)
    if not shown.left_out:
        assert shown == Excerpt(clean(data), bytes=len(data))


def timeline_of(events: list[dict[str, object]]) -> Timeline:
    reader = TimelineReader()
    for event in events:
        reader.take(event)
    return reader.timeline


def test_the_timeline_has_each_task_with_its_barrier_and_its_skew() -> None:
    events: list[dict[str, object]] = [
        *command("load", "a", 1, 0.0),
        *command("load", "b", 2, 0.0, status=3),
        {"event": "skew", "simulation_s": 0.6, "task": "load", "written_ns": 1200, "begun_ns": 340_000},
        {"event": "barrier", "simulation_s": 0.6, "task": "load", "arrived": ["a", "b"]},
        *command("load", "a", 3, 1.0, end="interrupted"),
        {"event": "broken", "simulation_s": 1.6, "task": "load", "missing": ["a"], "error": "a: late; it wrote:\nmuch"},
        *command(None, "b", 4, 2.0, end=None),
        {"event": "link-set", "simulation_s": 2.5, "link": "a-b", "impairments": {"rate": "1Mbps", "loss": None}},
    ]
    timeline = timeline_of(events)
    first, second = timeline.tasks
    assert (first.name, first.nodes, first.broken, first.written_ns, first.begun_ns) == (
        "load",
        ["a", "b"],
        False,
        1200,
        340_000,
    )
    assert (second.broken, second.missing, second.error) == (True, ["a"], "a: late")
    outcomes = {number: each.outcome for number, each in timeline.commands.items()}
    assert outcomes == {1: "ok", 2: "failed", 3: "stopped", 4: "unknown"}
    assert timeline.commands[4].task is None
    assert timeline.marks[0].text == "set rate=1Mbps loss=(as by default)"
    assert timeline.cut
    svg = draw_timeline(timeline)
    for told in ("✕ 3", "■ stopped", "✕ broken barrier", "hatch-bad", "fired"):
        assert told in svg


def test_lanes_are_in_the_order_of_the_topology() -> None:
    booting: list[dict[str, object]] = [{"event": "booting", "simulation_s": None, "node": node} for node in "abc"]
    assert timeline_of([*booting, *command("t", "c", 1, 0.0), *command("t", "a", 2, 0.0)]).nodes == ["a", "c"]
    assert timeline_of([*command("t", "c", 1, 0.0), *command("t", "a", 2, 0.0)]).nodes == ["c", "a"]


def test_a_daemon_that_was_stopped_as_it_should_has_not_failed() -> None:
    reader = TimelineReader()
    for event in command("load", "a", 1, 0.0, status=130):
        reader.take(event)
    reader.records([{"number": 1, "daemon": True, "interrupted": False}])
    assert reader.timeline.commands[1].outcome == "ok"
    assert "stroke-dasharray" in draw_timeline(reader.timeline)


@pytest.mark.parametrize(("guests", "tasks"), [(1, 1), (30, 3), (200, 2), (2, 300), (3, 3000)])
def test_a_figure_of_any_size_stays_a_figure(guests: int, tasks: int) -> None:
    events: list[dict[str, object]] = []
    for task in range(tasks):
        for guest in range(guests):
            number = task * guests + guest + 1
            events += command(f"t{task}", f"guest-{guest}", number, float(task), status=number % 50 == 1)
        events.append({"event": "barrier", "simulation_s": task + 0.6, "task": f"t{task}", "arrived": []})
    svg = draw_timeline(timeline_of(events))
    height = float(re.search(r'height="([0-9.]+)"', svg)[1])  # type: ignore[index]
    assert height <= 120 + 30 * MOST_LANES
    assert len(svg) < 600_000
    assert "✕" in svg  # a failure is seen, however many commands there are
    assert ("more guests" in svg) == (guests > MOST_LANES)


def test_the_page_of_a_run_with_hostile_texts(tmp_path: Path) -> None:
    events = [*command(HOSTILE, "a", 1, 0.0, text=HOSTILE, status=1), *command("b", HOSTILE, 2, 1.0, end="lost")]
    events += [{"event": "warning", "simulation_s": None, "message": HOSTILE}]
    tasks = [{"number": 1, "node": "a", "output": HOSTILE * 2000, "output_bytes": 1, "daemon": False}]
    tasks += [{"number": 2, "node": "b", "output": None, "output_path": "../../secret"}]
    run = make_run(
        tmp_path / "job" / "1",
        events,
        tasks,
        status="failed",
        topology=HOSTILE,
        metrics={HOSTILE: HOSTILE, "list": [1, HOSTILE]},
        parameters={"p": HOSTILE},
        error={"type": "CommandFailed", "layer": "task", "message": HOSTILE, "hint": HOSTILE, "node": None},
    )
    (run / "console").mkdir()
    (run / "console" / "a.log").write_bytes(HOSTILE.encode("utf-8", "surrogatepass") * 50_000)
    (tmp_path / "secret").write_text("not of the run")
    written = write_report(run, tmp_path / "report.html", figures=tmp_path / "figures")
    assert [path.name for path in written] == ["report.html", "timeline.svg"]
    page = written[0].read_text(encoding="utf-8")
    outline(written[0])
    assert "img" not in Outline(page).tags
    assert "not of the run" not in page
    assert len(page) < 400_000
    assert "left out" in page
    assert "var(" not in written[1].read_text(encoding="utf-8")


def test_a_run_that_was_cut_anywhere_has_a_report(tmp_path: Path) -> None:
    events = [
        *command("load", "a", 1, 0.0),
        {"event": "barrier", "simulation_s": 0.6, "task": "load", "arrived": ["a"]},
    ]
    tasks = [{"number": 1, "node": "a", "output": "hello", "output_bytes": 5}]
    process = {"pid": 2**22 + 1, "start_ticks": 1}
    run = make_run(tmp_path / "1", events, tasks, status="running", ended=None, verdict=None, process=process)
    whole = (run / "events.jsonl").read_bytes()
    for end in range(0, len(whole), 97):
        (run / "events.jsonl").write_bytes(whole[:end])
        (run / "lag.json").write_bytes(b'{"interval_ns": 5, "events": [1'[: end % 30])
        data = read_run_data(run)
        assert data.record["status"] == "interrupted"
        assert len(data.timeline.commands) <= 1
    write_report(run, tmp_path / "report.html")
    assert "was ended from outside" in (tmp_path / "report.html").read_text(encoding="utf-8")
    (run / "events.jsonl").unlink()
    write_report(run, tmp_path / "report.html")
    outline(tmp_path / "report.html")


def test_the_command_to_repeat_a_run_is_quoted(tmp_path: Path) -> None:
    request = {"topology": "/a b/t.txt", "experiment": "/x.py", "parameters": {"p": "it's"}, "timeout_s": 30.0}
    run = make_run(tmp_path / "1", [], parameters={"p": "it's", "q": 5}, seed=9, request=request)
    again, own = repeat_command(read_run_data(run))
    assert again == "qemunet run '/a b/t.txt' /x.py -p 'p=it'\"'\"'s' --seed 9 --timeout 30"
    assert own.startswith(f"qemunet run {run}/topology.txt {run}/experiment.py -p ")
    assert "-p q=5 --seed 9" in own


def test_the_lag_of_a_run_is_drawn(tmp_path: Path) -> None:
    limits = {"lag_p99_ns": 2_000_000, "lag_max_ns": 10**8, "door_drops": 0.001, "start_skew_ns": 5_000_000}
    lag = {"p50": 200, "p99": 90_000, "p999": 95_000, "max": 3_000_000, "max_at_s": 0.04, "events": 1234567}
    fidelity = {"faithful": True, "summary": "faithful", "reasons": [], "lag_ns": lag, "limits": limits}
    run = make_run(tmp_path / "1", command(None, "a", 1, 0.0), fidelity=fidelity)
    timeline = {
        "schema": 1,
        "interval_ns": 1 << 24,
        "events": [5, 0, 7],
        "p99_ns": [10, 0, 5000],
        "max_ns": [11, 0, 6000],
    }
    (run / "lag.json").write_text(json.dumps(timeline))
    written = write_report(run, tmp_path / "report.html", figures=tmp_path)
    svg = (tmp_path / "lag.svg").read_text()
    assert {path.name for path in written} == {"report.html", "timeline.svg", "lag.svg"}
    assert "p99 limit" in svg
    assert "<text" in svg
    assert "3 ms at 0.04 s" in svg  # the latest event
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "in intervals of 16.8 ms" in page
    assert "The latest of all was 3 ms late, at 0.040 s." in page


def test_the_spike_of_a_simulator_that_stood_still_is_drawn(tmp_path: Path) -> None:
    quiet, spike = 50_000, 203_000_000
    values = [quiet] * 40
    values[25] = spike
    ms = [value / 1e6 for value in values]
    svg = draw_lag(0.1, ms, ms, {"p99": 2.0, "max": 100.0}, (2.53, spike / 1e6))
    assert "203 ms at 2.53 s" in svg
    # The line of the maxima is a path of steps; the spike is its highest point, above the line of the limit.
    paths = [re.findall(r"[ML] ([0-9.]+) ([0-9.]+)", path) for path in re.findall(r'<path d="([^"]+)"', svg)]
    steps = max(paths, key=len)
    highest = min(float(y) for _, y in steps)
    at = [float(x) for x, y in steps if float(y) == highest]
    left, right = float(steps[0][0]), float(steps[-1][0])
    assert [round((x - left) / (right - left) * 4.0, 1) for x in at] == [2.5, 2.6]
    flat = [[float(y) for _, y in path] for path in paths if len(path) == 2 and path[0][1] == path[1][1]]
    assert any(highest < ys[0] for ys in flat)


def test_a_run_over_its_limits_shows_where(tmp_path: Path) -> None:
    host = host_load(
        [Look(float(at_s), (at_s * 100,) * 2, (at_s * 2,) * 2, (at_s, 0), at_s * 700_000, 0, 2.5) for at_s in range(4)]
    )
    drops = [DoorDrops("b:<eth0>", "out", "queue", 70), DoorDrops("a:eth0", "in", "kernel", 12)]
    measured = Measured(
        lag_p50_ns=1,
        lag_p99_ns=1,
        lag_p999_ns=1,
        lag_max_ns=203_000_000,
        events=500,
        door_frames=1000,
        door_drops=82,
        start_skews_ns=[],
        lag_max_at_s=1.25,
        door_drops_at_s=2.0,
        drops=drops,
        deadline_ns=20_000_000,
        missed=1,
        looks=500,
        cpu=CpuUse(3.0, 1.5, 1.6, 0.75, 1.0),
        host=host,
    )
    run = make_run(tmp_path / "1", command(None, "a", 1, 0.0), status="unfaithful", fidelity=judge(measured, Limits()))
    write_report(run, tmp_path / "report.html")
    outline(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for words in (
        "no, at 1.250 s",
        "no, at 2.000 s",
        "b:&lt;eth0&gt;",
        "Events later than 20 ms",
        "3 of 3 s",
        "1.5 of 3 s",
    ):
        assert words in page, words


def test_what_is_neither_a_run_nor_a_batch(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    with pytest.raises(InputError, match="no such directory"):
        write_report(tmp_path / "none", target)
    with pytest.raises(InputError, match="holds neither a run"):
        write_report(tmp_path, target)
    for number in (1, 2, 10):
        make_run(tmp_path / "runs" / "job" / str(number), [])
    make_batch(tmp_path / "runs" / "sweep", [{"N": "1"}], [Made(1)])
    with pytest.raises(InputError, match="4 runs and batches") as caught:
        write_report(tmp_path / "runs", target)
    assert "job/10 (run)" in caught.value.message
    assert "sweep (batch)" in caught.value.message
    with pytest.raises(InputError) as caught:
        write_report(tmp_path / "runs" / "job" / "1" / "run.json", target)
    assert str(tmp_path / "runs" / "job" / "1") in str(caught.value.hint)
    (tmp_path / "runs" / "sweep" / "index.sqlite").write_bytes(b"no database")
    with pytest.raises(InputError, match=r"index\.sqlite"):
        write_report(tmp_path / "runs" / "sweep", target)
    assert not target.exists()
    assert main(["report", str(tmp_path / "none")]) == 2
    run = str(tmp_path / "runs" / "job" / "1")
    assert main(["report", run, "-o", "/dev/full"]) == 3
    assert main(["report", run, "-o", str(target), "--figures", "/dev/full"]) == 3


def grid() -> tuple[list[dict[str, str]], list[Made]]:
    points = [
        {"N": n, "rate": rate, "kind": kind} for n in ("2", "8", "32") for rate in ("5Mbps", "50Mbps") for kind in "ab"
    ]
    runs = [
        Made(point, metrics={"delivered": point * 100.0 + repetition, "text": "x"})
        for point in range(1, len(points) + 1)
        for repetition in range(5)
    ]
    runs[3] = Made(1, "failed", {"delivered": 10**9}, "a: <b>no</b> route; it wrote:\nmuch")
    runs[4] = Made(1, "unfaithful", {"delivered": 10**9})
    runs[7] = Made(2, "error", {}, "guest b rebooted", cut=2)
    runs[9] = Made(2, None)
    return points, runs


def test_the_page_of_a_batch(tmp_path: Path) -> None:
    points, runs = grid()
    batch = make_batch(tmp_path / "b & c" / "sweep", points, runs, sweep="parameters: {N: [2, 8, 32]}")
    written = write_report(batch, tmp_path / "report.html", figures=tmp_path / "figures")
    found = outline(written[0])
    page = written[0].read_text(encoding="utf-8")
    assert {path.name for path in written[1:]} == {
        "delivered--N.svg",
        "delivered--rate.svg",
        "delivered--kind.svg",
    }
    assert "b%20%26%20c/sweep/ping/4/" in found.references
    assert "a: &lt;b&gt;no&lt;/b&gt; route" in page
    assert "59 of 60 runs have a result" in page
    assert "qemunet batch &#39;/home/u/my sweep.yaml&#39;" in page
    assert f"--runs-dir '{batch.parent}' --resume</pre>" in html.unescape(page)
    assert f"--runs-dir '{batch.parent}-again'</pre>" in html.unescape(page)
    for words in ("<b>1</b> <span>✕ failed", "<b>1</b> <span>≈ unfaithful", "<b>1</b> <span>! error"):
        assert words in page
    assert "2 attempts that were cut" in page


def test_a_batch_of_strange_metrics_or_of_none(tmp_path: Path) -> None:
    metrics = {
        "a/b": 1,
        "a_b": 2,
        "inf": float("inf"),
        "nan": float("nan"),
        "huge": 10**300,
        HOSTILE: 3.5,
        "flag": True,
        "": 1,
    }
    made = [Made(1, metrics=metrics), Made(2, metrics=metrics), Made(2, "lost"), Made(1, None, cut=2)]
    batch = make_batch(
        tmp_path / "strange", [{"N": "1", HOSTILE: "x"}, {"N": HOSTILE, HOSTILE: "y"}], made, sweep=HOSTILE[:6]
    )
    written = write_report(batch, tmp_path / "report.html", figures=tmp_path / "figures")
    outline(written[0])
    assert len(written) == len(set(written)) == 9
    assert all(path.parent == tmp_path / "figures" and path.name[0] != "-" for path in written[1:])
    with sqlite3.connect(batch / "index.sqlite") as index:
        index.execute("UPDATE attempts SET status = 'running' WHERE run = 4 AND attempt = 2")
    index.close()
    write_report(batch, tmp_path / "report.html")
    assert "<summary>1 attempt that was cut" in (tmp_path / "report.html").read_text(encoding="utf-8")
    empty = make_batch(tmp_path / "empty", [{}], [])
    write_report(empty, tmp_path / "report.html")
    outline(tmp_path / "report.html")


def test_means_are_of_runs_that_passed(tmp_path: Path) -> None:
    points, runs = grid()
    data = read_batch_data(make_batch(tmp_path / "sweep", points, runs))
    charts = {each.file: each.chart for each in charts_of(data)}
    chart = charts["delivered--N.svg"]
    assert chart.scale == "log"  # 2, 8, 32
    assert [series.label for series in chart.series] == ["5Mbps, a", "5Mbps, b", "50Mbps, a", "50Mbps, b"]
    first = chart.series[0].samples[0]
    assert first.mean == 101.0
    assert (first.low, first.high) == pytest.approx((101 - 4.302653 / 3**0.5, 101 + 4.302653 / 3**0.5))
    assert charts["delivered--rate.svg"].parameter == "rate (Mbps)"
    assert charts["delivered--kind.svg"].scale == "categories"


def test_what_has_no_room_in_a_chart_gets_charts_of_its_own(tmp_path: Path) -> None:
    points = [{"x": str(x), "y": str(y), "z": str(z)} for x in range(3) for y in range(5) for z in range(6)]
    runs = [Made(point, metrics={"m": 1.0}) for point in range(1, len(points) + 1)]
    charts = list(charts_of(read_batch_data(make_batch(tmp_path / "sweep", points, runs))))
    over_x = [each for each in charts if each.chart.parameter == "x"]
    assert {each.chart.facet for each in over_x} == {f"z={z}" for z in range(6)}
    assert all(len(each.chart.series) == 5 and not each.pooled for each in over_x)
    assert len({each.file for each in charts}) == len(charts)


@pytest.mark.parametrize(
    ("texts", "label", "scale", "first"),
    [
        (["10", "5", "7.5"], "x", "linear", 5.0),
        (["1", "10", "100"], "x", "log", 1.0),
        (["10ms", "1s", "100ms"], "x (s)", "log", 0.01),
        (["1Mbps", "1500kbps", "2Mbps"], "x (Mbps)", "linear", 1.0),
        (["64KiB", "1MiB"], "x (MiB)", "linear", 0.0625),
        (["0%", "0.5%", "20%"], "x (%)", "linear", 0.0),
        (["1%", "0.5"], "x", "categories", None),
        (["nan", "1"], "x", "categories", None),
        (["tiny", "10"], "x", "categories", None),
    ],
)
def test_axes(texts: list[str], label: str, scale: str, first: float | None) -> None:
    axis = axis_of("x", texts, log_scale=False)
    assert (axis.label, axis.scale) == (label, scale)
    assert (axis.places[axis.texts[0]] if axis.places else None) == first


def test_an_axis_is_logarithmic_where_the_sweep_says_so() -> None:
    sweep = "parameters: {a: {from: 1, to: 9, scale: log}, b: [1, 2]}\nsample: {parameters: {c: {from: 1, to: 2, scale: log}}}"
    assert log_parameters(sweep) == {"a", "c"}
    assert log_parameters("][") == set()
    assert axis_of("a", ["1", "4", "5"], log_scale=True).scale == "log"
    assert axis_of("a", ["0", "4", "5"], log_scale=True).scale == "linear"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_what_is_behind_them(scheme: str) -> None:
    blocks = re.findall(r":root \{(.*?)\}", STYLE.read_text(), re.DOTALL)
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", blocks[0] if scheme == "light" else "".join(blocks[:2])))
    pairs = [(word, ground) for word in ("ink", "soft", "link") for ground in ("paper", "page", "panel")]
    pairs += [(word, f"{word}-bg") for word in ("good", "bad", "warn", "calm")]
    pairs += [(word, "paper") for word in ("good", "bad", "warn", "calm")]
    pairs += [("on-bar", bar) for bar in ("ok-bar", "bad-bar")] + [
        ("ink", "daemon-bar"),
        ("ink", "code"),
        ("soft", "band"),
    ]
    pairs += [("on-bar", "stop-bar")]
    for word, ground in pairs:
        light, dark = sorted((luminance(colours[word]), luminance(colours[ground])), reverse=True)
        least = 4.0 if ground == "stop-bar" else 4.5
        assert (light + 0.05) / (dark + 0.05) >= least, f"{word} on {ground}"


def luminance(colour: str) -> float:
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_power_of_ten_of_an_axis_does_not_stand_in_the_legend() -> None:
    def height(factor: float) -> float:
        series = [Series(label, [Sample(1, factor * each), Sample(2, factor)]) for label, each in (("a", 2), ("b", 3))]
        found = re.search(r'viewBox="0 0 [0-9.]+ ([0-9.]+)"', draw_metric(MetricChart("m", "p", series)))
        assert found
        return float(found[1])

    assert height(1e30) > height(1.0)


def drawn_words(*samples: Sample) -> list[str]:
    return re.findall(r">([^<>\n]+)</text>", draw_metric(MetricChart("m", "p", [Series("", samples)])))


def test_an_axis_is_labelled_where_points_are_and_not_between_whole_numbers() -> None:
    assert drawn_words(Sample(1, 5), Sample(2, 6))[:3] == ["1", "2", "p"]
    assert drawn_words(Sample(0.5, 5), Sample(2, 6), Sample(4, 6))[:4] == ["0.5", "2", "4", "p"]
    many = drawn_words(*(Sample(each, each) for each in range(1, 12)))
    assert all(word.isdecimal() for word in many[: many.index("p")])


def test_only_an_interval_that_dwarfs_the_others_is_cut() -> None:
    def highest(*reaches: float) -> float:
        samples = [Sample(at, 5 + at / 10, 5 - reach, 5 + reach) for at, reach in enumerate(reaches)]
        return max(float(word) for word in drawn_words(*samples)[len(reaches) + 1 :] if re.fullmatch(r"[0-9.]+", word))

    assert highest(2, 2, 2) > 6.5
    assert highest(0.1, 0.1, 100) < 10
