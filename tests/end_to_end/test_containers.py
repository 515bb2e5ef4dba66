"""Containers as guests: alone, many of them, and beside machines, on every link and attachment."""

from __future__ import annotations

import json
import os
import resource
import shutil
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT, Bench, marked_processes, namespaces, wait_for

PAIR = ROOT / "topologies" / "pair.txt"
CHAIN = ROOT / "topologies" / "chain.txt"
FIRST_LOOK = ROOT / "experiments" / "first_look.py"
REACHABILITY = ROOT / "experiments" / "reachability.py"
ATTACHMENTS = [
    pytest.param(("-p", "link=wire", "-p", "attach=native"), id="wire"),
    pytest.param(("-p", "link=csma", "-p", "attach=native"), id="csma"),
    pytest.param(("-p", "link=csma", "-p", "attach=tapbridge"), id="tapbridge"),
]

pytestmark = pytest.mark.skipif(
    not os.access("/dev/net/tun", os.R_OK | os.W_OK), reason="/dev/net/tun may not be opened"
)
needs_tools = pytest.mark.skipif(
    not (shutil.which("ping") and shutil.which("iperf")), reason="ping or iperf is not installed"
)


def judged(bench: Bench, *words: str | Path) -> dict[str, Any]:
    """A run that passed; how well it kept time on this machine is not the question."""
    done, record = bench.run(*words)  # type: ignore[arg-type]
    assert record["verdict"] == "passed", done.stderr
    return record


@needs_tools
@pytest.mark.parametrize("how", ATTACHMENTS)
def test_pair(bench: Bench, how: tuple[str, ...]) -> None:
    assert judged(bench, PAIR, REACHABILITY, "-p", "kind=container", "-p", "delay=10us", *how)["metrics"] == {
        "pairs_reached": 2
    }


@needs_tools
@pytest.mark.parametrize("how", ATTACHMENTS)
def test_chain_of_bridging_containers(bench: Bench, how: tuple[str, ...]) -> None:
    record = judged(bench, CHAIN, REACHABILITY, "-p", "kind=container", *how)
    assert record["metrics"] == {"pairs_reached": 2}


@needs_tools
@pytest.mark.parametrize(("name", "pairs"), [("star", 12), ("dumbbell", 12), ("campus", 110)])
def test_shipped_topologies_of_one_subnet(bench: Bench, name: str, pairs: int) -> None:
    record = judged(bench, ROOT / "topologies" / f"{name}.txt", REACHABILITY, "-p", "kind=container")
    assert record["metrics"] == {"pairs_reached": pairs}


@needs_tools
def test_a_network_of_topohub(bench: Bench) -> None:
    for _ in range(3):  # A machine busy with other things may spoil one, not three in a row.
        done, record = bench.run("topohub:topozoo/Abilene", ROOT / "experiments" / "round_trips.py")
        if record["status"] != "unfaithful":
            break
    assert record["status"] == "passed", done.stderr
    assert record["metrics"]["pairs_reached"] == 110
    assert record["topology"] == "topohub:topozoo/Abilene"
    assert record["parameters"].items() >= {"kind": "container", "link": "wire", "routing": "static"}.items()
    assert json.loads((Path(record["directory"]) / "topology.txt").read_text())["graph"]["name"] == "abilene"


@needs_tools
def test_main_job_over_containers(bench: Bench) -> None:
    for _ in range(3):  # A machine busy with other things may spoil one, not three in a row.
        done, record = bench.run(PAIR, FIRST_LOOK, "-p", "kind=container")
        if record["status"] != "unfaithful":
            break
    assert record["status"] == "passed", done.stderr
    assert 40 <= record["metrics"]["round_trip_median_ms"] <= 45
    assert 9.0 <= record["metrics"]["throughput_mbps"] <= 10.0
    directory = Path(record["directory"])
    assert json.loads((directory / "host.json").read_text())["accel"] == {}
    assert (directory / "console" / "client.log").stat().st_size > 0
    assert not any((directory / "qemu").iterdir())


TRANSFER = """\
from qemunet import Daemon, Task

BYTES = 3_000_000

async def experiment(bed):
    one, other = bed.guests
    for source, sink in ((one, other), (other, one)):
        address = bed.guests[sink].address
        await bed.run(Task("listen", {sink: Daemon("iperf -s", until="run")}))
        await bed.guests[sink].wait_until_succeeds("grep -q ':1389 ' /proc/net/tcp /proc/net/tcp6")
        done = await bed.run(Task("send", {source: f"iperf -c {address} -n {BYTES} -f k"}))
        assert "sec" in done[source].output and "failed" not in done[source].output, done[source].output
        # An MTU of the link, filled to the last byte, and a datagram that needs fragments.
        await bed.run(Task("full", {source: f"ping -c 1 -s 1472 {address}"}))
        await bed.run(Task("fragments", {source: f"ping -c 1 -s 4000 {address}"}))
"""


@needs_tools
@pytest.mark.parametrize("how", ATTACHMENTS)
@pytest.mark.parametrize("other", ["container", "qemu"])
def test_streams_pass_both_ways(bench: Bench, how: tuple[str, ...], other: str) -> None:
    topology = bench.file(
        "t.txt",
        f"param link = wire\nparam attach = native\noption attach=${{attach}}\n"
        f"node a container\nnode b {other}\nlink a b ${{link}}\n",
    )
    judged(bench, topology, bench.file("transfer.py", TRANSFER), *how)


MANY = """\
from qemunet import Task

async def experiment(bed):
    done = await bed.run(Task("all", {name: "hostname" for name in bed.guests}))
    assert {name: f"{name}\\n" for name in bed.guests} == {name: ended.output for name, ended in done.items()}
    return {"guests": len(done)}
"""


def test_a_hundred_run_one_task(bench: Bench) -> None:
    topology = bench.file("t.txt", "node n[1-100] container disk=4MiB\nchain n[1-100]\n")
    # Each takes some ten descriptors, of which a user has 1024 if nothing is said, and may have more.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        record = judged(bench, topology, bench.file("many.py", MANY))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert record["metrics"] == {"guests": 100}


PAIR_TEXT = "node a container\nnode b container\nlink a b\n"


@pytest.mark.parametrize(("command", "what"), [("reboot -f", "rebooted"), ("poweroff -f", "shut itself down")])
def test_a_container_that_ends_is_named(bench: Bench, command: str, what: str) -> None:
    # The kernel lets the caller of reboot(2) end well before it ends the others: the rest of the command may begin.
    tasks = f"Task('t', {{'a': '{command}; sleep 30', 'b': 'sleep 30'}})"
    text = f"from qemunet import Task\n\nasync def experiment(bed):\n    await bed.run({tasks})\n"
    done, record = bench.run(bench.file("t.txt", PAIR_TEXT), bench.file("e.py", text))
    assert (record["status"], done.returncode, record["error"]["layer"]) == ("error", 4, "guest"), done.stderr
    assert record["error"]["node"] == "a"
    assert what in record["error"]["message"]
    assert "Traceback" not in done.stderr


def test_no_qemu_is_needed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = bench.directory / "bin"
    hidden.mkdir()
    for folder in os.environ["PATH"].split(":"):
        for program in Path(folder).glob("*"):
            if not program.name.startswith("qemu") and not (hidden / program.name).exists():
                (hidden / program.name).symlink_to(program)
    monkeypatch.setenv("PATH", str(hidden))
    judged(bench, bench.file("t.txt", PAIR_TEXT), bench.file("many.py", MANY))


def test_check_lists_what_a_container_does_not_use(bench: Bench) -> None:
    done = bench.qemunet("check", PAIR, "-p", "kind=container")
    assert done.returncode == 0
    assert done.stderr.splitlines() == [f"note: {PAIR}:15:9: container server does not use arch, cpu"]


SLEEPER = """\
from qemunet import Task

async def experiment(bed):
    await bed.run(Task("sleep", {"a": "setsid sleep 600 & sleep 600", "b": "sleep 600"}))
"""


def test_kill_leaves_nothing(bench: Bench) -> None:
    process = bench.start(bench.file("t.txt", PAIR_TEXT), bench.file("e.py", SLEEPER))

    def begun() -> bool:
        assert process.poll() is None
        return any(path.read_text().count('"started"') >= 2 for path in bench.runs.glob("*/*/events.jsonl"))

    wait_for(begun, lambda: "the Task did not begin")
    own = namespaces(marked_processes(bench.mark)) - namespaces([os.getpid()])
    assert own
    process.kill()
    process.communicate(timeout=60)
    bench.assert_nothing_left()
    wait_for(lambda: own.isdisjoint(namespaces()), lambda: "a namespace is left", deadline_s=20)


def test_a_spare_terminal_that_was_left_deaf_is_mended_and_its_shell_kept(bench: Bench) -> None:
    """It used to be looked for by time-outs, for most of a minute where guests were many, until it was given up."""
    experiment = bench.file(
        "deaf.py",
        "async def experiment(bed):\n"
        "    guest = bed.guests['a']\n"
        "    shells = []\n"
        "    for mode in ('inlcr', 'inlcr igncr', 'istrip', 'iuclc', 'echo icanon', '-isig', 'raw'):\n"
        "        async with guest.open() as shell:\n"
        "            shells.append((await shell.run('echo $PPID')).output)\n"
        "            await shell.run(f'stty {mode} </dev/tty')\n"
        "    async with guest.open() as shell:\n"
        "        shells.append((await shell.run('echo $PPID')).output)\n"
        "    return {'shells': len(set(shells)), 'opened': len(shells)}\n",
    )
    record = judged(bench, bench.file("one.txt", "node a container\n"), experiment)
    assert record["metrics"] == {"shells": 1, "opened": 8}


def test_a_long_command_follows_one_that_left_the_terminal_deaf(bench: Bench) -> None:
    """Its lines used to be read as one, of which the shell died, and no other one was looked for."""
    experiment = bench.file(
        "deaf.py",
        "async def experiment(bed):\n"
        "    guest = bed.guests['a']\n"
        "    for mode in ('inlcr', 'inlcr igncr', 'istrip', 'iuclc', 'raw'):\n"
        "        await guest.run(f'stty {mode} </dev/tty')\n"
        "        text = ''.join(f'a line of some text {n}; ' for n in range(800))\n"
        "        assert await guest.succeed(f\"printf %s '{text}'\") == text\n",
    )
    judged(bench, bench.file("one.txt", "node a container\n"), experiment)
