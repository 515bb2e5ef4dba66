"""Bridges, taps and mount views of a Run: inside it they are there, outside nothing is."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
import trio

from qemunet.errors import HostError
from qemunet.host.run_init import RunInit
from qemunet.host.software import TAP_CREATOR_PATH, tap_creator, tap_creator_view
from qemunet.plan.model import HostPlan, TapPlan
from tests.root.runs import Log, in_run

needs_taps = pytest.mark.skipif(
    not os.access("/dev/net/tun", os.R_OK | os.W_OK), reason="/dev/net/tun may not be opened"
)

PLAN = HostPlan(
    bridges=("qn-br0", "qn-br1"),
    taps=(
        TapPlan("qn-a-sim", "qn-br0", "simulation"),
        TapPlan("qn-a-guest", "qn-br0", "guest"),
        TapPlan("qn-b-guest", "qn-br1", "guest"),
    ),
)

BROADCAST = b"\xff" * 6 + b"\x02" + b"\x00" * 5
LLDP = b"\x01\x80\xc2\x00\x00\x0e" + b"\x02" + b"\x00" * 5


async def read_frame(tap: int) -> bytes:
    await trio.lowlevel.wait_readable(tap)
    return os.read(tap, 65536)


@needs_taps
def test_bridges_and_taps_are_inside_and_only_there(log: Log) -> None:
    outside = set(os.listdir("/sys/class/net"))

    async def body(init: RunInit) -> None:
        await init.build(PLAN)
        process = await init.spawn("ip", ["ip", "-json", "-details", "link"], log=log.fd)
        assert await process.wait() == 0
        assert set(os.listdir("/sys/class/net")) == outside

    in_run(body)
    links = {link["ifname"]: link for link in json.loads(log.text)}
    for tap in PLAN.taps:
        assert links[tap.name]["master"] == tap.bridge
        assert "UP" in links[tap.name]["flags"]
        assert links[tap.name]["linkinfo"]["info_data"]["type"] == "tap"
        assert not links[tap.name]["linkinfo"]["info_data"]["pi"]
        assert not links[tap.name]["linkinfo"]["info_data"]["vnet_hdr"]
    for bridge in PLAN.bridges:
        assert "UP" in links[bridge]["flags"]
        data = links[bridge]["linkinfo"]["info_data"]
        assert (data["stp_state"], data["mcast_snooping"]) == (0, 0)
    assert "UP" in links["lo"]["flags"]


@needs_taps
@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(BROADCAST + b"\x08\x00" + b"x" * 46, id="shortest"),
        pytest.param(BROADCAST + b"\x88\xb5" + b"x" * 9000, id="jumbo of an unknown type"),
        pytest.param(LLDP + b"\x88\xcc" + b"x" * 46, id="link-local multicast"),
    ],
)
def test_a_bridge_passes_frames_and_adds_none(log: Log, frame: bytes) -> None:
    async def body(init: RunInit) -> None:
        await init.build(PLAN)
        one, other = await init.open_tap("qn-a-sim"), await init.open_tap("qn-a-guest")
        # The first frame to arrive: the host's own chatter would come before it or instead of it. Repeated, because
        # the kernel takes up to a second to tell the bridge that a tap has been opened.
        arrived = None
        while arrived is None:
            os.write(one, frame)
            with trio.move_on_after(0.1):
                arrived = await read_frame(other)
        assert arrived == frame
        with pytest.raises(BlockingIOError):
            os.read(one, 65536)
        text = "cat /proc/sys/net/ipv6/conf/qn-br0/disable_ipv6 /proc/sys/net/ipv6/conf/qn-a-guest/disable_ipv6"
        probe = await init.spawn("probe", ["sh", "-c", f"{text}; ip address show dev qn-br0"], log=log.fd)
        await probe.wait()
        os.close(one)
        os.close(other)

    in_run(body)
    if Path("/proc/sys/net/ipv6").exists():
        assert log.text.splitlines()[:2] == ["1", "1"]
    assert "inet" not in log.text


@needs_taps
def test_a_tap_opens_once_at_a_time(log: Log) -> None:
    async def body(init: RunInit) -> None:
        await init.build(PLAN)
        tap = await init.open_tap("qn-b-guest")
        assert not os.get_inheritable(tap)
        with pytest.raises(HostError, match=f"Opening tap qn-b-guest failed.*{os.strerror(errno.EBUSY)}"):
            await init.open_tap("qn-b-guest")
        os.close(tap)
        os.close(await init.open_tap("qn-b-guest"))

    in_run(body)


@needs_taps
@pytest.mark.parametrize(
    ("plan", "culprit"),
    [
        (HostPlan(("same", "same")), "same"),
        (HostPlan((), (TapPlan("lonely", "no-bridge", "guest"),)), "lonely"),
        (HostPlan(("a-name-of-16-cha",)), "a-name-of-16-cha"),
    ],
)
def test_what_the_kernel_refuses_is_named(plan: HostPlan, culprit: str) -> None:
    async def body(init: RunInit) -> None:
        with pytest.raises(HostError, match=f"Making bridges and taps failed at {culprit}: ") as caught:
            await init.build(plan)
        assert not caught.value.message.endswith("..")

    in_run(body)


def test_an_empty_plan_needs_nothing() -> None:
    async def body(init: RunInit) -> None:
        await init.build(HostPlan())

    in_run(body)


def test_a_view_shows_a_path_to_one_child_only(log: Log, tmp_path: Path) -> None:
    helper = tmp_path / "helper"
    helper.write_text("#!/bin/sh\necho helped in $(pwd)\n")
    helper.chmod(0o755)
    path = "/qemunet-test-view/deep/down/helper"
    root_before = sorted(os.listdir("/"))

    async def body(init: RunInit) -> None:
        with_view = init.with_paths({path: str(helper)})
        seeing = await with_view.spawn("seeing", [path], log=log.fd)
        assert await seeing.wait() == 0
        text = f"ls -A / ; touch /new-in-root; cat {tmp_path}/helper >/dev/null && echo other files are there"
        looking = await with_view.spawn("looking", ["sh", "-c", text], log=log.fd)
        assert await looking.wait() == 0
        blind = await init.spawn("blind", ["sh", "-c", f"test -e {path}"], log=log.fd)
        assert await blind.wait() == 1

    in_run(body)
    lines = log.text.splitlines()
    assert lines[0] == f"helped in {os.getcwd()}"
    assert sorted({*root_before, "qemunet-test-view"}) == sorted(set(lines[1 : len(root_before) + 2]))
    assert "Read-only file system" in lines[-2] or "Permission denied" in lines[-2]
    assert lines[-1] == "other files are there"
    assert sorted(os.listdir("/")) == root_before


def test_the_wheels_tap_bridge_finds_its_helper(log: Log) -> None:
    helper = tap_creator()
    if helper is None:
        pytest.skip("the ns3 package is not installed")

    async def body(init: RunInit) -> None:
        libraries = str(helper.parents[2] / "lib64")
        with_view = init.with_paths(tap_creator_view())
        process = await with_view.spawn("tap", [TAP_CREATOR_PATH], log=log.fd, env={"LD_LIBRARY_PATH": libraries})
        # Without its arguments it refuses, in its own words.
        assert await process.wait() != 0

    in_run(body)
    assert "tap-creator" in log.text
    assert "error while loading" not in log.text


@pytest.mark.parametrize("path", ["relative/path", "/top-level"])
def test_a_view_takes_absolute_paths_below_a_directory(log: Log, path: str) -> None:
    async def body(init: RunInit) -> None:
        with pytest.raises(ValueError, match="absolute paths"):
            await init.spawn("x", ["true"], log=log.fd, paths={path: "/bin/true"})

    in_run(body)
