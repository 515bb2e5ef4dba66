"""Which runs are executed, how often, and what the index says: with processes that do what a script says."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from qemunet.batch import schedule
from qemunet.batch.executor import OUTPUT, find_attempt
from qemunet.batch.index import AttemptRow, Index, open_index
from qemunet.batch.model import Attempt, Job, Repeat, Retry, Sweep, Until
from qemunet.batch.outcome import cause_of, counted_attempt, exit_status, why_of
from qemunet.batch.recovery import recover
from qemunet.batch.schedule import Schedule, plan_runs
from qemunet.batch.view import time_left
from qemunet.errors import HostError
from qemunet.process import process_alive
from tests.batches import Recorder, a_sweep, executor, new_index, script


def perform(
    batch: Path, sweep: Sweep, *, index: Index | None = None, capacity: int = 2, hang_s: float = 60.0
) -> tuple[Index, Recorder]:
    """Run a batch to its end."""
    index, view = index or new_index(batch, sweep), Recorder()

    async def main() -> None:
        with trio.fail_after(60):
            await recover(index, sweep.retry, say=print, end_s=5.0)
            await Schedule(sweep, index, executor(capacity), view=view, hang_s=hang_s).run()

    trio.run(main)
    return index, view


def statuses(index: Index, run: int) -> list[str]:
    return [row.status for row in index.attempts(run)]


def test_every_run_is_executed_once_and_no_more_at_a_time_than_fit(tmp_path: Path) -> None:
    index, view = perform(tmp_path, a_sweep(points=3, repeat=2), capacity=2)
    assert index.states() == {"done": 6}
    assert index.statuses() == {"passed": 6}
    assert sorted(view.begun) == [(run, 1) for run in range(1, 7)]
    assert 1 <= view.most <= 2
    for row in index.counted():
        directory = tmp_path / str(row.directory)
        record = json.loads((directory / "run.json").read_text())
        assert record["batch"] == {"run": row.run, "attempt": 1}
        assert (directory / OUTPUT).read_text() == "words of the run\n"
        assert (row.metrics, row.executor, row.exit_status) == ({"x": row.run}, "local", 0)
        assert row.started < str(row.ended)
    assert not list(tmp_path.glob(".*.log"))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["failed", "passed"], ["failed"]),
        (["error:experiment", "passed"], ["error"]),
        (["error:guest", "passed"], ["error", "passed"]),
        (["error:host"], ["error", "error"]),
        (["error:simulation", "error:guest", "failed"], ["error", "error", "failed"]),
        (["unfaithful", "unfaithful", "passed"], ["unfaithful", "unfaithful", "passed"]),
        (["unfaithful"], ["unfaithful"] * 3),
        (["unfaithful", "error:guest", "unfaithful", "error:guest"], ["unfaithful", "error", "unfaithful", "error"]),
        (["die", "passed"], ["lost", "passed"]),
        (["nothing"], ["lost", "lost"]),
        (["input", "passed"], ["error"]),
    ],
)
def test_a_run_is_repeated_by_what_failed(tmp_path: Path, words: list[str], expected: list[str]) -> None:
    script(tmp_path, {1: words})
    index, view = perform(tmp_path, a_sweep(points=2))
    assert statuses(index, 1) == expected
    assert statuses(index, 2) == ["passed"]
    (counted,) = [row for row in index.counted() if row.run == 1]
    assert counted.attempt == len(expected)
    assert view.counted == {1: 1, 2: 1}
    assert all(row.why for row in index.attempts())


def test_what_a_run_says_that_has_no_directory(tmp_path: Path) -> None:
    script(tmp_path, {1: ["nothing"], 2: ["input"], 3: ["die"]})
    index, _ = perform(tmp_path, a_sweep(points=3))
    nothing, refused, died = (index.attempts(run)[0] for run in (1, 2, 3))
    assert (nothing.directory, nothing.exit_status) == (None, 7)
    assert nothing.why == "left no result, exit 7: it does not even begin"
    assert (refused.directory, refused.why) == (None, "input: no such file")
    assert died.directory is not None
    assert died.why == "left no result, killed by signal 9"
    record = {"fidelity": {"summary": "unfaithful: lag max 3 ms"}}
    assert why_of("unfaithful", record, Attempt(None, record, 5, "", "local")) == "lag max 3 ms"


def test_a_run_that_hangs_in_its_teardown_is_ended(tmp_path: Path) -> None:
    script(tmp_path, {1: ["deaf", "passed"]})
    sweep = replace(a_sweep(), timeout_s=0.5)
    index, view = new_index(tmp_path, sweep), Recorder()

    async def main() -> None:
        with trio.fail_after(60):
            await Schedule(sweep, index, executor(1, end_s=0.1), view=view, hang_s=2.0).run()

    trio.run(main)
    assert statuses(index, 1) == ["lost", "passed"]
    assert "did not end within 2 s of its time-out of 0.5 s" in index.attempts(1)[0].why


def test_the_order(tmp_path: Path) -> None:
    points = {number: {"x": str(number)} for number in range(1, 31)}
    grid = plan_runs(a_sweep(points=30, repeat=2), points)
    assert [run.position for run in grid] == list(range(1, 61))
    first, second, other = (
        plan_runs(replace(a_sweep(points=30, repeat=2), order="random", seed=seed), points) for seed in (1, 1, 2)
    )
    assert first == second
    assert [run.position for run in first] != [run.position for run in other]
    assert sorted(run.position for run in first) == list(range(1, 61))
    assert len({run.seed for run in grid}) == 60
    index, view = perform(tmp_path, replace(a_sweep(points=8), order="random"), capacity=1)
    assert [run for run, _ in view.begun] == [run.run for run in index.runs()]


# --- stopping and going on


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110
        await trio.sleep(0.01)  # between two looks at a condition


def test_a_stop_ends_the_runs_and_the_rest_is_done_later(tmp_path: Path) -> None:
    script(tmp_path, {2: ["wait", "passed"], 3: ["deaf", "passed"]})
    sweep, view = a_sweep(points=4), Recorder()
    index = new_index(tmp_path, sweep)

    async def main() -> None:
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(Schedule(sweep, index, executor(3, end_s=0.2), view=view).run)
                await until(
                    lambda: (
                        index.statuses() == {"passed": 2}
                        and all(find_attempt(tmp_path, run, 1) for run in (2, 3))
                        and any(tmp_path.glob("e/*/deaf"))
                    )
                )
                nursery.cancel_scope.cancel()

    trio.run(main)
    assert index.states() == {"done": 2, "planned": 2}
    for run in (2, 3):
        (row,) = index.attempts(run)
        assert (row.status, row.why) == ("cut", "the batch was stopped")
        record = json.loads((tmp_path / str(row.directory) / "run.json").read_text())
        assert record["status"] == ("interrupted" if run == 2 else "running")
        assert not process_alive(record["process"]["pid"], record["process"]["start_ticks"])
    index, _ = perform(tmp_path, sweep, index=index)
    assert index.states() == {"done": 4}
    assert [statuses(index, run) for run in (1, 2, 3, 4)] == [
        ["passed"],
        ["cut", "passed"],
        ["cut", "passed"],
        ["passed"],
    ]


def forget(index: Index, *statements: str) -> None:
    """Change the index behind its back."""
    index.close()
    with sqlite3.connect(index.directory / "index.sqlite") as connection:
        for statement in statements:
            connection.execute(statement)


def test_directories_that_the_index_does_not_know_are_adopted(tmp_path: Path) -> None:
    script(tmp_path, {3: ["error:guest", "passed"], 4: ["die", "passed"]})
    sweep = a_sweep(points=5)
    index, _ = perform(tmp_path, sweep)
    before = {row.run: row for row in index.counted()}
    forget(
        index,
        "DELETE FROM attempts WHERE run = 1",  # its row is lost
        "UPDATE attempts SET status = 'running', directory = NULL, ended = NULL WHERE run = 2",  # its end is
        "DELETE FROM attempts WHERE run = 3 AND attempt = 2",  # it was to be tried again, and was
        "DELETE FROM attempts WHERE run = 4",  # its first try left nothing
        "UPDATE runs SET state = 'running', attempt = NULL WHERE run < 5",
    )
    index = opened(tmp_path)
    index, view = perform(tmp_path, sweep, index=index)
    assert view.begun == []
    for row in index.counted():
        was = before[row.run]
        assert (row.attempt, row.status, row.directory, row.metrics) == (
            was.attempt,
            was.status,
            was.directory,
            was.metrics,
        )
    assert statuses(index, 4) == ["cut", "passed"]


def test_what_was_running_without_a_trace_is_cut_and_run_again(tmp_path: Path) -> None:
    sweep = a_sweep(points=2)
    index = new_index(tmp_path, sweep)
    assert index.begin(2, executor="local") == 1
    (tmp_path / ".2-1.log").write_text("words\n")
    index, view = perform(tmp_path, sweep, index=index)
    assert statuses(index, 2) == ["cut", "passed"]
    assert sorted(view.begun) == [(1, 1), (2, 2)]
    assert not list(tmp_path.glob(".*.log"))


def test_recovery_changes_nothing_the_second_time(tmp_path: Path) -> None:
    script(tmp_path, {1: ["unfaithful"], 2: ["die"]})
    sweep = a_sweep(points=3)
    index, _ = perform(tmp_path, sweep)
    rows = index.attempts()
    again, view = perform(tmp_path, sweep, index=index)
    assert (again.attempts(), view.begun) == (rows, [])


def test_an_index_that_takes_no_more_stops_the_batch_and_it_goes_on_later(tmp_path: Path) -> None:
    sweep = a_sweep(points=4)
    index = new_index(tmp_path, sweep)
    forget(
        index,
        "CREATE TRIGGER full BEFORE UPDATE ON runs WHEN new.state = 'done' BEGIN SELECT raise(ABORT, 'full'); END",
    )
    with pytest.raises(HostError, match=r"index\.sqlite: full") as caught:
        perform(tmp_path, sweep, index=opened(tmp_path))
    assert "--resume" in str(caught.value.hint)
    index = opened(tmp_path)
    assert index.statuses() == {}
    forget(index, "DROP TRIGGER full")
    index, _ = perform(tmp_path, sweep, index=opened(tmp_path))
    assert index.statuses() == {"passed": 4}
    assert {row.status for row in index.attempts()} <= {"passed", "cut"}


def test_a_worker_that_always_dies_does_not_go_on_for_ever(tmp_path: Path) -> None:
    class Dying:
        name, capacity = "dying", 1

        async def execute(self, job: Job) -> Attempt:
            await trio.lowlevel.checkpoint()
            return Attempt(None, None, None, "the worker died", "dying")

    sweep = a_sweep()
    index = new_index(tmp_path, sweep)
    trio.run(Schedule(sweep, index, Dying(), view=Recorder()).run)
    assert statuses(index, 1) == ["cut"] * schedule.MOST_CUTS + ["lost"] * 2
    assert index.states() == {"done": 1}


@pytest.mark.parametrize(
    ("values", "runs"), [(["5", "5", "5"], 3), (["4", "6", "5", "5"], 4), (["1", "9", "1", "9", "1"], 5)]
)
def test_the_stopping_rule_adds_runs_between_min_and_max(tmp_path: Path, values: list[str], runs: int) -> None:
    sweep = replace(a_sweep(), repeat=Repeat(3, 5, Until("x", relative_error=0.45)))
    script(tmp_path, {number: [f"passed:{value}"] for number, value in enumerate(values, 1)})
    index, view = perform(tmp_path, sweep)
    assert index.states() == {"done": runs}
    assert (view.added, view.warnings) == (runs - 3, [])
    assert [(run.run, run.repetition) for run in index.runs()] == [(number, number) for number in range(1, runs + 1)]
    # A stop right before further runs were added is made good.
    forget(index, "DELETE FROM runs WHERE run > 2", "DELETE FROM attempts WHERE run > 2")
    for number in range(3, runs + 1):
        shutil.rmtree(find_attempt(tmp_path, number, 1) or tmp_path / "nothing")
    again, _ = perform(tmp_path, sweep, index=opened(tmp_path))
    assert again.states() == {"done": runs}


def test_a_stopping_rule_whose_metric_no_run_has_is_told_once(tmp_path: Path) -> None:
    sweep = replace(a_sweep(points=3), repeat=Repeat(2, 4, Until("xx", relative_error=0.1)))
    index, view = perform(tmp_path, sweep)
    assert index.states() == {"done": 12}
    assert view.warnings == ["no number 'xx', by which repetitions end, is among the metrics; did you mean 'x'?"]


# --- the rules


ROWS = st.lists(
    st.sampled_from(
        ["passed", "failed", "unfaithful", "cut", "lost", "interrupted", "host", "guest", "simulation", "experiment"]
    ),
    max_size=12,
)


@given(words=ROWS, retry=st.builds(Retry, *[st.integers(0, 3)] * 4))
def test_which_attempt_counts(words: list[str], retry: Retry) -> None:
    rows = [
        AttemptRow(1, number, None, word if word in schedule_statuses else "error", error={"layer": word})
        for number, word in enumerate(words, 1)
    ]
    counted = counted_attempt(rows, retry)
    ended = [row for row in rows if row.status != "cut"]
    if counted is None:
        # Further tries come to an end.
        more = [*rows, *(AttemptRow(1, len(rows) + each, None, "lost") for each in range(1, retry.host + 2))]
        assert not ended or cause_of(ended[-1]) is not None
        assert counted_attempt(more, retry) is not None
    else:
        assert counted == ended[-1].attempt


schedule_statuses = {"passed", "failed", "unfaithful", "cut", "lost", "interrupted"}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ({"passed": 3}, 0),
        ({"passed": 3, "failed": 1}, 1),
        ({"failed": 1, "unfaithful": 1}, 5),
        ({"failed": 1, "unfaithful": 1, "error": 1}, 4),
        ({"passed": 1, "lost": 1}, 4),
    ],
)
def test_exit_status_of_a_batch(words: Mapping[str, int], code: int) -> None:
    assert exit_status(words) == code


def test_what_an_experiment_raises_is_no_failure_of_the_host(tmp_path: Path) -> None:
    sweep = a_sweep(points=2)
    index = new_index(tmp_path, sweep)
    script(tmp_path, {1: ["error:experiment"]})
    trio.run(Schedule(sweep, index, executor(), view=Recorder()).run)
    statuses = index.statuses()
    assert (statuses, index.experiment_errors()) == ({"passed": 1, "error": 1}, 1)
    assert exit_status(statuses, experiment_errors=1) == 1
    assert exit_status({"error": 2, "unfaithful": 1}, experiment_errors=1) == 4
    assert exit_status({"error": 1, "unfaithful": 1}, experiment_errors=1) == 5
    index.close()


@pytest.mark.parametrize(
    ("runs", "durations_s", "jobs", "text"),
    [
        (10, [], 1, ""),
        (10, [1.0, 2.0, 90.0], 2, "about 10 s left"),
        (100, [6.0], 2, "about 5.0 min left"),
        (3000, [12.0], 1, "about 10.0 h left"),
    ],
)
def test_time_left(runs: int, durations_s: Sequence[float], jobs: int, text: str) -> None:
    assert time_left(runs, durations_s, jobs) == text


def opened(directory: Path) -> Index:
    index = open_index(directory)
    assert index is not None
    return index
