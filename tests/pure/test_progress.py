from __future__ import annotations

import io
import os
import pty
import subprocess
import sys

from qemunet.progress import PlainProgress, one_line

NAME = "a\nb\x1b[31m\x9b\u2028c\td"
SHOWN = r"a\nb\x1b[31m\x9b\u2028c\td"


def test_names_are_shown_in_one_line() -> None:
    assert one_line(NAME) == SHOWN
    assert one_line("Zürich → 1 %") == "Zürich → 1 %"
    stream = io.StringIO()
    progress = PlainProgress(stream)
    with progress.step(NAME):
        progress.say(NAME)
    assert [line.partition("s] ")[2].partition(": done")[0] for line in stream.getvalue().splitlines()] == [
        *(f"{SHOWN} ...", SHOWN, SHOWN)
    ]


def test_nothing_reaches_a_terminal_as_a_command() -> None:
    master, terminal = pty.openpty()
    program = f"""
from qemunet.progress import LiveProgress
progress = LiveProgress()
with progress.step({NAME!r}) as step:
    step.update(text={NAME!r})
    progress.say({NAME!r})
progress.close()
"""
    subprocess.run([sys.executable, "-c", program], stdin=terminal, stderr=terminal, check=True)
    os.close(terminal)
    printed = b""
    while True:
        try:
            printed += os.read(master, 65536)
        except OSError:
            break
    os.close(master)
    assert SHOWN.encode() in printed
    assert b"b\x1b[31m" not in printed
