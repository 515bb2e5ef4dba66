"""Containers: what is done in one is seen in it, and not on the host."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from signal import Signals

import pytest
import trio

from qemunet.errors import GuestError, HostError
from qemunet.guest.armed import Ended
from qemunet.guest.configure import configuration_script
from qemunet.guest.console import Console
from qemunet.guest.container import Container, open_container
from qemunet.guest.shell import Shell
from qemunet.host.leftovers import running_runs
from qemunet.host.run_init import RunInit
from qemunet.plan import make_plan
from qemunet.plan.model import GuestPlan
from qemunet.topology import parse_topology
from tests.root.runs import Controller, Watch, find_run, in_run

pytestmark = pytest.mark.skipif(
    not os.access("/dev/net/tun", os.R_OK | os.W_OK), reason="/dev/net/tun may not be opened"
)

StartController = Callable[..., Controller]


def guest_plan(keys: str = "", directory: Path | None = None) -> GuestPlan:
    text = f"node box container {keys}\nnode other container\nlink box other"
    return make_plan(parse_topology(text), seed=1, source_directory=directory).guests[0]


class Box:
    """A container with its shell."""

    def __init__(self, container: Container, shell: Shell, control: Shell) -> None:
        self.container = container
        self.shell = shell
        self.control = control

    async def run(self, text: str) -> Ended:
        async with self.shell.lock:
            armed = await self.shell.arm(text)
            armed.fire()
            return await armed.ended()

    async def output(self, text: str) -> str:
        ended = await self.run(text)
        assert ended.exit_status == 0, ended
        return ended.output.decode()


def in_box(body: Callable[[Box], Awaitable[None]], directory: Path, *, plan: GuestPlan | None = None) -> None:
    """Run ``body`` with a container that is up and configured."""

    async def in_its_run(init: RunInit) -> None:
        wanted = plan or guest_plan()
        async with open_container(wanted, starter=init) as container:
            consoles = {}

            async def explain() -> GuestError:
                await container.wait_ended()
                return container.exited_error()

            for name in ("shell", "control"):
                log = directory / f"{name}.log"
                consoles[name] = Console(
                    container.consoles[name], channel=container.channels[name], node="box", log=log, explain=explain
                )
            async with consoles["control"], consoles["shell"]:
                control = Shell(consoles["control"], channel="")
                box = Box(container, Shell(consoles["shell"], channel="", control=control), control)
                await control.synchronize()
                await box.shell.synchronize()
                await box.output(configuration_script(wanted))
                await body(box)

    in_run(in_its_run)


def test_its_own_name_processes_and_interfaces(tmp_path: Path) -> None:
    async def body(box: Box) -> None:
        assert await box.output("hostname; id -u; echo $$ >/dev/null; cat /proc/1/comm >/dev/null") == "box\n0\n"
        assert (await box.output("ls /sys/class/net")).split() == ["eth0", "lo"]
        interfaces = {each["ifname"]: each for each in json.loads(await box.output("ip -json -details address"))}
        assert interfaces["eth0"]["address"] == guest_plan().interfaces[0].mac
        assert interfaces["eth0"]["addr_info"][0]["local"] == "10.0.0.1"
        assert "UP" in interfaces["lo"]["flags"]
        pids = await box.output("cd /proc && echo [0-9]*")
        assert max(map(int, pids.split())) < 1000
        assert str(os.getpid()) not in pids.split()

    in_box(body, tmp_path)


SENTINEL = "qemunet-container-test"


@pytest.mark.parametrize("directory", ["", "/etc", "/tmp", "/run", "/usr", "/var/tmp", "/root", "/dev", "/dev/shm"])
def test_files_stay_inside(tmp_path: Path, directory: str) -> None:
    path = f"{directory}/{SENTINEL}"

    async def body(box: Box) -> None:
        assert await box.output(f"echo inside >{path} && cat {path}") == "inside\n"

    in_box(body, tmp_path)
    assert not os.path.exists(path)


def test_the_hosts_files_are_seen_and_kept(tmp_path: Path) -> None:
    before = Path("/etc/passwd").read_bytes()
    status = os.stat("/etc/passwd")

    async def body(box: Box) -> None:
        assert (await box.run("cat /etc/passwd")).output == before
        if box.container.writing == "mapped":
            assert await box.output("stat -c %u:%g /etc/passwd") == f"{status.st_uid}:{status.st_gid}\n"
            await box.output("echo more >>/etc/passwd; chmod 600 /etc/passwd; rm /etc/group; mv /etc/hosts /etc/gone")
            assert await box.output("tail -n 1 /etc/passwd; test ! -e /etc/group && echo gone") == "more\ngone\n"
        await box.run("rm -rf /usr/share/doc /boot /opt/* /home/* /var/*")

    shares = sorted(os.listdir("/usr/share"))
    in_box(body, tmp_path)
    assert Path("/etc/passwd").read_bytes() == before
    assert os.stat("/etc/passwd") == status
    assert os.path.exists("/etc/group")
    assert sorted(os.listdir("/usr/share")) == shares


def test_host_and_its_temporary_files_are_not_seen(tmp_path: Path) -> None:
    async def body(box: Box) -> None:
        assert await box.output("ls -A /tmp") == ""
        assert SENTINEL not in await box.output("cat /proc/*/cmdline | tr '\\0' ' '; ls /run /dev")
        assert (await box.run(f"test -e {tmp_path}")).exit_status == 1 or not str(tmp_path).startswith("/tmp/")

    in_box(body, tmp_path)


@pytest.mark.parametrize(
    "command",
    [
        "mknod /tmp/disk b 8 0",
        "mknod /tmp/memory c 1 1",
        "mount -t devtmpfs none /mnt",
        "mount -t cgroup2 none /mnt && mkdir /mnt/x",
        "unshare --cgroup true",
        "umount /usr",
        "mount -o remount,rw /sys",
        "echo 1 >/sys/kernel/uevent_helper",
        "echo h >/proc/sysrq-trigger",
        "test -e /dev/kmsg",
        "date -s 2001-01-01",
        "swapoff -a && false",
        "chmod 600 /dev/null",
        "nice -n -20 chrt -f 1 true",
        "dmesg -C",
        "cat /proc/1/mem",
        "ls /proc/1/root/",
        "ls -l /proc/1/exe | grep python",
        "nsenter -t 1 -m true",
    ],
)
def test_what_reaches_the_host_is_refused(tmp_path: Path, command: str) -> None:
    async def body(box: Box) -> None:
        ended = await box.run(f"set -e; {command}")
        assert ended.exit_status != 0, ended.output

    in_box(body, tmp_path)


@pytest.mark.parametrize(("setting", "value"), [("kernel/panic", "7"), ("vm/swappiness", "3"), ("fs/file-max", "9")])
def test_settings_of_the_host_stay(tmp_path: Path, setting: str, value: str) -> None:
    path = Path("/proc/sys", setting)
    before = path.read_text()

    async def body(box: Box) -> None:
        assert (await box.run(f"echo {value} >{path}")).exit_status != 0

    in_box(body, tmp_path)
    assert path.read_text() == before


def test_its_own_network_is_its_own(tmp_path: Path) -> None:
    forward = Path("/proc/sys/net/ipv4/ip_forward")

    def seen() -> tuple[str, list[str]]:
        return forward.read_text(), sorted(os.listdir("/sys/class/net"))

    before = seen()

    async def body(box: Box) -> None:
        await box.output(f"echo 1 >{forward}; ip link add d0 type dummy || true; ip route add default via 10.0.0.2")
        await box.output(
            "hostname other; ip link add name br7 type bridge; mount -t tmpfs none /mnt; unshare --net true"
        )
        assert seen() == before

    name = os.uname().nodename
    in_box(body, tmp_path)
    assert os.uname().nodename == name


def test_a_full_disk_is_its_own(tmp_path: Path) -> None:
    free = os.statvfs("/").f_bavail

    async def body(box: Box) -> None:
        ended = await box.run("dd if=/dev/zero of=/usr/fill bs=1M count=100")
        assert ended.exit_status != 0
        assert b"No space left" in ended.output
        assert (await box.run("dd if=/dev/zero of=/dev/shm/fill bs=1M count=100")).exit_status != 0
        # The shell needs no room on it.
        assert await box.output("echo still here; rm /usr/fill") == "still here\n"

    in_box(body, tmp_path, plan=guest_plan("disk=16MiB"))
    # Others write too; a hundredth of what was written here would be seen.
    assert free - os.statvfs("/").f_bavail < (1 << 30) // os.statvfs("/").f_frsize


@pytest.mark.parametrize(
    ("command", "reason"), [("reboot -f", "reboot"), ("poweroff -f", "shutdown"), ("busybox halt -f", "shutdown")]
)
def test_reboot_ends_the_container(tmp_path: Path, command: str, reason: str) -> None:
    async def body(box: Box) -> None:
        armed = await box.shell.arm(command)
        armed.fire()
        assert await box.container.wait_ended() == reason
        assert box.container.exited_error().reason == reason

    in_box(body, tmp_path)


def test_kill_of_pid_1_is_a_crash(tmp_path: Path) -> None:
    async def body(box: Box) -> None:
        assert (await box.run("kill -9 1; sleep 0")).exit_status == 0
        await box.container.process.kill()
        assert await box.container.wait_ended() == "crash"

    in_box(body, tmp_path)


def test_shells_come_back_and_orphans_are_reaped(tmp_path: Path) -> None:
    async def body(box: Box) -> None:
        for _ in range(5):
            armed = await box.shell.arm("kill -9 -1")
            armed.fire()
            ended = await armed.ended()
            assert ended.exit_status != 0
            await box.control.synchronize()
        await box.output("for i in 1 2 3 4 5; do sh -c 'true &'; done")
        states = await box.output("until ! grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null; do :; done")
        assert "status" not in states.splitlines()[-1:]

    in_box(body, tmp_path)


def test_a_fork_bomb_is_bounded(tmp_path: Path) -> None:
    async def body(box: Box) -> None:
        # It ends by itself where its last processes cannot fork any more.
        ended = await box.run("f() { f & f & }; (f) 2>/tmp/said; until read -r said </tmp/said; do :; done; echo full")
        assert ended.output == b"full\n"
        # What is still on its way is killed; then the container is as before.
        os.write(box.container.consoles["control"], b"kill -9 -1\n")
        await box.shell.synchronize()
        assert await box.output("echo here") == "here\n"

    in_box(body, tmp_path)


def test_image_is_another_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in ("bin", "dev", "proc", "etc", "tmp"):
        (root / name).mkdir(parents=True)
    busybox = Path("/usr/bin/busybox")
    if not busybox.exists():
        pytest.skip("busybox is not installed")
    said = subprocess.run(["ldd", busybox], capture_output=True, text=True, check=False).stdout
    for source in (str(busybox), *re.findall(r"(/\S+) \(0x", said)):
        target = root / (source if source != str(busybox) else "/bin/busybox")[1:]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    for applet in ("sh", "ls", "cat", "ip", "hostname", "stty", "mkdir", "mkfifo", "rm", "touch"):
        (root / "bin" / applet).symlink_to("busybox")
    (root / "etc/own").write_text("own\n")

    async def body(box: Box) -> None:
        entries = set((await box.output("ls /")).split())
        assert entries - {"lib", "lib64"} == {"bin", "dev", "etc", "proc", "run", "sys", "tmp"}
        assert await box.output("cat /etc/own; touch /etc/more /more") == "own\n"

    in_box(body, tmp_path, plan=guest_plan("image=root", tmp_path))
    assert sorted(os.listdir(root / "etc")) == ["own"]


@pytest.mark.parametrize("shell", [None, b"#!/nowhere\n", b"no program"])
def test_no_shell_is_said(tmp_path: Path, shell: bytes | None) -> None:
    if shell is not None:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin/sh").write_bytes(shell)
        (tmp_path / "bin/sh").chmod(0o755)

    async def body(init: RunInit) -> None:
        with pytest.raises(
            HostError, match=r"container box could not be started: /bin/sh: (No such file|Exec format)"
        ) as caught:
            async with open_container(guest_plan(f"image={tmp_path}"), starter=init):
                pass
        assert "image=" in (caught.value.hint or "")

    in_run(body)


HOLDS_CONTAINERS = """
import os, sys, trio
from pathlib import Path
from qemunet.host.run_init import open_run_init
from qemunet.process import ContainerInterface

async def main():
    async with open_run_init(label=sys.argv[1]) as init:
        for number in range(3):
            interface = ContainerInterface("eth0", f"02:00:00:00:00:0{number}")
            started = await init.start_container("box", root=Path("/"), disk_mib=8, interfaces=[interface])
            os.write(started.consoles["shell"], b"setsid sleep 1000 &\\n")
        print(started.writing, flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


def test_kill_9_leaves_nothing(start_controller: StartController) -> None:
    controller = start_controller(HOLDS_CONTAINERS, "test-containers")
    assert controller.line() in ("mapped", "partly", "none")
    watch = None
    while watch is None:
        with suppress(ProcessLookupError):  # What starts the last one may just have ended.
            watch = Watch(find_run("test-containers"))
    controller.kill()
    watch.wait_all_ended()
    watch.assert_no_namespace_left()
    assert not [each for each in running_runs() if each.label == "test-containers"]


def test_many_at_once() -> None:
    async def body(init: RunInit) -> None:
        plan = guest_plan()
        ready = []
        async with trio.open_nursery() as nursery:

            async def start() -> None:
                async with open_container(plan, starter=init) as container:
                    ready.append(container)
                    while len(ready) < 40:
                        await trio.lowlevel.checkpoint()
                    assert container.process.returncode is None

            for _ in range(40):
                nursery.start_soon(start)
        assert len({each.process.pid for each in ready}) == 40
        assert all(each.process.returncode == -Signals(signal.SIGKILL) for each in ready)

    in_run(body)
