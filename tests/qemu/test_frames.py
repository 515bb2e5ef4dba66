"""Frames between a machine and its socket: each behind its length, and none lost when nobody reads for a while."""

from __future__ import annotations

import socket
from pathlib import Path

import trio

from qemunet.guest.configure import configuration_script
from qemunet.guest.qemu import open_qemu
from tests.qemu.support import console, guest_plan, read_until, run_in, tiny
from tests.spawner import LocalSpawner

DATAGRAMS = 2000
SENT = "cat /sys/class/net/eth0/statistics/tx_packets"


async def next_frame(door: trio.SocketStream, buffer: bytearray) -> bytes:
    """The next frame that a machine has sent."""
    with trio.fail_after(60):
        while len(buffer) < 4 or len(buffer) < 4 + int.from_bytes(buffer[:4], "big"):
            data = await door.receive_some(65536)
            assert data, "QEMU has closed the socket"
            buffer += data
    end = 4 + int.from_bytes(buffer[:4], "big")
    frame = bytes(buffer[4:end])
    del buffer[:end]
    return frame


def test_machine_waits_for_a_socket_that_is_full(tmp_path: Path) -> None:
    plan = guest_plan("node a qemu\nnode b qemu\nlink a@10.5.0.1/24 b@10.5.0.2/24 wire")
    files = tiny("x86_64")

    async def main() -> None:
        ours, theirs = socket.socketpair()
        async with (
            open_qemu(
                plan,
                spawner=LocalSpawner(),
                kernel=files.kernel,
                initrd=files.initrd,
                accel="tcg",
                nets=[theirs.fileno()],
                directory=tmp_path,
            ) as machine,
            trio.SocketStream(trio.socket.from_stdlib_socket(ours)) as door,
        ):
            theirs.close()
            shell, control = (console(machine.consoles[name]) for name in ("shell", "control"))
            await read_until(shell, b"qemunet-ready\n")
            await read_until(control, b"qemunet-ready\n")
            assert await run_in(shell, configuration_script(plan)) == (0, "")
            neighbour = "ip neigh add 10.5.0.2 lladdr 02:00:00:00:00:02 dev eth0"
            assert await run_in(shell, neighbour) == (0, "")

            # The program comes no further than the socket, QEMU's ring and the kernel's queues let it.
            send = f"dd if=/dev/zero bs=1400 count={DATAGRAMS} 2>/dev/null | socat -u -b1400 - UDP:10.5.0.2:9"
            await shell.send_all(f"{send}; echo sent.\n".encode())
            before = -1
            with trio.fail_after(60):
                while (now := int((await run_in(control, f"sleep 0.5; {SENT}"))[1])) > before or now < 50:
                    before = now
            assert now < DATAGRAMS / 2

            buffer = bytearray()
            came = 0
            while came < DATAGRAMS:
                frame = await next_frame(door, buffer)
                came += frame[:6] == b"\2\0\0\0\0\2" and len(frame) == 14 + 28 + 1400
            await read_until(shell, b"sent.\n")

            # The other way: what is written at once, in pieces that know nothing of frames, comes whole.
            mac = bytes.fromhex(plan.interfaces[0].mac.replace(":", ""))
            frame = mac + b"\2\0\0\0\0\2\x88\xb5" + bytes(100)
            before = int((await run_in(control, "cat /sys/class/net/eth0/statistics/rx_packets"))[1])
            data = 300 * (len(frame).to_bytes(4, "big") + frame)
            for start in range(0, len(data), 7001):
                await door.send_all(data[start : start + 7001])
            with trio.fail_after(60):
                read = "cat /sys/class/net/eth0/statistics/rx_packets"
                while int((await run_in(control, read))[1]) < before + 300:
                    pass

    trio.run(main)
