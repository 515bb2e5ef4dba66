from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest
import trio

from qemunet.errors import ConsoleError, GuestExitedError
from qemunet.guest.framing import TEXT_LIMIT_BYTES
from qemunet.process import process_stat
from tests.pure.shells import SHELLS, Terminal, open_terminal

Body = Callable[[Terminal], Awaitable[None]]


@pytest.fixture(params=[f"{shell}, {way}" for shell in SHELLS for way in ("terminal", "channel", "noisy")])
def on_shell(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Body], None]:
    """Run a test's body on a fresh terminal, once for each kind of shell and each way that its output takes."""
    shell, way = request.param.split(", ")

    def run(body: Body, *, kept: bool = False, controlled: bool | None = False) -> None:
        # None: as guests are. Only one whose kernel prints on its one terminal has no other console.
        controlled = way != "noisy" if controlled is None else controlled

        async def main() -> None:
            async with AsyncExitStack() as stack:
                stack.enter_context(trio.fail_after(60))
                control = None
                if controlled:
                    control = (await stack.enter_async_context(open_terminal(shell, tmp_path, node="control"))).shell
                terminal = await stack.enter_async_context(
                    open_terminal(
                        shell, tmp_path, kept=kept, channel=way == "channel", noisy=way == "noisy", control=control
                    )
                )
                await body(terminal)

        trio.run(main)

    return run


@pytest.mark.parametrize(
    "printed",
    [
        "torture: a warning",
        "Password",
        "words and text===",
        "reboot: Restarting system\\r\\nqemunet-ready\\n\\nDebian GNU/Linux 12 to",
        "root@torture:~# ",
        "\\n\\n> > ",
    ],
)
def test_what_a_command_writes_on_its_terminal_is_no_output(on_shell: Callable[[Body], None], printed: str) -> None:
    """Nor does it matter that it looks like another shell's start, or does not end its line."""

    async def body(terminal: Terminal) -> None:
        if terminal.shell.encoding is None and not terminal.channel:
            return  # There is nothing between the terminal and the output.
        many = "i=0; while [ $i -lt 400 ]; do echo a line of output, number $i; i=$((i+1)); done"
        lines = "".join(f"a line of output, number {index}\n" for index in range(400)).encode()
        tty = f"printf '{printed}' >/dev/tty"
        for text, due in (
            (f"echo 1; {tty}; echo 2", b"1\n2\n"),
            (f"{tty}; exit 3", b""),
            (f"{many}; {tty}; {many}; {tty}", lines + lines),
        ):
            done = await terminal.run(text)
            assert (done.output, done.exit_status) == (due, 3 if "exit" in text else 0)
        for size in range(0, 60, 3):
            # Of every length modulo that of an encoded line: what was printed could be its missing beginning.
            done = await terminal.run(f"echo {'x' * size}; {tty}; echo y")
            assert done.output == b"x" * size + b"\ny\n"

    on_shell(body)


def test_output_and_status_are_exact(on_shell: Callable[[Body], None], tmp_path: Path) -> None:
    everything = bytes(range(256)) * 9
    (tmp_path / "bytes").write_bytes(everything)
    cases: list[tuple[str, int, bytes]] = [
        (":", 0, b""),
        ("echo out; echo err >&2; echo out", 0, b"out\nerr\nout\n"),
        ("printf 'no newline at the end'", 0, b"no newline at the end"),
        ("printf '\\r\\n\\n\\r'", 0, b"\r\n\n\r"),
        (f"cat {tmp_path}/bytes", 0, everything),
        ("exit 3", 3, b""),
        ("exec echo other", 0, b"other\n"),
        ("exec sh -c 'exit 9'", 9, b""),
        ("false", 1, b""),
        ("echo before; kill -9 $$; echo after", 137, b"before\n"),
        ("kill -TERM $$", 143, b""),
        ("kill -9 $PPID", 137, b""),
        ("set -e; false; echo no", 1, b""),
        ("trap 'echo trapped' EXIT; exit 4", 4, b"trapped\n"),
        ("PS1='$ '; PS2='> '; PS4='# '; echo prompts", 0, b"prompts\n"),
        ("export PATH=; set -- ; unset HOME; cd /; echo lost", 0, b"lost\n"),
        ("exec 1>&- 2>&-; echo into nothing; exit 0", 0, b""),
        ("cat", 0, b""),
        ("q_r() { echo mine; }; q_r", 0, b"mine\n"),
    ]

    async def body(terminal: Terminal) -> None:
        for text, status, output in cases:
            ended = await terminal.run(text)
            assert (ended.exit_status, _without_words_of_bash(ended.output)) == (status, output), text
            assert ended.begun_ns <= ended.ended_ns

    on_shell(body)


def _without_words_of_bash(output: bytes) -> bytes:
    """bash, as the guest's sh, says on the terminal that its job was killed."""
    return b"".join(
        line for line in output.splitlines(keepends=True) if b"Killed   " not in line and b"printf %b" not in line
    )


def test_every_exit_status(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_terminal(SHELLS[0], tmp_path) as terminal:
            for status in range(256):
                assert (await terminal.run(f"exit {status}")).exit_status == status

    trio.run(main)


def test_any_text(on_shell: Callable[[Body], None]) -> None:
    quoting = r"""printf '%s|' 'single' "double" \\ `printf back` $(printf sub) "it's" '!' '#' '%s' '\0101' \' - --"""
    here = "cat <<'END'\n  $HOME `no` \"quotes\" 'all'\n\ttab \\ é 漢字 \x01\x03\x04\x11\x1a\x1b[6n\x1c\x1e\x7f\r\nEND"
    long = "x='" + "abcdefg hij\n" * 5400 + '\'\nprintf %s "$x" | wc -c'

    async def body(terminal: Terminal) -> None:
        ended = await terminal.run(quoting)
        assert ended.output == rb"single|double|\|back|sub|it's|!|#|%s|\0101|'|-|--|"
        ended = await terminal.run(here)
        assert ended.output.decode() == here.partition("\n")[2].removesuffix("END")
        assert len(long) > 64_000
        ended = await terminal.run(long)
        assert ended.output.split() == [b"64800"]
        ended = await terminal.run("echo a\n\n\n# a comment")
        assert (ended.exit_status, ended.output) == (0, b"a\n")
        ended = await terminal.run("echo '\udcff'")
        assert ended.output == b"\xff\n"
        ended = await terminal.run("echo (; echo")
        assert ended.exit_status == 2
        assert b"yntax error" in ended.output
        for text in ("-x", "+x"):
            ended = await terminal.run(text)
            assert ended.exit_status == 127
            assert text.encode() in ended.output
        for text in ("echo '", 'echo "', "echo `", "cat <<E"):
            await terminal.run(text)
            assert (await terminal.run("echo fine")).output == b"fine\n"

    on_shell(body)


def test_toldthat_no_shell_takes(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_terminal(SHELLS[0], tmp_path) as terminal:
            for text in ("echo \0", ":" * (TEXT_LIMIT_BYTES + 1)):
                with pytest.raises(ValueError, match="command"):
                    await terminal.shell.arm(text)
            assert (await terminal.run("#" * TEXT_LIMIT_BYTES)).exit_status == 0

    trio.run(main)


def test_surroundings(on_shell: Callable[[Body], None], tmp_path: Path) -> None:
    odd = tmp_path / 'it\'s $HOME\n "odd" é'
    odd.mkdir()
    stdin = bytes(range(256)) * 40 + b"no newline"

    async def body(terminal: Terminal) -> None:
        ended = await terminal.run('pwd; printf %s "$A"', cwd=str(odd), A="a\n'b' $c `d` \\ é")
        assert ended.output.decode() == f"{odd}\na\n'b' $c `d` \\ é"
        assert (await terminal.run("cat", stdin=stdin)).output == stdin
        assert (await terminal.run("exit 5", stdin=stdin)).exit_status == 5
        ended = await terminal.run("echo not reached", cwd="/nowhere/at/all")
        assert ended.exit_status == 1
        assert b"not reached" not in ended.output
        assert b"/nowhere/at/all" in ended.output
        assert (await terminal.run("echo ${A-unset}; pwd")).output.split()[0] == b"unset"

    on_shell(body)


def test_long_input(tmp_path: Path) -> None:
    stdin = os.urandom(1_500_000)

    async def main() -> None:
        for shell in SHELLS:
            async with open_terminal(shell, tmp_path, channel=True) as terminal:
                terminal.shell.reply_s = 1.0  # Longer than this is only what is taken all the while.
                assert (await terminal.run("cat", stdin=stdin)).output == stdin

    trio.run(main)


def test_any_variable_may_be_in_the_environment(on_shell: Callable[[Body], None]) -> None:
    async def body(terminal: Terminal) -> None:
        for text in ("env", "env; exit 3"):
            ended = await terminal.run(text, IFS="s/h r", q_v="other", q_s="none", q_n="x", ENV="/none")
            assert {b"q_v=other", b"q_s=none", b"q_n=x", b"ENV=/none"} <= set(ended.output.splitlines())
            assert ended.exit_status == (3 if ";" in text else 0)

    on_shell(body)


def test_no_trace_of_the_framing(on_shell: Callable[[Body], None]) -> None:
    async def body(terminal: Terminal) -> None:
        seen = (await terminal.run("env; set | grep -v BASH_EXECUTION; echo $-; trap; cat /proc/$$/cmdline")).output
        assert b"q_" not in seen.replace(b"grep", b"")
        assert b"qemunet" not in seen
        masks = (await terminal.run("grep -E 'Sig(Ign|Blk)' /proc/self/status")).output.split()[1::2]
        # 32 and 33 are the C library's own, which nobody can set or reset; whatever started the tests may ignore them.
        assert [int(mask, 16) & ~(3 << 31) for mask in masks] == [0, 0]

    on_shell(body)


def test_plain_words_do_what_they_do_in_a_shell(on_shell: Callable[[Body], None]) -> None:
    """Commands that are given no shell of their own cannot tell."""
    texts = [
        *(
            ":",
            "true",
            "false",
            "exit",
            "exit 7",
            "exit 300",
            "echo",
            "echo a b  c",
            "echo a b c",
            "echo -n a",
            "echo a=b -n",
        ),
        *(
            "uname",
            "uname -s",
            "uname --nonsense",
            "nonsense",
            "nonsense -a b=c",
            "env",
            "cat",
            "sleep 0",
            "sh -c true",
            "pwd",
        ),
        *("kill -l 9", "test -f x", "sort -t , -k 1", "while", "exec", "a=b env", "tail -c +1 ./x"),
    ]

    async def body(terminal: Terminal) -> None:
        await terminal.run("cat >/dev/null")
        for text in texts:
            for stdin in (None, b"two\none\n"):
                # The second is not plain: it holds what only a shell understands.
                one = await terminal.run(text, stdin=stdin)
                other = await terminal.run(f"{text} #", stdin=stdin)
                assert _compared(one.output) == _compared(other.output), text
                assert one.exit_status == other.exit_status, text

    on_shell(body)


def _compared(output: bytes) -> list[bytes]:
    # bash counts its nesting and names itself; the order of an environment is nobody's.
    return sorted(line for line in output.splitlines() if not line.startswith((b"SHLVL=", b"_=")))


def test_long_output(on_shell: Callable[[Body], None], tmp_path: Path) -> None:
    data = os.urandom(1 << 20) * 20

    async def body(terminal: Terminal) -> None:
        (tmp_path / "data").write_bytes(data)
        ended = await terminal.run(f"cat {tmp_path}/data")
        assert ended.output == data
        assert terminal.console.log.stat().st_size >= len(data)

    on_shell(body)


def test_long_text_is_not_typed_at_a_terminal_that_echoes(on_shell: Callable[[Body], None]) -> None:
    async def body(terminal: Terminal) -> None:
        await terminal.run("stty echo </dev/tty")
        assert (await terminal.run("printf %s '" + "never echoed " * 5_000 + "' | wc -c")).output.strip() == b"65000"
        assert terminal.console.log.read_bytes().count(b"never echoed") < 10

    on_shell(body)


def test_imitated_marks_are_output(on_shell: Callable[[Body], None]) -> None:
    imitation = b"\x1eq0123456789abcdef 0\n\x1eq\x1e\x1eq0\x1eq0123456789abcdef \n$ # \x1b[6n\nqemunet-ready\n\x1eq"

    async def body(terminal: Terminal) -> None:
        assert (await terminal.run("cat; cat", stdin=imitation)).output == imitation
        assert (await terminal.run("echo next")).output == b"next\n"

    on_shell(body)


def test_left_behind_output_is_in_no_frame(on_shell: Callable[[Body], None], tmp_path: Path) -> None:
    go, gone = tmp_path / "go", tmp_path / "gone"
    os.mkfifo(go)
    os.mkfifo(gone)
    behind = f"( read x <{go}; yes stray | head -c 300000; echo end >{gone} ) & echo left"

    async def body(terminal: Terminal) -> None:
        for _ in range(3):
            assert (await terminal.run(behind)).output == b"left\n"
            assert (await terminal.run("echo between")).output == b"between\n"
            # The process left behind writes all it has while this command runs, and lives to say so.
            ended = await terminal.run(f"echo now >{go}; read x <{gone}; echo $x")
            assert ended.output == b"end\n"
            assert (await terminal.run("wait; echo after")).output == b"after\n"

    on_shell(body)


def test_left_behind_writes_before_the_next_command(on_shell: Callable[[Body], None], tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    os.mkfifo(gone)

    async def body(terminal: Terminal) -> None:
        ended = await terminal.run(f"( trap '' HUP; yes stray | head -c 200000; echo end >{gone} ) & :")
        assert ended.output in b"stray\n" * 40_000
        assert (await terminal.run(f"read x <{gone}; echo $x")).output == b"end\n"

    on_shell(body)


def test_left_behind_writes_into_the_end(on_shell: Callable[[Body], None], tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    behind = f"( trap '' HUP; while printf stray; do :; done ) 2>/dev/null & echo $! >{pid}"

    async def body(terminal: Terminal) -> None:
        for _ in range(40):
            ended = await terminal.run(behind)
            assert (ended.exit_status, ended.output.replace(b"stray", b"")) == (0, b"")
            assert (await terminal.run(f"kill -9 $(cat {pid}); echo done")).output == b"done\n"

    on_shell(body)


@pytest.mark.parametrize(
    "mess",
    [
        "stty echo",
        "stty sane",
        "stty raw",
        "stty -raw echo onlcr",
        "stty -isig",
        "stty 9600 icanon echo icrnl",
        "stty iuclc",
    ],
)
def test_terminal_modes_do_not_outlive_a_command(on_shell: Callable[[Body], None], mess: str) -> None:
    async def body(terminal: Terminal) -> None:
        await terminal.run(f"{mess} </dev/tty")
        for _ in range(2):
            ended = await terminal.run("printf 'a\\nb\\r\\n\\003\\004'", A="x")
            assert (ended.exit_status, ended.output) == (0, b"a\nb\r\n\x03\x04")

    on_shell(body)


def test_a_command_may_read_the_terminal(on_shell: Callable[..., None]) -> None:
    async def body(terminal: Terminal) -> None:
        armed = await terminal.shell.arm('read x </dev/tty; echo "<$x>"')
        armed.fire()
        await armed.begun()
        terminal.console.write(b"typed\n")
        assert (await armed.ended()).output == b"<typed>\n"

    # Without a second shell there is a process beside each command that reads the terminal.
    on_shell(body, controlled=True)


@pytest.mark.parametrize("controlled", [True, False])
def test_a_command_that_makes_the_terminal_deaf(
    on_shell: Callable[..., None], tmp_path: Path, *, controlled: bool
) -> None:
    ready = tmp_path / "ready"
    os.mkfifo(ready)

    async def body(terminal: Terminal) -> None:
        terminal.shell.grace_s = 0.3
        for status in (143, 130):
            deafen = "stty -isig </dev/tty; " if status == 143 else ""
            armed = await terminal.shell.arm(f"{deafen}echo >{ready}; exec sleep 1000")
            armed.fire()
            await trio.to_thread.run_sync(ready.read_bytes)
            ended = await armed.stop()
            assert ended is not None
            assert ended.exit_status == status

    on_shell(body, controlled=controlled)


STUBBORN = [
    ("READY; exec sleep 1000", 130),
    ("READY; sleep 1000", 130),
    ("trap '' INT; READY; exec sleep 1000", 131),
    ("trap '' INT QUIT; READY; exec sleep 1000", 143),
    ("trap '' INT QUIT TERM; READY; exec sleep 1000", 137),
    ("trap 'exit 7' INT; READY; while :; do sleep 0.01; done", 7),
]


@pytest.mark.parametrize("stdin", [None, b"x" * 1_000])
@pytest.mark.parametrize(("text", "status"), STUBBORN)
def test_stopping(
    on_shell: Callable[[Body], None], tmp_path: Path, text: str, status: int, stdin: bytes | None
) -> None:
    ready = tmp_path / "ready"
    os.mkfifo(ready)

    async def body(terminal: Terminal) -> None:
        terminal.shell.grace_s = 0.3
        told = text.replace("READY", f"echo so far; echo >{ready}")
        armed = await terminal.shell.arm(told, stdin=stdin)
        armed.fire()
        await trio.to_thread.run_sync(ready.read_bytes)
        with trio.move_on_after(0.05):
            await armed.ended()
        if terminal.shell.encoding is None:  # An encoder hands on what it has when it has a block.
            assert armed.output() == b"so far\n"
        ended = await armed.stop()
        assert ended is not None
        assert ended.exit_status == status
        assert _without_words_of_bash(ended.output) == b"so far\n"
        assert (await terminal.run("echo usable")).output == b"usable\n"

    on_shell(body)


def test_disarming(on_shell: Callable[[Body], None], tmp_path: Path) -> None:
    async def body(terminal: Terminal) -> None:
        for daemon in (False, True):
            armed = await terminal.shell.arm(f"touch {tmp_path}/never", daemon=daemon)
            assert await armed.stop() is None
        with trio.move_on_after(0) as scope:
            await terminal.shell.arm(f"touch {tmp_path}/never")
        assert scope.cancelled_caught
        assert (await terminal.run("echo usable")).output == b"usable\n"
        assert not (tmp_path / "never").exists()

    on_shell(body)


def test_a_shell_that_dies_is_found_again(on_shell: Callable[..., None]) -> None:
    async def body(terminal: Terminal) -> None:
        for _ in range(2):
            ended = await terminal.run("echo last words; kill -9 $(cut -d' ' -f6 /proc/self/stat); sleep 1000")
            assert ended.exit_status == 128 + signal.SIGHUP
            assert (await terminal.run("echo usable")).output == b"usable\n"

    on_shell(partial(body), kept=True, controlled=None)


def test_finding_a_shell_again_leaves_nothing_behind(on_shell: Callable[[Body], None]) -> None:
    async def body(terminal: Terminal) -> None:
        def processes() -> int:
            stats = [process_stat(int(entry.name)) for entry in Path("/proc").glob("[0-9]*")]
            return sum(stat is not None and stat[0] != "Z" and stat[4] == str(terminal.device) for stat in stats)

        await terminal.shell.synchronize()
        before = processes()
        for _ in range(5):
            await terminal.shell.synchronize()
        assert (await terminal.run("echo usable")).output == b"usable\n"
        assert processes() <= before

    on_shell(body)


def test_daemons(on_shell: Callable[[Body], None], tmp_path: Path) -> None:
    async def body(terminal: Terminal) -> None:
        terminal.shell.grace_s = 0.3
        ready = tmp_path / "ready"
        os.mkfifo(ready)
        cases = [
            ("echo here; echo >READY; exec sleep 1000", 130, b"here\n"),
            ("trap 'echo told; exit 6' INT; echo >READY; while :; do sleep 0.01; done", 6, b"told\n"),
            ("trap '' INT; echo >READY; exec sleep 1000", 143, b""),
            ("trap '' INT TERM; echo stays; echo >READY; exec sleep 1000", 137, b"stays\n"),
            ("echo >READY; exit 5", 5, b""),
            ("cat; echo >READY; exec sleep 1000", 130, b"\0\n\xff"),
        ]
        for text, status, output in cases:
            armed = await terminal.shell.arm(text.replace("READY", str(ready)), daemon=True, stdin=b"\0\n\xff")
            armed.fire()
            await armed.begun()
            assert (await terminal.run(f"read x <{ready}; echo beside")).output == b"beside\n"
            ended = await armed.stop()
            assert ended is not None
            # A command that has ended by itself may still be told to.
            assert ended.exit_status == status or (status, ended.exit_status) == (5, 130), text
            assert ended.output == output

    on_shell(body)


@pytest.mark.parametrize("daemon", [True, False])
def test_stopping_right_after_the_start(on_shell: Callable[[Body], None], *, daemon: bool) -> None:
    async def body(terminal: Terminal) -> None:
        for stdin in (None, b"x") * 12:
            armed = await terminal.shell.arm("sleep 1000", daemon=daemon, stdin=stdin)
            armed.fire()
            await armed.begun()
            begun_s = trio.current_time()
            ended = await armed.stop()
            assert ended is not None
            assert (ended.exit_status, ended.output) == (130, b"")
            assert trio.current_time() - begun_s < 1.5

    on_shell(body)


def test_daemons_have_two_seconds_after_each_signal(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    os.mkfifo(ready)

    async def main() -> None:
        async with open_terminal(SHELLS[0], tmp_path) as terminal:
            terminal.shell.grace_s = 0.1  # It is not for Daemons.
            for ignored, status, seconds in (("INT", 143, 2.0), ("INT TERM", 137, 4.0)):
                armed = await terminal.shell.arm(f"trap '' {ignored}; echo >{ready}; exec sleep 1000", daemon=True)
                armed.fire()
                await armed.begun()
                await trio.to_thread.run_sync(ready.read_bytes)
                begun_s = trio.current_time()
                ended = await armed.stop()
                assert ended is not None
                assert ended.exit_status == status
                # A killed one counts as running until whoever adopted its processes has collected them: 2 s at most.
                assert seconds <= trio.current_time() - begun_s < seconds + 2.9

    trio.run(main)


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    made = []

    async def main() -> None:
        async with open_terminal(SHELLS[0], tmp_path) as terminal:
            made.append((await terminal.run(f"cd {terminal.shell.directory} && pwd")).output.decode().strip())
            terminal.shell.directory = ""  # As when a shell has not answered.

    trio.run(main)
    assert made[0].startswith("/")
    assert not os.path.exists(made[0])


def test_the_end_of_the_guest_reaches_all_who_wait(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_terminal(SHELLS[0], tmp_path) as terminal:
            armed = await terminal.shell.arm("printf words; exec sleep 1000")
            armed.fire()
            await armed.begun()
            terminal.console.fail(GuestExitedError("it rebooted", node="guest", reason="reboot"))
            with pytest.raises(GuestExitedError, match="rebooted"):
                await armed.ended()
            with pytest.raises(GuestExitedError, match="rebooted"):
                await terminal.run("echo more")
        async with open_terminal(SHELLS[0], tmp_path, node="other") as terminal:
            armed = await terminal.shell.arm("trap '' HUP; exec sleep 1000")
            armed.fire()
            await armed.begun()
            terminal.kill()
            with trio.fail_after(5), pytest.raises(GuestExitedError, match="console ended"):
                await armed.ended()

    trio.run(main)


def test_a_stopped_machine_is_no_shell(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_terminal(SHELLS[0], tmp_path) as terminal:
            # The keeper first, which would take a shell that is stopped for one that has died.
            processes = (terminal.process.pid, terminal.shell._pid)
            for process in processes:
                os.kill(process, signal.SIGSTOP)
            with pytest.raises(ConsoleError, match=r"did not answer within 0\.3 s"):
                await terminal.shell.synchronize(0.3)
            for process in reversed(processes):
                os.kill(process, signal.SIGCONT)
            await terminal.shell.synchronize()
            assert (await terminal.run("echo back")).output == b"back\n"

    trio.run(main)
