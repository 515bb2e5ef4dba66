"""The chain of topologies/chain.txt with a relay in the simulator's place: namespaces, taps, bridges, and nothing of qemunet.

    python benchmarks/relay_chain.py RELAY N PINGS [RECEIVE SEND]…

RECEIVE and SEND are commands, run at the last and at the first node. All runs in namespaces of its own, which end with it. Prints a
line of JSON with the output of ping, then one for each pair of commands: what the sender and what the receiver said.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from contextlib import ExitStack

QUEUE_FRAMES = 4096  # As the taps of qemunet's containers have.


def main() -> None:
    """Enter the namespaces, or, there, build the chain and measure it."""
    if sys.argv[1] != "--inside":
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        unshare = ["unshare", *user, "--net", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child"]
        os.execvp("unshare", [*unshare, sys.executable, __file__, "--inside", *sys.argv[1:]])
    relay, count, pings, *commands = sys.argv[2:]
    nodes = int(count)
    with ExitStack() as stack:
        holders = [
            stack.enter_context(subprocess.Popen(["unshare", "--net", "sleep", "infinity"])) for _ in range(nodes)
        ]
        relaying = stack.enter_context(subprocess.Popen([relay, str(nodes - 1)], stdout=subprocess.PIPE, text=True))
        assert relaying.stdout is not None
        print(relaying.stdout.readline().strip(), file=sys.stderr)
        try:
            build([holder.pid for holder in holders])
            first, last = inside(holders[0].pid), inside(holders[-1].pid)
            subprocess.run([*first, "ping", "-c", "1", "-w", "20", "10.0.0.2"], check=True, stdout=subprocess.DEVNULL)
            output = subprocess.run(
                [*first, "ping", "-c", pings, "-i", "0.02", "10.0.0.2"], check=True, capture_output=True, text=True
            ).stdout
            print(json.dumps(output), flush=True)
            for receive, send in zip(commands[::2], commands[1::2], strict=True):
                with subprocess.Popen([*last, *shlex.split(receive)], stdout=subprocess.PIPE, text=True) as receiver:
                    sent = subprocess.run([*first, *shlex.split(send)], check=True, capture_output=True).stdout
                    received = receiver.communicate()[0]
                print(json.dumps([json.loads(sent), json.loads(received)]), flush=True)
        finally:
            relaying.kill()
            for holder in holders:
                holder.kill()


def inside(pid: int) -> list[str]:
    """The command that runs another one in the network namespace of a process."""
    return ["nsenter", "--target", str(pid), "--net"]


def build(pids: list[int]) -> None:
    """Give each node the ends of its links, the inner ones a bridge, the first and the last an address."""
    own = os.stat("/proc/self/ns/net").st_ino
    for pid in pids:
        while os.stat(f"/proc/{pid}/ns/net").st_ino == own:  # Its unshare has yet to happen.
            os.sched_yield()
    for link in range(len(pids) - 1):
        for end, pid in (("a", pids[link]), ("b", pids[link + 1])):
            ip("link", "set", f"l{link}{end}", "txqueuelen", str(QUEUE_FRAMES), "netns", str(pid))
    for node, pid in enumerate(pids):
        ports = ([f"l{node - 1}b"] if node > 0 else []) + ([f"l{node}a"] if node < len(pids) - 1 else [])
        if len(ports) == 2:
            ip("link", "add", "br0", "type", "bridge", at=pid)
            ip("link", "set", "br0", "up", at=pid)
        else:
            ip("address", "add", f"10.0.0.{1 if node == 0 else 2}/24", "dev", ports[0], at=pid)
        for port in ports:
            ip("link", "set", port, *(("master", "br0") if len(ports) == 2 else ()), "up", at=pid)


def ip(*words: str, at: int | None = None) -> None:
    """Run ``ip``, in the namespace of a process if one is given."""
    subprocess.run([*(inside(at) if at is not None else []), "ip", *words], check=True)


if __name__ == "__main__":
    main()
