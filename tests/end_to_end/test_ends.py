"""How runs end: each status with its exit code, a finished run.json, one clear message, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from .conftest import Bench, marked_processes, namespaces, wait_for

PAIR = """\
node a qemu
node b qemu
link a b delay=1ms
"""


def single_run(bench: Bench) -> Path:
    (path,) = bench.runs.glob("*/*/run.json")
    return path


@pytest.mark.parametrize(
    ("body", "status", "code", "layer"),
    [
        ("    assert False, 'too slow'\n", "failed", 1, "experiment"),
        ("    await bed.run(Task('t', {'a': 'exit 3'}))\n", "failed", 1, "task"),
        ("    await bed.run(Task('t', {'a': Command('sleep 60', timeout_s=0.5)}))\n", "failed", 1, "task"),
        ("    1 / 0\n", "error", 1, "experiment"),
        ("    await bed.run(Task('t', {'nobody': 'true'}))\n", "error", 1, "experiment"),
        ("    return {'x': object()}\n", "error", 1, "experiment"),
        ("    import sys\n    sys.exit(0)\n", "error", 1, "experiment"),
        ("    raise KeyboardInterrupt\n", "error", 1, "experiment"),
        (
            "    await bed.guests['a'].run('{ sleep 1; poweroff -f; } >/dev/null 2>&1 &')\n    await bed.sleep(600)\n",
            "error",
            4,
            "guest",
        ),
        (
            "    await bed.guests['a'].run('{ sleep 1; echo c >/proc/sysrq-trigger; } >/dev/null 2>&1 &')\n"
            "    await bed.run(Task('t', {'b': 'sleep 600'}))\n",
            "error",
            4,
            "guest",
        ),
        ("    await bed.run(Task('t', {'a': 'reboot -f', 'b': 'sleep 30'}))\n", "error", 4, "guest"),
        (
            "    import trio\n"
            "    async with trio.open_nursery() as nursery:\n"
            "        nursery.start_soon(bed.guests['a'].run, 'reboot -f')\n",
            "error",
            4,
            "guest",
        ),
    ],
    ids=[
        "assert",
        "command-failed",
        "command-timeout",
        "exception",
        "unknown-node",
        "metric",
        "exit",
        "interrupt",
        "idle-poweroff",
        "idle-panic",
        "reboot",
        "reboot-in-a-nursery",
    ],
)
def test_experiment_that_fails(bench: Bench, body: str, status: str, code: int, layer: str) -> None:
    topology = bench.file("t.txt", PAIR)
    experiment = bench.file("e.py", f"from qemunet import Command, Task\n\nasync def experiment(bed):\n{body}")
    done, record = bench.run(topology, experiment)
    assert (record["status"], done.returncode, record["error"]["layer"]) == (status, code, layer), done.stderr
    assert json.loads(single_run(bench).read_text()) == record
    assert "Traceback" not in done.stderr
    assert record["ended"] is not None


@pytest.mark.parametrize(
    ("topology", "message"),
    [
        ("node a qemu memroy=1GiB\n", "1:13: "),
        ("node a qemu\nnode b qemu\nlink a@10.0.0.1/24 b@10.0.0.1/24\n", "10.0.0.1"),
        ("node a qemu\nlink a c\n", "2:8: "),
    ],
    ids=["misspelt-key", "address-twice", "unknown-node"],
)
def test_topology_with_a_mistake(bench: Bench, topology: str, message: str) -> None:
    path = bench.file("t.txt", topology)
    experiment = bench.file("e.py", "async def experiment(bed):\n    pass\n")
    done, record = bench.run(path, experiment)
    assert done.returncode == 2
    assert record["error"]["layer"] == "input"
    assert message in record["error"]["message"]
    assert "Traceback" not in done.stderr
    assert not bench.runs.exists()


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("async def experiment(bed:\n    pass\n", "e.py:1:"),
        ("x = 1\n", "e.py: has no function"),
        ("1 / 0\n", "e.py:1:1:"),
    ],
    ids=["syntax", "no-experiment", "raises"],
)
def test_experiment_that_does_not_load(bench: Bench, text: str, where: str) -> None:
    done, record = bench.run(bench.file("t.txt", PAIR), bench.file("e.py", text))
    assert done.returncode == 2
    assert record["error"]["layer"] == "input"
    assert where in record["error"]["message"]
    assert "Traceback" not in done.stderr


def test_unknown_parameter_is_refused(bench: Bench) -> None:
    topology = bench.file("t.txt", "param rate = 1Mbps\nnode a qemu\nnode b qemu\nlink a b rate=${rate}\n")
    done, record = bench.run(topology, bench.file("e.py", "async def experiment(bed):\n    pass\n"), "-p", "rat=2Mbps")
    assert done.returncode == 2
    assert "did you mean rate" in record["error"]["message"]


def test_kernel_that_does_not_exist(bench: Bench) -> None:
    topology = bench.file("t.txt", "node a qemu kernel=/nowhere/vmlinuz\nnode b qemu\nlink a b\n")
    done, record = bench.run(topology, bench.file("e.py", "async def experiment(bed):\n    pass\n"))
    assert done.returncode == 2
    assert record["error"]["layer"] == "input"
    assert "/nowhere/vmlinuz" in record["error"]["message"]


def test_guest_that_panics_at_boot(bench: Bench) -> None:
    topology = bench.file("t.txt", "node a qemu append='rdinit=/nowhere root=/dev/nowhere'\nnode b qemu\nlink a b\n")
    done, record = bench.run(topology, bench.file("e.py", "async def experiment(bed):\n    pass\n"))
    assert (done.returncode, record["status"], record["error"]["layer"]) == (4, "error", "guest"), done.stderr
    assert record["error"]["node"] == "a"
    assert "panic" in record["error"]["message"]
    assert "Traceback" not in done.stderr


def test_missing_qemu(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    topology = bench.file("t.txt", PAIR)
    experiment = bench.file("e.py", "async def experiment(bed):\n    pass\n")
    hidden = bench.directory / "bin"
    hidden.mkdir()
    for folder in os.environ["PATH"].split(":"):
        for program in Path(folder).glob("*"):
            if not program.name.startswith("qemu") and not (hidden / program.name).exists():
                (hidden / program.name).symlink_to(program)
    monkeypatch.setenv("PATH", str(hidden))
    done, record = bench.run(topology, experiment)
    assert (done.returncode, record["error"]["layer"]) == (3, "host"), done.stderr
    assert "qemu-system-x86" in record["error"]["hint"]
    assert json.loads(single_run(bench).read_text())["status"] == "error"


def test_standard_output_is_the_results_alone(bench: Bench) -> None:
    experiment = bench.file(
        "e.py",
        "import os\nprint('loading')\n\n"
        "async def experiment(bed):\n"
        "    print('printed')\n    os.write(1, b'written')\n    os.system('echo from a shell')\n"
        "    return {'nan': float('nan'), 'many': [float('inf'), 1]}\n",
    )
    done, record = bench.run(bench.file("t.txt", "node a container\n"), experiment)
    assert record["metrics"] == {"nan": None, "many": [None, 1]}
    for text in ("loading", "printed", "written", "from a shell"):
        assert text in done.stderr


def test_signal_ends_an_experiment_that_blocks(bench: Bench) -> None:
    blocking = "import time\n\nasync def experiment(bed):\n    (bed.directory / 'here').touch()\n    time.sleep(600)\n"
    process = bench.start(bench.file("t.txt", "node a container\n"), bench.file("e.py", blocking))
    wait_for(lambda: any(bench.runs.glob("e/1/here")), lambda: "the experiment did not start")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143
    assert json.loads(single_run(bench).read_text())["status"] == "interrupted"


SLEEPER = """\
from qemunet import Task

async def experiment(bed):
    bed.progress("sleeping")
    await bed.run(Task("sleep", {"a": "sleep 600", "b": "sleep 600"}))
"""


def running_task(bench: Bench, process: subprocess.Popen[str]) -> Path:
    """The run directory, once the Task's commands have begun."""

    def begun() -> bool:
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        return any(
            text.count('"started"') >= 2 for text in (p.read_text() for p in bench.runs.glob("*/*/events.jsonl"))
        )

    wait_for(begun, lambda: "the Task did not begin")
    return single_run(bench).parent


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_ends_the_run_in_order(bench: Bench, number: signal.Signals, code: int) -> None:
    process = bench.start(bench.file("t.txt", PAIR), bench.file("e.py", SLEEPER))
    directory = running_task(bench, process)
    os.killpg(process.pid, number)  # as a terminal does: to the whole foreground group
    process.communicate(timeout=60)
    assert process.returncode == code
    record = json.loads((directory / "run.json").read_text())
    assert record["status"] == "interrupted"
    assert record["fidelity"] is not None


def test_kill_leaves_nothing_and_reads_as_interrupted(bench: Bench) -> None:
    process = bench.start(bench.file("t.txt", PAIR), bench.file("e.py", SLEEPER))
    directory = running_task(bench, process)
    listed = bench.qemunet("ps")
    assert str(directory) in listed.stdout
    own = namespaces(marked_processes(bench.mark)) - namespaces([os.getpid()])
    assert own
    process.kill()
    process.communicate(timeout=60)
    bench.assert_nothing_left()
    assert own.isdisjoint(namespaces())
    assert json.loads((directory / "run.json").read_text())["status"] == "running"
    for line in (directory / "events.jsonl").read_text().splitlines():
        json.loads(line)
    assert str(directory) not in bench.qemunet("ps").stdout
    cleaned = bench.qemunet("clean", "--runs-dir", bench.runs)
    assert str(directory) in cleaned.stdout
    assert json.loads((directory / "run.json").read_text())["status"] == "interrupted"
