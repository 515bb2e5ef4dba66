"""Starting, firing, stopping, and everything that goes wrong with a worker."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trio

from qemunet.errors import SimulationError
from qemunet.host.probe import probe_realtime
from qemunet.plan.model import EndPlan, Impairments, LinkPlan
from qemunet.simulation import messages
from qemunet.simulation.client import ExtendScript
from qemunet.simulation.failure import ExtendError
from tests.ns3.conftest import end, plan, simulate, wire
from tests.spawner import LocalSpawner

MS = 1_000_000


def consoles(count: int) -> tuple[list[socket.socket], list[socket.socket]]:
    pairs = [socket.socketpair() for _ in range(count)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def quiet_lan() -> LinkPlan:
    """A csma channel without guests, which either simulator can run."""
    return LinkPlan("lan", "csma", (end("a", None), end("b", None)), 1500, (Impairments(rate_bps=10**8),))


@pytest.mark.parametrize("simulator", ["qemunet", "ns3"])
def test_fire_writes_to_all_consoles_in_order(tmp_path: Path, simulator: str) -> None:
    async def main() -> None:
        ours, theirs = consoles(5)
        async with simulate(plan(quiet_lan(), simulator=simulator), tmp_path, start=False) as (simulation, _):
            for number, sock in enumerate(theirs):
                await simulation.attach_console(number, sock.fileno())
            before = time.monotonic_ns()
            origin_ns = await simulation.start()
            assert before <= origin_ns <= time.monotonic_ns()
            at_ns = time.monotonic_ns() - origin_ns + 50 * MS
            firing = await simulation.fire([3, 0, 4, 1, 2], at_ns)
            # The stock simulator takes delays from when it hears of them, not instants.
            assert at_ns <= firing.at_ns <= at_ns + (0 if simulator == "qemunet" else 10 * MS)
            assert not firing.late
            assert firing.failures == {}
            assert list(firing.written_ns) == sorted(firing.written_ns)
            assert firing.written_ns[0] >= origin_ns + at_ns
            for sock in ours:
                assert sock.recv(10) == b" \n"
            report = await simulation.stop()
            assert report.counters.lag.count > 0
            # Every event is in one of the intervals.
            assert report.counters.lag.count <= sum(report.lag.events) <= report.counters.lag.count + 10
            assert max(report.lag.max_ns) >= report.counters.lag.max_ns
            assert all(p99 <= most for p99, most in zip(report.lag.p99_ns, report.lag.max_ns, strict=True))
            assert report.scheduling.policy in ("SCHED_FIFO", "SCHED_OTHER")

    trio.run(main)


def test_fire_as_soon_as_possible_and_too_late(tmp_path: Path) -> None:
    async def main() -> None:
        (ours,), (theirs,) = consoles(1)
        async with simulate(plan(wire()), tmp_path) as (simulation, _):
            await simulation.attach_console(0, theirs.fileno())
            now = await simulation.fire([0])
            assert not now.late
            late = await simulation.fire([0], 1)
            assert late.late
            assert late.at_ns >= now.at_ns > 0
            assert ours.recv(10) == b" \n \n"

    trio.run(main)


@pytest.mark.parametrize("simulator", ["qemunet", "ns3"])
def test_the_first_answers_after_a_firing_are_timed_unread(tmp_path: Path, simulator: str) -> None:
    async def main() -> None:
        _ours, theirs = consoles(3)
        answering, answers = consoles(3)
        async with simulate(plan(quiet_lan(), simulator=simulator), tmp_path) as (simulation, _):
            for number, (sock, answer) in enumerate(zip(theirs, answers, strict=True)):
                await simulation.attach_console(number, sock.fileno(), answer.fileno() if number < 2 else None)
            assert await simulation.arrivals() == {}
            for _ in range(3):
                firing = await simulation.fire([0, 2, 1])
                sent_ns = {}
                for number in (1, 2):
                    sent_ns[number] = time.monotonic_ns()
                    answering[number].send(b"begun")
                with trio.fail_after(10):
                    while not (arrived := await simulation.arrivals()):
                        await trio.lowlevel.checkpoint()
                assert arrived.keys() == {1}
                assert firing.written_ns[2] <= sent_ns[1] <= arrived[1] <= time.monotonic_ns()
                answering[1].send(b"more")
                assert await simulation.arrivals() == arrived
                assert answers[1].recv(10) == b"begunmore"

    trio.run(main)


def policies(process: int) -> set[int]:
    threads = os.listdir(f"/proc/{process}/task")
    return {os.sched_getscheduler(int(thread)) & ~os.SCHED_RESET_ON_FORK for thread in threads}


@pytest.mark.skipif(probe_realtime() is not None, reason="real-time scheduling is not allowed here")
def test_guests_go_first_from_a_firing_until_they_answer(tmp_path: Path) -> None:
    async def main(guest: int) -> None:
        _ours, theirs = consoles(1)
        answering, answers = consoles(1)
        async with simulate(plan(quiet_lan()), tmp_path) as (simulation, _):
            await simulation.attach_console(0, theirs[0].fileno(), answers[0].fileno(), guest=guest)
            assert policies(guest) == {os.SCHED_OTHER}
            for answered in (True, False):
                with trio.fail_after(20):
                    # Who is held up for long sees only what is after it.
                    while policies(guest) != {os.SCHED_FIFO}:
                        await simulation.fire([0])
                if answered:
                    answering[0].send(b"begun")
                with trio.fail_after(20):  # Without an answer it takes a time.
                    while policies(guest) != {os.SCHED_OTHER}:
                        await trio.lowlevel.checkpoint()
                if answered:
                    answers[0].recv(10)
            os.kill(guest, signal.SIGKILL)
            assert not (await simulation.fire([0])).failures

    wait = "import threading; threading.Thread(target=input).start(); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", wait], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as guest:
        assert guest.stdout is not None
        guest.stdout.readline()
        trio.run(main, guest.pid)


def test_requests_out_of_place_are_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with simulate(plan(wire()), tmp_path, start=False) as (simulation, _):
            with pytest.raises(SimulationError, match="has not started"):
                await simulation.fire([])
            with pytest.raises(SimulationError, match="no door 9"):
                await simulation.attach_door(9, 0)
            with pytest.raises(SimulationError, match="neither a datagram socket nor a tap"):
                await simulation.attach_door(0, 0)
            await simulation.start()
            with pytest.raises(SimulationError, match="started already"):
                await simulation.start()
            with pytest.raises(SimulationError, match="no console 4"):
                await simulation.fire([4])
            with pytest.raises(SimulationError, match="shares are 0 to 1"):
                await simulation.set_link("a-b", (Impairments(loss=1.5), None))
            assert not simulation.failed.is_set()

    trio.run(main)


def test_malformed_messages_are_refused_and_harm_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with simulate(plan(wire()), tmp_path) as (simulation, _):
            for data in (
                b"\x01",
                bytes(8),
                b"\xff" * 40000,
                messages.pack(messages.Type.FIRE, 0, b"\xff" * 12),
                messages.pack(messages.Type.FIRE, 0, b"abc"),
                messages.pack(messages.Type.SET_LINK, 0, bytes(3)),
                messages.pack(messages.Type.ATTACH_DOOR, 0, bytes(4)),
                messages.pack(messages.Type.READY, 0),
            ):
                await simulation._control.send(data)
            counters = await simulation.counters()
            assert counters.lag.count >= 0

    trio.run(main)


def test_a_killed_worker_is_noticed(tmp_path: Path) -> None:
    async def main() -> None:
        spawner = LocalSpawner()
        async with simulate(plan(wire()), tmp_path, spawner=spawner) as (simulation, _):
            (worker,) = spawner.processes
            await worker.kill(signal.SIGKILL)
            with trio.fail_after(2):
                await simulation.failed.wait()
            assert isinstance(simulation.error, SimulationError)
            assert "SIGKILL" in str(simulation.error)
            with pytest.raises(SimulationError, match="SIGKILL"):
                await simulation.fire([])

    trio.run(main)


def test_a_worker_killed_while_a_request_waits(tmp_path: Path) -> None:
    async def main() -> None:
        spawner = LocalSpawner()
        async with simulate(plan(wire()), tmp_path, spawner=spawner) as (simulation, _), trio.open_nursery() as nursery:

            async def fire() -> None:
                with pytest.raises(SimulationError, match="SIGTERM"):
                    await simulation.fire([], 10**15)

            nursery.start_soon(fire)
            await simulation.counters()
            await spawner.processes[0].kill(signal.SIGTERM)

    trio.run(main)


def test_the_worker_ends_with_its_controller(tmp_path: Path) -> None:
    async def main() -> None:
        spawner = LocalSpawner()
        async with simulate(plan(wire()), tmp_path, spawner=spawner) as (simulation, _):
            simulation._control.shutdown(socket.SHUT_WR)
            with trio.fail_after(5):
                await spawner.processes[0].wait()

    trio.run(main)


def test_a_worker_kept_from_running_shows_in_the_lag(tmp_path: Path) -> None:
    """Nothing is due in it but its own heartbeat."""

    async def main() -> None:
        spawner = LocalSpawner()
        async with simulate(plan(wire()), tmp_path, spawner=spawner) as (simulation, _):
            (worker,) = spawner.processes
            await worker.kill(signal.SIGSTOP)
            stopped_ns = time.monotonic_ns()
            while time.monotonic_ns() < stopped_ns + 200 * MS:
                await trio.lowlevel.checkpoint()
            await worker.kill(signal.SIGCONT)
            lag = (await simulation.counters()).lag
            assert lag.max_ns > 150 * MS
            assert lag.count > 0

    trio.run(main)


def test_errors_of_the_block_come_out_as_they_are(tmp_path: Path) -> None:
    async def main() -> None:
        spawner = LocalSpawner()
        with pytest.raises(ZeroDivisionError):
            async with simulate(plan(wire()), tmp_path, spawner=spawner):
                raise ZeroDivisionError
        assert spawner.processes[0].returncode is not None

    trio.run(main)


def test_ns3_fatal_error_is_told_in_a_few_words(tmp_path: Path) -> None:
    """The stock simulator has no native doors; the plan refuses it, ns-3 would abort."""

    async def main() -> None:
        with pytest.raises(SimulationError) as caught:
            async with simulate(plan(wire(), simulator="ns3"), tmp_path):
                raise AssertionError("it must not get ready")
        assert "a native door needs our simulator" in str(caught.value)
        assert "SIGABRT" in str(caught.value)
        assert len(str(caught.value).splitlines()) < 8
        assert str(tmp_path / "ns3.log") in str(caught.value.hint)

    trio.run(main)


def test_tapbridge_without_its_tap_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        ends = tuple(EndPlan(name, "eth0", "02:00:00:00:00:01", None, None) for name in "ab")
        tapped = EndPlan("a", "eth0", "02:00:00:00:00:01", 0, "tapbridge", "no-such-tap")
        link = LinkPlan("lan", "csma", (tapped, ends[1]), 1500, (Impairments(),))
        with pytest.raises(SimulationError, match=r"worker was ended by SIG\w+: .*tap"):
            async with simulate(plan(link), tmp_path):
                raise AssertionError("it must not get ready")

    trio.run(main)


EXTEND = """
def extend(ns, network):
    assert network.parameters == {"port": 9}
    times = []
    node = network.node("b")
    device = network.device("b:eth0")
    assert device.GetNode().GetId() == node.GetId()
    assert network.channel("a-b").GetNDevices() == 2
    ns.InternetStackHelper().Install(ns.NodeContainer(node))
    address = ns.Ipv4AddressHelper(ns.Ipv4Address("10.0.0.0"), ns.Ipv4Mask("255.255.255.0"), ns.Ipv4Address("0.0.0.2"))
    address.Assign(ns.NetDeviceContainer(device))
    sink = ns.PacketSinkHelper(
        "ns3::UdpSocketFactory", ns.InetSocketAddress(ns.Ipv4Address.GetAny(), network.parameters["port"]).ConvertTo()
    ).Install(node)
    yield
    return {"received": int(sink.Get(0).GetObject[ns.PacketSink]().GetTotalRx())}
"""


def script(tmp_path: Path, text: str, **parameters: object) -> ExtendScript:
    path = tmp_path / "experiment.py"
    path.write_text(text)
    return ExtendScript(path, parameters)


def udp(payload: bytes, port: int) -> bytes:
    """An IPv4 packet with UDP (without UDP checksum) from 10.0.0.1 to 10.0.0.2."""
    datagram = (1000).to_bytes(2, "big") + port.to_bytes(2, "big") + (8 + len(payload)).to_bytes(2, "big") + bytes(2)
    header = bytes.fromhex("4500") + (28 + len(payload)).to_bytes(2, "big") + bytes.fromhex("0000000040110000")
    header += bytes([10, 0, 0, 1, 10, 0, 0, 2])
    total = sum(int.from_bytes(header[i : i + 2], "big") for i in range(0, 20, 2))
    total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    return header[:10] + total.to_bytes(2, "big") + header[12:] + datagram + payload


def test_extend_puts_an_ns3_host_on_a_guests_wire(tmp_path: Path) -> None:
    async def main() -> None:
        link = wire(ends=(end("a", 0), EndPlan("b", "eth0", "02:00:00:00:00:0b", None, None)))
        async with simulate(plan(link), tmp_path, extend=script(tmp_path, EXTEND, port=9)) as (simulation, (a,)):
            data = bytes.fromhex("02000000000b") + a.mac + b"\x08\x00" + udp(bytes(300), 9)
            await a.send(data)
            while (await simulation.counters()).links["a-b"][0].delivered_frames == 0:
                await trio.lowlevel.checkpoint()
            report = await simulation.stop()
            assert report.metrics == {"received": 300}

    trio.run(main)


def test_extend_that_fails(tmp_path: Path) -> None:
    async def run(text: str) -> ExtendError:
        with pytest.raises(ExtendError) as caught:
            async with simulate(plan(wire()), tmp_path, extend=script(tmp_path, text)) as (simulation, _):
                await simulation.stop()
        return caught.value

    async def main() -> None:
        early = await run("def extend(ns, network):\n    network.node('c')\n")
        assert "no node 'c'; there are a, b" in str(early)
        assert early.layer == "experiment"
        assert early.report is None
        late = await run("def extend(ns, network):\n    yield\n    1 / 0\n")
        assert "ZeroDivisionError" in str(late)
        assert late.report is not None
        wrong = await run("def extend(ns, network):\n    return 5\n")
        assert "not a dict" in str(wrong)

    trio.run(main)
