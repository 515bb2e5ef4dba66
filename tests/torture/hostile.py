"""Commands that try to break their shell, their terminal, or the commands after them."""

from __future__ import annotations

from collections.abc import Mapping

from tests.torture.cases import Case, beginning_of, difference, lies, printf, quoted, tag_among_strays
from tests.torture.maker import Kind, Maker

_MODES = (
    *("raw", "sane", "cooked", "echo", "-echo", "-isig", "isig", "-icanon", "icanon", "onlcr", "ocrnl", "olcuc"),
    *("onlret", "ixon", "ixoff", "tostop", "noflsh", "echoctl", "brkint", "parmrk", "icrnl", "igncr", "-opost"),
)
# With these a shell cannot read what is typed: newlines and capitals do not arrive.
_INPUT_MODES = ("inlcr", "iuclc", "istrip", "inlcr igncr")

# A writer that outlives its command writes on for as long as it is let, and then ends.
_STRAY = "i=0; while [ $i -lt {count} ]; do echo stray {tag} $i; i=$((i+1)); done"


# Harmless should one of them get through; tests.torture.footprint tells.
_AGAINST_HOST = (
    "hostname torture",
    "mount -t tmpfs torture /mnt",
    "mount --make-rshared /; mkdir /tmp/torture-mount; mount -t tmpfs torture /tmp/torture-mount",
    "for f in kernel/core_uses_pid kernel/panic net/ipv4/ip_default_ttl vm/laptop_mode; do echo 7 >/proc/sys/$f; done",
    "ip link add torture type dummy; ip link set lo down; ip link set lo up",
    "echo torture >/etc/torture; echo torture >/usr/bin/torture; echo torture >/torture",
    "echo torture >/tmp/torture-file; echo torture >/run/torture-file; mkfifo /dev/shm/torture",
    "mknod /dev/torture c 1 3; mknod /tmp/torture-device c 1 3",
    "dmesg -n 1; echo torture >/dev/kmsg",
    "kill -STOP 2; kill -CONT 2",
    "ulimit -c unlimited; renice -n -20 $$; chrt -f -p 99 $$",
    "for t in /dev/console /dev/ptmx /dev/tty[0-9]; do stty -F $t olcuc; done",
    "rm -rf /var/torture /etc/hostname; echo torture >>/etc/hosts",
)


def stray_race(m: Maker) -> Case:
    """The one behind writes at the very end of its command: what came before the end belongs to the output."""
    text = f"{{ {_STRAY.format(count=200, tag=m.tag)}; }} & echo {m.tag}"
    return m.case("stray-race", text, tag_among_strays(m.tag))


def stray_later(m: Maker) -> Case:
    text = f"{{ sleep 0.{m.rng.randrange(1, 9)}; {_STRAY.format(count=50, tag=m.tag)}; }} & echo {m.tag}"
    return m.case("stray-later", text, f"{m.tag}\n")


def stray_flood(m: Maker) -> Case:
    how = m.rng.choice(("", "setsid ", "nohup "))
    writer = f"sleep 0.3; yes stray-{m.tag} | head -c 300000; {printf(lies(m.rng, 200))}"
    return m.case("stray-flood", f"{how}sh -c {quoted(writer)} 2>/dev/null & echo {m.tag}", f"{m.tag}\n")


def stray_deaf(m: Maker) -> Case:
    text = f"trap '' HUP INT QUIT TERM PIPE; (sleep 1; echo stray; echo stray >&2; sleep 1; echo stray) & echo {m.tag}"
    return m.case("stray-deaf", text, f"{m.tag}\n")


def stray_idle(m: Maker) -> Case:
    """It holds the output open and says nothing."""
    return m.case("stray-idle", f"sleep 3 & echo {m.tag}", f"{m.tag}\n")


def kill_parent(m: Maker) -> Case:
    return m.case("kill-parent", f"echo {m.tag}; kill -9 $PPID", f"{m.tag}\n", 137)


def kill_group(m: Maker) -> Case:
    number = m.rng.choice((1, 9, 15))
    return m.case("kill-group", f"echo {m.tag}; kill -{number} 0; sleep 1000", f"{m.tag}\n", 128 + number)


def kill_leader(m: Maker) -> Case:
    """The shell that reads the console: SIGHUP takes the command along, and another shell goes on."""
    text = f"echo {m.tag}; kill -9 $(cut -d' ' -f6 /proc/self/stat); exec sleep 1000"
    whole = f"{m.tag}\n".encode()

    def whole_or_nothing(output: bytes) -> str | None:
        return None if output == b"" else difference(whole, output)

    # The end of a session hangs its terminal up, and a console's encoder with it.
    return m.case("kill-leader", text, whole_or_nothing if m.traits.single else whole, 129)


def modes(m: Maker) -> Case:
    words = " ".join(m.rng.sample(_MODES, m.rng.choice((1, 1, 2, 3))))
    return m.case("stty", f"stty {words} </dev/tty; echo {m.tag}", f"{m.tag}\n")


def input_modes(m: Maker) -> Case:
    return m.case("stty-input", f"stty {m.rng.choice(_INPUT_MODES)} </dev/tty; echo {m.tag}", f"{m.tag}\n")


def modes_behind(m: Maker) -> Case:
    """The terminal changes after the end of the command, when another one may be on its way."""
    words = " ".join(m.rng.sample(("sane", "echo", "onlcr", "icanon", "opost"), 2))
    text = (
        f"{{ trap '' TTOU; sleep 0.0{m.rng.randrange(1, 10)}; stty {words} </dev/tty; }} >/dev/null 2>&1 & echo {m.tag}"
    )
    return m.case("stty-behind", text, f"{m.tag}\n")


def to_terminal(m: Maker) -> Case:
    """What goes to the terminal is no output."""
    text = f"echo {m.tag} 1; {{ echo lie; {printf(lies(m.rng, 100))}; }} >/dev/tty; echo {m.tag} 2"
    return m.case("to-terminal", text, f"{m.tag} 1\n{m.tag} 2\n")


def from_terminal(m: Maker) -> Case:
    return m.case("from-terminal", f"echo {m.tag}; read -r x </dev/tty; echo never", f"{m.tag}\n", late=True)


def from_terminal_behind(m: Maker) -> Case:
    return m.case("from-terminal-behind", f"cat </dev/tty >/dev/null 2>&1 & echo {m.tag}", f"{m.tag}\n")


def prompt(m: Maker) -> Case:
    """An interactive shell: what it has to say itself goes elsewhere, its command's output does not."""
    text = f"exec 9>&1; PS1='qemunet-ready# ' ENV= exec sh -i >/dev/null 2>&1 <<'E'\necho {m.tag} >&9\nexit 6\nE"
    return m.case("prompt", text, f"{m.tag}\n", 6)


def changed_shell(m: Maker) -> Case:
    text = m.rng.choice(
        (
            "PS1='# ' PS2='> ' PS4='+ '; export PS1 PS2 PS4; echo {}",
            "PATH=/nowhere; export PATH; echo {}",
            "unset PATH; echo {}",
            "IFS=0123456789; export IFS; echo '{}'",
            "set -eu; umask 777; cd /; echo {}",
            "set -f; set -a; alias echo=false; unset HOME TERM PWD; echo {}",
            "ulimit -n 5; echo {}",
            "exec 3>&1 4>&1 5>&1 6>&1 9>&1; echo {} >&9",
            "q_n=1 q_v=2 q_c=3 q_m=4; export q_n q_v q_c q_m; q_r() {{ :; }}; q_a() {{ :; }}; echo {}",
            "exec 0</dev/tty; echo {}",
        )
    )
    return m.case("changed-shell", text.format(m.tag), f"{m.tag}\n")


def replaced(m: Maker) -> Case:
    text, number = m.rng.choice(
        (
            ("exec echo {}", 0),
            ("exec sh -c 'echo {}; exit 3'", 3),
            ("exec sh <<'E'\necho {}\nexec sh -c 'exit 8'\nE", 8),
            ("echo {}; exec true", 0),
            ("echo {}; exec false", 1),
            ("echo {}; exec 2>/dev/null; exec no-such-program", 127),
            ("echo {}; exec >/dev/null; echo lost", 0),
            ("exec env -i PATH=\"$PATH\" sh -c 'echo {}'", 0),
        )
    )
    return m.case("exec", text.format(m.tag), f"{m.tag}\n", number)


def job_control(m: Maker) -> Case:
    text, number = m.rng.choice(
        (
            ("set -m; sleep 0.01; echo {}", 0),
            ("set -m; sleep 3 & echo {}", 0),
            ("set -m; sh -c 'echo {}; kill -9 $PPID'; echo never", 137),
            ("set -m; sh -c 'echo {}; kill -9 $$'; exit 77", 77),
            ("set -m; (exit 3) & wait $!; echo {}; exit $?", 0),
        )
    )
    # What a shell says of jobs that a signal ended is its own affair.
    return m.case("job-control", "exec 2>/dev/null; " + text.format(m.tag), f"{m.tag}\n", number)


def late(m: Maker) -> Case:
    return m.case("late", f"echo {m.tag}; exec sleep 1000", f"{m.tag}\n", late=True)


def late_flood(m: Maker) -> Case:
    text = f"while echo {m.tag}; do sleep 0.01; done"
    return m.case("late-flood", text, beginning_of(f"{m.tag}\n".encode() * 100_000), late=True)


def late_children(m: Maker) -> Case:
    text = f"echo {m.tag}; sleep 1000 & sleep 1000 | sleep 1000"
    return m.case("late-children", text, f"{m.tag}\n", late=True)


def late_deaf(m: Maker) -> Case:
    return m.case("late-deaf", f"trap '' INT; echo {m.tag}; exec sleep 1000", f"{m.tag}\n", late=True)


def late_deafer(m: Maker) -> Case:
    text = f"stty -isig </dev/tty; trap '' INT QUIT TERM HUP; echo {m.tag}; while :; do sleep 1000; done"
    return m.case("late-deafer", text, f"{m.tag}\n", late=True)


def stopped(m: Maker) -> Case:
    """What no key could continue has ended, by the shell's own word for it: 128 and SIGSTOP."""
    return m.case("stopped", f"echo {m.tag}; kill -STOP $$; echo never", f"{m.tag}\n", 147)


def fill(m: Maker) -> Case:
    text = "; ".join(f"dd if=/dev/zero of={folder}/torture-full bs=65536 2>/dev/null" for folder in m.traits.full)
    return m.case("fill", f"{text}; echo {m.tag}", f"{m.tag}\n")


def clean(m: Maker) -> Case:
    text = " ".join(f"{folder}/torture-full" for folder in m.traits.full)
    return m.case("clean", f"rm -f {text} && echo {m.tag}", f"{m.tag}\n")


def kernel_says(m: Maker) -> Case:
    """The kernel prints in the middle of an output, amid it a mark, a prompt, a panic."""
    lie = lies(m.rng, m.upto(300)).replace(b"\0", b"")
    text = f"printf '{m.tag} '; {printf(b'<1>' + lie)} >/dev/kmsg; echo end"
    return m.case("kernel-says", text, f"{m.tag} end\n")


def to_console(m: Maker) -> Case:
    """As a daemon does that has something to say; the line has no end."""
    text = f"echo {m.tag} 1; printf 'torture: a warning' >/dev/console; echo {m.tag} 2"
    return m.case("to-console", text, f"{m.tag} 1\n{m.tag} 2\n")


def against_host(m: Maker) -> Case:
    """What would be seen from outside, were it let through."""
    text = m.rng.choice(_AGAINST_HOST)
    return m.case("against-host", f"{{ {text}; }} >/dev/null 2>&1; echo {m.tag}", f"{m.tag}\n")


KINDS: Mapping[str, Kind] = {
    "stray-race": Kind(stray_race, 2),
    "stray-later": Kind(stray_later, 2),
    "stray-flood": Kind(stray_flood),
    "stray-deaf": Kind(stray_deaf),
    "stray-idle": Kind(stray_idle),
    "kill-parent": Kind(kill_parent),
    "kill-group": Kind(kill_group),
    "kill-leader": Kind(kill_leader, 0.3, least=1),
    "stty": Kind(modes, 3),
    "stty-input": Kind(input_modes, 0.5),
    "stty-behind": Kind(modes_behind),
    "to-terminal": Kind(to_terminal),
    "from-terminal": Kind(from_terminal, 0.05, least=1),
    "from-terminal-behind": Kind(from_terminal_behind, 0.05),
    "prompt": Kind(prompt),
    "changed-shell": Kind(changed_shell, 2),
    "exec": Kind(replaced, 2),
    "job-control": Kind(job_control),
    "stopped": Kind(stopped, 0.3),
    "late": Kind(late, 0.1, least=1),
    "late-flood": Kind(late_flood, 0.05, least=1),
    "late-children": Kind(late_children, 0.05),
    # Each of these takes the shell a few times the patience that it has with a slow guest.
    "late-deaf": Kind(late_deaf, 0.02),
    "late-deafer": Kind(late_deafer, 0.01),
    "fill": Kind(fill, 0.3, least=1, followed_by=("echo", "stdin", "here-document", "kill-parent", "clean")),
    "clean": Kind(clean, 0),
    "kernel-says": Kind(kernel_says, 3, machine=True),
    "to-console": Kind(to_console, machine=True),
    "against-host": Kind(against_host, 4, container=True),
}
