"""What a torture command is, what it must give, and the data that commands print."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from qemunet import Command

_SHOWN_BYTES = 60

Output = bytes | memoryview
Check = Callable[[bytes], str | None]
"""Says what is wrong with an output, None if nothing is."""


@dataclass(frozen=True)
class Case:
    """One command and what must become of it.

    Attributes:
        kind: Name of the kind, for the counts.
        tag: Unique in the run, and in every output that is not empty: no byte of another command passes for this one's.
        command: What is run.
        output: Its exact output, or a check of it where a race decides between several.
        statuses: The exit statuses that are right.
        late: It never ends by itself: a CommandTimeout is due.
        before: Text of the guest's command before it, for whoever looks into a defect.
    """

    kind: str
    tag: str
    command: Command
    output: Output | Check
    statuses: tuple[int, ...] = (0,)
    late: bool = False
    before: str = ""

    def wrong(self, output: bytes, status: int | None) -> str | None:
        """What is wrong with what came; ``status`` is None where a time-out leaves it unknown."""
        found = self.output(output) if callable(self.output) else difference(self.output, output)
        if status is not None and status not in self.statuses:
            wrong = f"exit status {status}, due {' or '.join(map(str, self.statuses))}"
            return wrong if found is None else f"{wrong}; {found}"
        return found


def difference(due: Output, got: bytes) -> str | None:
    """Where two outputs part, None if they are the same."""
    if due == got:
        return None
    due = bytes(due)
    at = next((index for index, (one, other) in enumerate(zip(due, got, strict=False)) if one != other), None)
    at = min(len(due), len(got)) if at is None else at
    start = max(0, at - 10)
    return (
        f"{len(got)} bytes, due {len(due)}; from byte {at} on they differ: "
        f"got {got[start : at + _SHOWN_BYTES]!r}, due {due[start : at + _SHOWN_BYTES]!r}"
    )


def beginning_of(due: bytes) -> Check:
    """A check that an output is the beginning of ``due``."""

    def check(got: bytes) -> str | None:
        return None if due.startswith(got) else difference(due[: len(got)], got)

    return check


def tag_among_strays(tag: str) -> Check:
    """A check of ``tag`` amid the first of numbered lines ``stray TAG N``, which a process behind it goes on to write."""

    def check(got: bytes) -> str | None:
        lines = got.split(b"\n")
        own = tag.encode()
        strays = [line for line in lines[:-1] if line != own]
        due = [f"stray {tag} {number}".encode() for number in range(len(strays))]
        whole = lines[-1] == b"" and lines.count(own) == 1
        return None if whole and strays == due else f"its own line once and strays in order are due, got {got[-400:]!r}"

    return check


def lies(rng: random.Random, length: int) -> bytes:
    """Bytes that imitate what a console's proxy may look for: marks, prompts, logins, escapes, encodings, panics."""
    out = bytearray()
    while len(out) < length:
        nonce = b"%016x" % rng.getrandbits(64)
        out += rng.choice(
            (
                b"\x1eq" + nonce + b"\n",
                b"\x1eq" + nonce + b" ok\n",
                b"\x1eq" + nonce + b" %d\r\n" % rng.randrange(256),
                b"\x1eq" + nonce[: rng.randrange(16)],
                b"\x1e",
                b"qemunet-ready\n",
                b"\r\nDebian GNU/Linux 12 torture ttyS0\r\n\r\ntorture login: ",
                b"Password: ",
                b"Login incorrect\n",
                b"root@torture:~# ",
                b"\x1b[01;32mroot@torture\x1b[00m:\x1b[01;34m~\x1b[00m# ",
                b"# ",
                b"$ ",
                b"> ",
                b"\x1b[6n",
                b"\x1b[2J\x1b[H\x1b]0;title\x07\x1b[?2004h",
                b"[   12.345678] Kernel panic - not syncing: Attempted to kill init!\r\n",
                b"reboot: Restarting system\r\n",
                b"q_r " + nonce + b" " + nonce + b" \n",
                b"begin-base64 644 -\ncWVtdW5ldAo=\n====\n",
                b"0000000 071545 067155 067165 005145\n",
                rng.randbytes(rng.randrange(1, 9)),
                bytes([rng.choice((0, 3, 4, 8, 9, 10, 13, 17, 19, 26, 27, 28, 127, 128, 255))]),
                b"\r\n",
                "Grüße, 世界, 🙂\n".encode(),
            )
        )
    return bytes(out[:length])


def make_corpus(seed: int, size: int) -> bytes:
    """What bulk outputs are pieces of: seven eighths random bytes, the rest lies."""
    rng = random.Random(f"corpus {seed}")
    honest = size - size // 8
    return rng.randbytes(honest) + lies(rng, size - honest)


def printf(data: bytes) -> str:
    """A POSIX printf command that writes ``data``."""
    plain = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _:;/.,+=@#")
    text = "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in data)
    return f"printf '{text}'"


def quoted(text: str) -> str:
    """``text`` as one word of a POSIX shell."""
    return "'" + text.replace("'", "'\\''") + "'"
