"""What qemunet's Tasks are measured beside: pexpect, and a bare C loop, at consoles that are lent to them."""

from __future__ import annotations

import os
import re
import select
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pexpect

MARK = re.compile(rb"<(begun|ended) (\d+)>")
COMMAND = "sleep 0"
"""What all run, qemunet as well: a program, as a command is one, for who starts nothing leaves its CPU to the others."""

Spreads = list[tuple[int, int]]
"""Of each round how far apart, in ns, its newlines were written, and its begin marks arrived."""


class Arrivals:
    """Reads many consoles in one thread and notes when the marks of a round came from each."""

    def __init__(self, descriptors: Sequence[int]) -> None:
        self._seen = dict.fromkeys(descriptors, b"")
        self.times: dict[tuple[int, bytes, int], int] = {}
        self._changed = threading.Condition()
        self._stop, self._stopper = os.pipe()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        poll = select.poll()
        for descriptor in [self._stop, *self._seen]:
            poll.register(descriptor, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == self._stop:
                    return
                seen = self._seen[descriptor] + os.read(descriptor, 65536)
                now_ns = time.monotonic_ns()
                with self._changed:
                    for match in MARK.finditer(seen):
                        self.times[descriptor, match[1], int(match[2])] = now_ns
                    self._changed.notify_all()
                self._seen[descriptor] = seen[seen.rfind(b"<") :][-100:]

    def wait(self, number: int) -> list[int]:
        """Wait for the end of round ``number`` on every console; arrival of its begin marks, in ns."""
        wanted = [(descriptor, mark, number) for mark in (b"begun", b"ended") for descriptor in self._seen]
        with self._changed:
            if not self._changed.wait_for(lambda: all(key in self.times for key in wanted), timeout=60):
                raise TimeoutError(f"round {number}: no answer from {[k for k in wanted if k not in self.times]}")
            return [self.times[key] for key in wanted[: len(self._seen)]]

    def close(self) -> None:
        os.write(self._stopper, b"x")
        self._thread.join()
        os.close(self._stop)
        os.close(self._stopper)


@contextmanager
def arriving(descriptors: Sequence[int]) -> Iterator[Arrivals]:
    arrivals = Arrivals(descriptors)
    try:
        yield arrivals
    finally:
        arrivals.close()


class Relayed(pexpect.spawn):  # type: ignore[type-arg]  # generic in its declaration only
    """pexpect as it is used with a console: on a program that relays it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        os.set_inheritable(descriptor, True)
        super().__init__("socat", ["-,raw,echo=0", f"FD:{descriptor}"])

    def _spawnpty(self, args: Sequence[str], **options: Any) -> Any:
        return super()._spawnpty(args, pass_fds=[self._descriptor], **options)  # type: ignore[misc]  # undeclared


@contextmanager
def relayed(descriptors: Sequence[int], *, delay: bool) -> Iterator[list[Relayed]]:
    """Pexpect at consoles: as it comes, or without its delay of 50 ms before everything that it sends."""
    children = [Relayed(descriptor) for descriptor in descriptors]
    try:
        for child in children:
            if not delay:
                child.delaybeforesend = None
        yield children
    finally:
        for child in children:
            child.close(force=True)
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)


def round_line(number: int) -> str:
    # The marks are put together by the guest, so that an echo would not count.
    return f"printf '<%s {number}>' begun; {COMMAND}; printf '<%s {number}>' ended"


def start_with_pexpect(descriptors: Sequence[int], rounds: Sequence[int], *, delay: bool) -> Spreads:
    spreads = []
    with relayed(descriptors, delay=delay) as children, arriving([child.child_fd for child in children]) as arrivals:
        for number in rounds:
            written = []
            for child in children:
                child.sendline(round_line(number))
                written.append(time.monotonic_ns())
            spreads.append((spread(written), spread(arrivals.wait(number))))
    return spreads


def start_with_c_loop(program: Path, descriptors: Sequence[int], rounds: Sequence[int]) -> Spreads:
    """The lines are typed right before, so that all who read them are still awake: the best case for the loop."""
    words = [str(program), *map(str, descriptors)]
    spreads = []
    with (
        arriving(descriptors) as arrivals,
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=descriptors) as loop,
    ):
        assert loop.stdin is not None
        assert loop.stdout is not None
        for number in rounds:
            for descriptor in descriptors:
                os.write(descriptor, round_line(number).encode())
            loop.stdin.write(b"\n")
            loop.stdin.flush()
            written = [int(word) for word in loop.stdout.readline().split()]
            spreads.append((spread(written), spread(arrivals.wait(number))))
        loop.stdin.close()
    return spreads


def run_with_pexpect(descriptor: int, rounds: Sequence[int], *, delay: bool) -> list[int]:
    """How long it takes, in ns, to have a command that does nothing run and to know its exit status."""
    durations = []
    with relayed([descriptor], delay=delay) as (child,):
        for number in rounds:
            begun_ns = time.monotonic_ns()
            child.sendline(f":; printf '<%s {number} %d>' ended $?")
            child.expect(rf"<ended {number} (\d+)>")
            match = child.match
            assert isinstance(match, re.Match)
            assert int(match[1]) == 0
            durations.append(time.monotonic_ns() - begun_ns)
    return durations


def spread(times: Sequence[int]) -> int:
    return max(times) - min(times)
