"""Commands that do nothing wrong: texts, data, statuses and streams of every sort."""

from __future__ import annotations

from collections.abc import Mapping

from qemunet import Command
from tests.torture.cases import Case, lies, printf, quoted
from tests.torture.maker import Kind, Maker

_WORDS = (
    "Grüße",
    "世界",
    "🙂",
    "naïve",
    "\u202eltr",
    "a'b",
    '"',
    "\\",
    "$HOME",
    "`id`",
    "$(id)",
    "\t",
    "|",
    "&",
    ";",
    "*",
)


def noop(m: Maker) -> Case:
    return m.case("noop", ":", b"")


def echo(m: Maker) -> Case:
    return m.case("echo", f"echo {m.tag}", f"{m.tag}\n")


def status(m: Maker) -> Case:
    number = m.rng.randrange(256)
    return m.case("status", f"echo {m.tag}; exit {number}", f"{m.tag}\n", number)


def signal(m: Maker) -> Case:
    # Not 3: busybox's sh ignores SIGQUIT itself.
    number = m.rng.choice((1, 2, 6, 8, 9, 10, 11, 12, 13, 14, 15))
    return m.case("signal", f"ulimit -c 0; echo {m.tag}; kill -{number} $$", f"{m.tag}\n", 128 + number)


def both_streams(m: Maker) -> Case:
    count = m.upto(100)
    loop = f"i=0; while [ $i -lt {count} ]; do echo {m.tag} $i; echo {m.tag} error $i >&2; i=$((i+1)); done"
    return m.case("both", loop, "".join(f"{m.tag} {i}\n{m.tag} error {i}\n" for i in range(count)))


def imitation(m: Maker) -> Case:
    data = m.tag.encode() + lies(m.rng, m.upto(4000))
    return m.case("imitation", printf(data), data)


def here_document(m: Maker) -> Case:
    # In a line that begins as the end word does, dash loses a byte above 127.
    raw = lies(m.rng, m.upto(20_000)).replace(b"\0", b"").replace(b"\nE", b"\ne")
    text = f"{m.tag}\n{raw.decode('utf-8', 'surrogateescape')}\n"
    return m.case("here-document", f"cat <<'E-{m.tag}'\n{text}E-{m.tag}\necho end", f"{text}end\n")


def long_text(m: Maker) -> Case:
    length = m.rng.choice((1000, 4094, 4095, 4096, 16_000, 60_000))
    text = m.tag + "".join(m.rng.choice(_WORDS) + m.rng.choice(" \nx") for _ in range(length // 3))
    while len(text.encode()) > length:
        text = text[: -max(1, (len(text.encode()) - length) // 4)]
    return m.case("long-text", f"printf %s {quoted(text)}", text)


def undecodable(m: Maker) -> Case:
    text = m.rng.randbytes(m.upto(500)).replace(b"\0", b"").decode("utf-8", "surrogateescape")
    return m.case("undecodable", f"printf %s {quoted(m.tag + text)}", m.tag + text)


def many_lines(m: Maker) -> Case:
    count = m.upto(300)
    text = "\n".join(f"echo {m.tag} {i} # '\"`$(" for i in range(count + 1))
    return m.case("many-lines", text, "".join(f"{m.tag} {i}\n" for i in range(count + 1)))


def stdin(m: Maker) -> Case:
    data = m.rng.choice((m.rng.randbytes, lambda length: lies(m.rng, length)))(m.upto(8000))
    return m.case("stdin", Command(f"echo {m.tag}; cat", stdin=data), m.tag.encode() + b"\n" + data)


def stdin_unread(m: Maker) -> Case:
    data = m.rng.randbytes(m.upto(8000))
    count = m.upto(len(data))
    return m.case(
        "stdin-unread", Command(f"echo {m.tag}; head -c {count}", stdin=data), m.tag.encode() + b"\n" + data[:count]
    )


def no_stdin(m: Maker) -> Case:
    return m.case("no-stdin", f"read -r x || echo {m.tag}$x; cat; wc -c", f"{m.tag}\n0\n")


def environment(m: Maker) -> Case:
    value = "".join(m.rng.choice(_WORDS) for _ in range(m.upto(60))) + "\nlast"
    command = Command('printf "%s" "$A"; unset A; printf "%s" "$A$B"', env={"A": m.tag + value, "B": value})
    return m.case("environment", command, m.tag + value * 2)


def directory(m: Maker) -> Case:
    path = m.rng.choice(("/", "/tmp", "/proc/self", "/dev", "/tmp/torture/a 'b\" $c"))
    due = f"{m.tag}\n" if path == "/proc/self" else f"{m.tag}\n{path}\n"
    say = "" if path == "/proc/self" else "; pwd"
    return m.case("directory", Command(f"echo {m.tag}{say}", cwd=path), due)


def no_directory(m: Maker) -> Case:
    def check(got: bytes) -> str | None:
        return None if m_tag not in got and b"nowhere" in got else f"a message of cd alone is due, got {got!r}"

    m_tag = m.tag.encode()
    return m.case("no-directory", Command(f"echo {m.tag}", cwd="/nowhere"), check, 1)


def dribble(m: Maker) -> Case:
    count = m.rng.randrange(2, 8)
    loop = f"printf {m.tag}; for i in {' '.join('x' * count)}; do printf $i; sleep 0.01; done"
    return m.case("dribble", loop, m.tag + "x" * count)


def sleep(m: Maker) -> Case:
    return m.case("sleep", f"sleep 0.{m.rng.randrange(100):02d}; echo {m.tag}", f"{m.tag}\n")


def trap_exit(m: Maker) -> Case:
    return m.case("trap-exit", f"trap 'echo {m.tag}' EXIT; echo first; exit 4", f"first\n{m.tag}\n", 4)


def trap_signal(m: Maker) -> Case:
    name = m.rng.choice(("INT", "TERM", "HUP", "QUIT", "USR1", "PIPE", "ALRM"))
    return m.case("trap-signal", f"trap 'echo {m.tag}' {name}; kill -{name} $$; exit 5", f"{m.tag}\n", 5)


def pipe_signal(m: Maker) -> Case:
    """SIGPIPE has its default action, so that nobody in a pipe complains."""
    text = f"yes {m.tag} | head -n 3; yes {m.tag} | head -c 20000 | tail -c 1"
    return m.case("pipe", text, f"{m.tag}\n" * 3 + (f"{m.tag}\n" * 20_000)[19_999])


def children(m: Maker) -> Case:
    text = f"(exit 7) & wait $!; echo {m.tag} $?; i=0; while [ $i -lt 20 ]; do (exit $i) & i=$((i+1)); done; wait"
    return m.case("children", text, f"{m.tag} 7\n")


def not_found(m: Maker) -> Case:
    program, number = m.rng.choice((("no-such-program", 127), ("/dev/null", 126), ("/no/such/program", 127)))
    return m.case("not-found", f"echo {m.tag}; {program} 2>/dev/null", f"{m.tag}\n", number)


def syntax_error(m: Maker) -> Case:
    return m.case("syntax-error", f"exec 2>/dev/null\necho {m.tag}\n(", f"{m.tag}\n", 2)


def closed_streams(m: Maker) -> Case:
    return m.case("closed", f"echo {m.tag}; exec <&- >&- 2>&-; sleep 0.01; exit 9", f"{m.tag}\n", 9)


def alone(m: Maker) -> Case:
    """No descriptor but the three streams is open for a command to write to."""
    text = f'echo {m.tag}; for fd in 3 4 5 6 7 8 9; do (eval "echo leak >&$fd") 2>/dev/null && echo $fd; done; :'
    return m.case("descriptors", text, f"{m.tag}\n")


KINDS: Mapping[str, Kind] = {
    "noop": Kind(noop, 6),
    "echo": Kind(echo, 6),
    "status": Kind(status, 4),
    "signal": Kind(signal, 2),
    "both": Kind(both_streams, 2),
    "imitation": Kind(imitation, 6),
    "here-document": Kind(here_document, 3),
    "long-text": Kind(long_text, 2),
    "undecodable": Kind(undecodable),
    "many-lines": Kind(many_lines),
    "stdin": Kind(stdin, 3),
    "stdin-unread": Kind(stdin_unread),
    "no-stdin": Kind(no_stdin),
    "environment": Kind(environment),
    "directory": Kind(directory),
    "no-directory": Kind(no_directory, 0.5),
    "dribble": Kind(dribble),
    "sleep": Kind(sleep, 2),
    "trap-exit": Kind(trap_exit),
    "trap-signal": Kind(trap_signal),
    "pipe": Kind(pipe_signal),
    "children": Kind(children),
    "not-found": Kind(not_found),
    "syntax-error": Kind(syntax_error),
    "closed": Kind(closed_streams),
    "descriptors": Kind(alone),
}
