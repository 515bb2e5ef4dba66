"""How the Run's init is started, and how it is recognised among all processes: one place for both."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from qemunet.process import process_alive, process_start_ticks

INIT_PROGRAM = Path(__file__).with_name("init.py")
"""The program; its last components in a command line mark an init of qemunet's."""


@dataclass(frozen=True)
class ControllerIdentity:
    """Which process controls a Run, in a form that survives the reuse of process ids.

    Attributes:
        pid: In the PID namespace of the controller.
        start_ticks: When it started, in clock ticks since boot (field 22 of /proc/PID/stat).
        pid_namespace: Inode number of its PID namespace; in another one ``pid`` means nothing.
    """

    pid: int
    start_ticks: int
    pid_namespace: int

    def __str__(self) -> str:
        return f"{self.pid}:{self.start_ticks}:{self.pid_namespace}"

    @classmethod
    def parse(cls, text: str) -> ControllerIdentity:
        """Read what ``str()`` wrote.

        Raises:
            ValueError: it is something else.
        """
        pid, start_ticks, pid_namespace = (int(word) for word in text.split(":"))
        return cls(pid, start_ticks, pid_namespace)

    @property
    def visible(self) -> bool:
        """Whether the process could be seen from here at all."""
        return self.pid_namespace == _own_pid_namespace()

    @property
    def alive(self) -> bool:
        """Whether the process runs; meaningless unless ``visible``."""
        return process_alive(self.pid, self.start_ticks)


def own_identity() -> ControllerIdentity:
    """The identity of this process."""
    return ControllerIdentity(os.getpid(), process_start_ticks(os.getpid()) or 0, _own_pid_namespace())


def _own_pid_namespace() -> int:
    return os.stat("/proc/self/ns/pid").st_ino


def init_argv(label: str) -> list[str]:
    """The command line of an init for the Run ``label``, controlled by this process."""
    # A program that embeds Python may not know where its interpreter is.
    return [sys.executable or "python3", "-I", "-S", str(INIT_PROGRAM), label, str(own_identity())]


def init_environment() -> dict[str, str]:
    """The environment of an init: this process's own, and where modules are found."""
    found_in = os.pathsep.join(os.path.abspath(entry) for entry in sys.path if entry)
    return {**os.environ, "QEMUNET_INIT_PATH": found_in}


def parse_init_argv(argv: list[str]) -> tuple[str, ControllerIdentity] | None:
    """Label and controller of an init, or None if ``argv`` is no init's."""
    if len(argv) != 6 or argv[1:3] != ["-I", "-S"] or Path(argv[3]).parts[-3:] != INIT_PROGRAM.parts[-3:]:
        return None
    try:
        return argv[4], ControllerIdentity.parse(argv[5])
    except ValueError:
        return None
