"""Machines on the image ``tiny``: they boot, run what the image promises, and their end is told from another."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import trio

from qemunet.errors import GuestError, GuestExitedError, MissingRequirement
from qemunet.guest.configure import configuration_script
from qemunet.guest.qemu import open_qemu
from qemunet.plan.model import GuestPlan
from tests.qemu.support import ARCHES, alive, console, guest_plan, read_until, run_in, tiny
from tests.spawner import LocalSpawner

PROGRAMS = [
    "uname -m",
    "ip -Version",
    "tc -Version",
    "bridge -Version",
    "iperf --version; test $? -le 1",
    "iperf3 --version",
    "ping -V",
    "tcpdump --version",
    "traceroute --version",
    "ethtool --version",
    "socat -V",
    "ping -c 1 127.0.0.1",
    "ping -c 1 ::1",
    "ping -c 1 localhost",
    "iperf -s -u & iperf -c 127.0.0.1 -u -t 1 -b 1M; kill $!",
    "iperf3 -s -D && sleep 1 && iperf3 -c 127.0.0.1 -t 1",
    "ip link add br7 type bridge && ip link add link lo name lo.5 type vlan id 5; ip link show br7",
    "ip link add v0 type veth peer name v1 && tc qdisc add dev v0 root netem delay 5ms loss 1%",
    "ip tuntap add t0 mode tap && ip link show t0",
    "for each in /bin/* /sbin/*; do test -e $each || { echo $each; exit 1; }; done",
    "test $(stat -c %u /bin/busybox) = 0",
]


def one_node(arch: str, keys: str = "") -> str:
    return f"node a qemu arch={arch} {keys}\nnode b qemu\nlink a@10.5.0.1/24 b@10.5.0.2/24 wire"


def doors(plan: GuestPlan) -> list[tuple[socket.socket, socket.socket]]:
    return [socket.socketpair(socket.AF_UNIX) for _ in plan.interfaces]


@pytest.mark.parametrize("arch", ARCHES)
def test_boots_and_runs_what_it_promises(arch: str, tmp_path: Path) -> None:
    files = tiny(arch)
    plan = guest_plan(one_node(arch))

    async def main() -> None:
        nets = doors(plan)
        async with open_qemu(
            plan,
            spawner=LocalSpawner(),
            kernel=files.kernel,
            initrd=files.initrd,
            accel="tcg",
            nets=[pair[1].fileno() for pair in nets],
            directory=tmp_path,
        ) as machine:
            shell, control = (console(machine.consoles[name]) for name in ("shell", "control"))
            await read_until(shell, b"qemunet-ready\n")
            await read_until(control, b"qemunet-ready\n")
            assert (await machine.qmp("query_status"))["status"] == "running"
            with pytest.raises(GuestError, match="no-such-command"):
                await machine.qmp("no_such_command")

            assert await run_in(shell, "uname -m") == (0, f"{arch}\n")
            for program in PROGRAMS:
                status, output = await run_in(shell, program)
                assert status == 0, f"{program}: {output}"

            # The terminal passes bytes as they are; the shell is not interactive and its jobs have their own groups.
            assert await run_in(control, "printf 'a\\r\\tb\\033\\n'") == (0, "a\r\tb\033\n")
            assert await run_in(control, "case $- in *i*) exit 1;; esac; tty >&2; exec 2>/dev/tty") == (
                0,
                "not a tty\n",
            )
            await control.send_all(b"trap : INT; set -m; sleep 1000\n")
            await run_in(shell, "until pidof sleep; do :; done")
            await control.send_all(b"\x03")
            assert await run_in(control, "echo back") == (0, "back\n")

            # A shell that ends is followed by another, also when everything was killed.
            await shell.send_all(b"exit\n")
            await read_until(shell, b"qemunet-ready\n")
            await shell.send_all(b"kill -9 -1; kill -9 $$\n")
            await read_until(control, b"qemunet-ready\n")
            await read_until(shell, b"qemunet-ready\n")

            # Configured as the plan says, also where the interface had another name.
            await run_in(shell, "ip link set dev eth0 name wrong")
            status, output = await run_in(shell, configuration_script(plan))
            assert status == 0, output
            assert await run_in(shell, "hostname") == (0, "a\n")
            status, output = await run_in(shell, "ip -brief address show dev eth0; ip link show dev eth0")
            assert "10.5.0.1/24" in output
            assert plan.interfaces[0].mac in output
            await run_in(shell, "ping -c 1 -W 1 10.5.0.2")
            nets[0][0].setblocking(False)
            length, seen = nets[0][0].recv(4), nets[0][0].recv(2000)
            assert 42 <= int.from_bytes(length, "big") <= len(seen)
            assert seen[6:12].hex(":") == plan.interfaces[0].mac

            await shell.send_all(b"poweroff -f\n")
            with trio.fail_after(60):
                assert await machine.wait_ended() == "shutdown"
            with pytest.raises(GuestExitedError, match="shut itself down"):
                await machine.qmp("query_status")
            assert "Linux version" in machine.kernel_log.read_text()
            assert not alive(machine.process.pid)
        for pair in nets:
            for end in pair:
                end.close()

    trio.run(main)


@pytest.mark.parametrize(
    ("command", "reason"), [("reboot -f", "reboot"), ("echo c >/proc/sysrq-trigger", "panic"), (None, "crash")]
)
def test_says_how_it_ended(command: str | None, reason: str, tmp_path: Path) -> None:
    files = tiny("x86_64")
    plan = guest_plan("node a qemu")

    async def main() -> None:
        async with open_qemu(
            plan,
            spawner=LocalSpawner(),
            kernel=files.kernel,
            initrd=files.initrd,
            accel="tcg",
            nets=[],
            directory=tmp_path,
        ) as machine:
            shell = console(machine.consoles["shell"])
            await read_until(shell, b"qemunet-ready\n")
            if command is None:
                await machine.process.kill()
            else:
                await shell.send_all(command.encode() + b"\n")
            with trio.fail_after(60):
                assert await machine.wait_ended() == reason
            error = machine.exited_error()
            assert error.reason == reason
            assert error.node == "a"

    trio.run(main)


def test_panic_at_boot(tmp_path: Path) -> None:
    files = tiny("x86_64")
    plan = guest_plan("node a qemu append=rdinit=/bin/false")

    async def main() -> None:
        async with open_qemu(
            plan,
            spawner=LocalSpawner(),
            kernel=files.kernel,
            initrd=files.initrd,
            accel="tcg",
            nets=[],
            directory=tmp_path,
        ) as machine:
            with trio.fail_after(60):
                assert await machine.wait_ended() == "panic"
            assert "Attempted to kill init" in str(machine.exited_error())

    trio.run(main)


@pytest.mark.parametrize("how", ["leave", "error", "cancel", "stopped"])
def test_nothing_is_left(how: str, tmp_path: Path) -> None:
    files = tiny("x86_64")
    plan = guest_plan("node a qemu")

    async def main() -> int:
        pid = 0
        with trio.CancelScope() as scope:
            async with open_qemu(
                plan,
                spawner=LocalSpawner(),
                kernel=files.kernel,
                initrd=files.initrd,
                accel="tcg",
                nets=[],
                directory=tmp_path,
            ) as machine:
                pid = machine.process.pid
                if how == "error":
                    raise ZeroDivisionError
                if how == "cancel":
                    scope.cancel()
                    await trio.sleep_forever()
                if how == "stopped":
                    # A QEMU that does not listen to QMP any more.
                    await machine.process.kill(19)
        return pid

    if how == "error":
        with pytest.raises(ZeroDivisionError):
            trio.run(main)
    else:
        assert not alive(trio.run(main))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("qemu_args='-machine no-such-machine'", "unsupported machine type"),
        ("qemu_args=-no-such-option", "invalid option"),
    ],
)
def test_launch_failure(keys: str, said: str, tmp_path: Path) -> None:
    files = tiny("x86_64")
    plan = guest_plan(f"node a qemu {keys}")
    with pytest.raises(GuestExitedError, match=said) as caught:
        _open_and_leave(plan, files.kernel, tmp_path)
    assert caught.value.reason == "launch"
    assert "status 1" in caught.value.message
    assert "-no-reboot" in caught.value.message


def test_kernel_that_does_not_exist(tmp_path: Path) -> None:
    plan = guest_plan("node a qemu")
    with pytest.raises(GuestExitedError, match="/no/kernel") as caught:
        _open_and_leave(plan, Path("/no/kernel"), tmp_path)
    assert caught.value.reason == "launch"


def test_qemu_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = guest_plan("node a qemu arch=aarch64")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingRequirement, match="qemu-system-aarch64") as caught:
        _open_and_leave(plan, Path("/no/kernel"), tmp_path)
    assert "qemu-system-arm" in (caught.value.hint or "")


def _open_and_leave(plan: GuestPlan, kernel: Path, directory: Path) -> None:
    async def main() -> None:
        async with open_qemu(
            plan, spawner=LocalSpawner(), kernel=kernel, initrd=kernel, accel="tcg", nets=[], directory=directory
        ):
            pytest.fail("it should not have started")

    trio.run(main)
