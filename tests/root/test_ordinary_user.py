"""A Run made by an ordinary user: by a user namespace, with taps only where /dev/net/tun lets everybody in."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import pytest

from qemunet.host.leftovers import running_runs
from tests.root.runs import Controller, Watch, find_run

StartController = Callable[..., Controller]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="becomes an ordinary user, which only root can")

BECOME_NOBODY = """
import json, os, pathlib, stat, sys, trio
from qemunet.host import linux

# A private copy of /dev/net/tun with the mode to be tried; the host's stays as it is.
linux.unshare(linux.CLONE_NEWNS, "mount namespace")
linux.mount(None, "/", None, linux.MS_REC | linux.MS_PRIVATE)
linux.mount("tmpfs", "/mnt", "tmpfs", 0)
os.mknod("/mnt/tun", stat.S_IFCHR | 0o600, os.stat("/dev/net/tun").st_rdev)
os.chmod("/mnt/tun", int(sys.argv[2], 8))
linux.mount("/mnt/tun", "/dev/net/tun", None, linux.MS_BIND)

# Where interpreter or sources are below a directory that only its owner enters (such as /root), let them shine through.
needed = {path: os.open(path, os.O_PATH) for path in (sys.base_prefix, sys.prefix, os.environ["PYTHONPATH"])}
parents = {str(parent) for path in needed for parent in pathlib.Path(path).parents}
for closed in sorted(parent for parent in parents if not os.stat(parent).st_mode & stat.S_IXOTH):
    linux.mount("tmpfs", closed, "tmpfs", 0, "mode=755")
for path, entry in needed.items():
    os.makedirs(path, exist_ok=True)
    linux.mount(f"/proc/self/fd/{entry}", path, None, linux.MS_BIND | linux.MS_REC)
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
"""

AS_NOBODY = (
    BECOME_NOBODY
    + """
if "spare" in sys.argv:
    from qemunet.host.spare import prepare_spare
    linux.libc.prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE, as execution would do it
    prepare_spare()
from qemunet.errors import QemunetError
from qemunet.host.leftovers import running_runs
from qemunet.host.doctor import check_requirements
from qemunet.host.run_init import open_run_init
from qemunet.plan.model import HostPlan, TapPlan

PLAN = HostPlan(("b0",), (TapPlan("t0", "b0", "simulation"), TapPlan("t1", "b0", "guest")))

async def main():
    log = os.memfd_create("log")
    async with open_run_init(label=sys.argv[1], needs_network=PLAN) as init:
        await init.build(PLAN)
        tap = await init.open_tap("t1")
        with_view = init.with_paths({"/qemunet-test-view/bin/echo": "/bin/echo"})
        process = await with_view.spawn("probe", ["/qemunet-test-view/bin/echo", "seen"], log=log)
        await process.wait()
        owner = [run.user_id for run in running_runs() if run.label == sys.argv[1]]
        sleeper = await init.spawn("sleep", ["sh", "-c", "id -u; cat /proc/net/dev; exec sleep 1000"], log=log)
        print(json.dumps({"namespaces": init.namespaces, "as_root": init.as_root, "owner": owner,
                          "output": os.pread(log, 10000, 0).decode()}), flush=True)
        await sleeper.wait()

if sys.argv[3] == "doctor":
    print(json.dumps({entry.name: [entry.present, entry.detail, entry.remedy] for entry in check_requirements()}))
else:
    try:
        trio.run(main)
    except QemunetError as error:
        print(json.dumps([type(error).__name__, error.message, error.hint]), flush=True)
"""
)


def test_taps_are_refused_with_the_remedy(start_controller: StartController) -> None:
    kind, message, hint = json.loads(start_controller(AS_NOBODY, "test-nobody", "600", "run").line())
    assert kind == "MissingRequirement"
    assert message.startswith("/dev/net/tun cannot be opened: Permission denied.")
    assert hint.startswith("sudo chmod 0666 /dev/net/tun")
    assert "attach=native" in hint


@pytest.mark.parametrize("init", ["executed", "spare"])
def test_everything_works_where_the_tun_device_is_open(start_controller: StartController, init: str) -> None:
    controller = start_controller(AS_NOBODY, "test-nobody", "666", "run", init)
    facts = json.loads(controller.line())
    assert facts["namespaces"] == ["user", "mount", "uts", "net", "pid"]
    assert not facts["as_root"]
    assert facts["output"].startswith("seen\n")
    assert facts["owner"] == [65534]
    run = find_run("test-nobody")
    assert run.user_id == 65534
    watch = Watch(run)
    controller.kill()
    watch.wait_all_ended()
    watch.assert_no_namespace_left()
    assert not [each for each in running_runs() if each.label == "test-nobody"]


@pytest.mark.parametrize("mode", ["600", "666"])
def test_doctor_says_what_an_ordinary_user_lacks(start_controller: StartController, mode: str) -> None:
    found = json.loads(start_controller(AS_NOBODY, "-", mode, "doctor").line())
    present, detail, _ = found["namespaces"]
    assert present
    assert detail == "as an ordinary user: user, mount, uts, net, pid (tried)"
    present, detail, remedy = found["/dev/net/tun"]
    assert present == (mode == "666")
    if mode == "600":
        assert detail == "cannot be opened: Permission denied"
        assert remedy.startswith("sudo chmod 0666 /dev/net/tun")
    present, _, remedy = found["real-time scheduling"]
    assert present or "rtprio" in remedy


REFUSED = """
import json, sys, trio
from qemunet.errors import MissingRequirement
from qemunet.host.run_init import open_run_init

async def main():
    try:
        async with open_run_init(label="test-refused"):
            print("open", flush=True)
    except MissingRequirement as error:
        print(json.dumps([error.message, error.hint]), flush=True)

# First a user namespace in which the kernel's limit is nought, then the controller in it.
if sys.argv[1] == "limited":
    trio.run(main)
else:
    import os
    limit = f"echo 0 > /proc/sys/user/max_{sys.argv[1]}_namespaces"
    drop = "setpriv --bounding-set=-all" if sys.argv[1] == "user" else ""
    words = [sys.executable, "-c", sys.orig_argv[2], "limited"]
    shell = ["sh", "-c", f'{limit}; exec {drop} "$@"', "sh", *words]
    os.execvp("unshare", ["unshare", "--user", "--map-root-user", *shell])
"""


@pytest.mark.parametrize("kind", ["user", "net", "pid"])
def test_refused_namespaces_are_named_with_the_remedy(start_controller: StartController, kind: str) -> None:
    message, hint = json.loads(start_controller(REFUSED, kind).line())
    assert message == f"The Run's namespaces could not be made: {kind} namespace: No space left on device."
    assert hint == f"sysctl -w user.max_{kind}_namespaces=15000"


CONTAINER_AS_NOBODY = (
    BECOME_NOBODY
    + """
from qemunet.host.run_init import open_run_init
from qemunet.process import ContainerInterface

async def main():
    async with open_run_init(label=sys.argv[1]) as init:
        interface = ContainerInterface("eth0", "02:00:00:00:00:01")
        started = await init.start_container("box", root=pathlib.Path("/"), disk_mib=8, interfaces=[interface])
        os.write(started.consoles["shell"], sys.argv[3].encode() + b"; echo do''ne\\n")
        said = b""
        while b"done" not in said:
            await trio.lowlevel.wait_readable(started.consoles["shell"])
            said += os.read(started.consoles["shell"], 65536)
        print(json.dumps([started.writing, said.decode()]), flush=True)

trio.run(main)
"""
)


def test_a_container_of_an_ordinary_user(start_controller: StartController) -> None:
    commands = (
        "id -u; hostname; ls /sys/class/net; ip link set eth0 up && echo up; head -n 1 /etc/passwd;"
        "echo x >/etc/qemunet-test && cat /etc/qemunet-test; echo x >>/etc/passwd || echo refused;"
        "echo x >/proc/sys/kernel/panic || echo refused; unshare --cgroup true || echo refused"
    )
    writing, said = json.loads(start_controller(CONTAINER_AS_NOBODY, "test-nobody", "666", commands).line())
    words = said.split()
    assert writing == "partly"
    for wanted in ("0", "box", "eth0", "lo", "up", "x"):
        assert wanted in words, said
    assert words.count("refused") == 3, said
    assert not os.path.exists("/etc/qemunet-test")
