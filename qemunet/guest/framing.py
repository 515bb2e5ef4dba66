"""What is typed at a guest's shell and what comes back: the guest's half of the shell, and the marks that frame output.

The guest has a POSIX sh (busybox ash, dash and bash are tried) that reads its console as its script. What is typed here
replaces it by a fresh one with a few short functions, and then uses only these:

* ``q_v``, ``q_e``, ``q_i`` are filled by short assignments: the command's text, what prepares its surroundings, and its
  standard input. They are kept in the shell's memory, so a full disk cannot stop a command.
* ``q_a`` checks that all of it arrived, starts the relay and answers: the command is *armed*.
* ``q_r`` runs it. It is typed without its newline; that one byte *fires* the command.
* ``q_b`` is the same for a Daemon, ``q_k`` signals and looks at one, ``q_o`` prints what one wrote.
* ``q_g`` signals what runs in the foreground of another console.

The begin mark is written by the very process that becomes the command, when it is in its process group and has every
signal's default action: from then on a key stroke or a signal ends it, and none is lost to the shells above it, which
outlive signals. A Daemon's begin mark and the word of ``q_b`` (its process id) come in either order.

A command's output goes through a named pipe and a relay (``cat``) to the console, the end mark behind it in the same
pipe, so nothing can overtake it. The word that the command is armed goes the same way: when it arrives the relay runs,
and nothing is left to do but to start. A process that a command leaves behind keeps that pipe; before the next command
the relay is taken off the console and the pipe is emptied elsewhere, so nothing of it gets into a later frame, and no
SIGPIPE ends it. The command itself is a shell of its own below a subshell that waits for it: ``exit``, ``exec``,
``kill $$`` and ``kill $PPID`` do not reach the shell that reads the console.

A mark is ``0x1e q NONCE WORD... newline``. Nonces are random, fresh for each command, and no variable of anything it
runs, so a command can print marks as it likes and never one that counts. What is typed holds no 0x1e: an echo is no
mark.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping

#: A mark; a terminal that translates newlines shows by the carriage return.
MARK = re.compile(rb"\x1eq([0-9a-f]{16})((?: [0-9A-Za-z/._+-]{1,64}){0,4})(\r?)\n")
#: The longest mark, in bytes.
MARK_BYTES = 300
#: What our images print when a console's shell starts (again).
READY = b"qemunet-ready"
#: Longest text that one argument of a program may have on Linux, less what is added here, in bytes.
TEXT_LIMIT_BYTES = 131_000
#: Characters in a typed line; a terminal in canonical mode takes 4,095 bytes.
_LINE_CHARACTERS = 3000

_PLAIN = re.compile(rb"[ -&(-~]*")
_ESCAPED = re.compile(rb"[^ -&(-\[\]-~]")

_MODES = r"raw -echo isig noflsh -tostop intr '^C' quit '^\' susp undef"

#: Typed once, line by line, at a fresh shell. {directory}, {stray} and {sh} are filled in.
_SET_UP = r"""
set -m
exec 4<&- 5<&-
trap : INT QUIT TERM PIPE ALRM USR1 USR2
[ "$BASH_VERSION" ] || exec 2>/dev/null
q_n='
'
set -- {sh}; q_s="$(command -v $1) $2"; set --
q_l='{stray}'
[ -w "$q_l" ] || q_l=/dev/null
for q_d in /run /tmp /dev/shm /dev; do q_d=$q_d/{directory}; [ -d "$q_d" ] || mkdir -m 700 "$q_d" && break; done
q_z() {{
 [ "$q_w" ] && return
 [ "$q_p" ] && [ "/proc/$q_p/fd/0" -ef "$q_d/f" ] && {{
  {{ cat <&5 >"$q_l" 4<&- 5<&- & }} 4<>"$q_d/f" 5<"$q_d/f"
  kill -9 "$q_p"; wait "$q_p"; rm -f "$q_d/f"; }}
 q_p=
}}
q_0() {{ exec 2>&1; printf '\036q%s\n' "$q_m" >&6; exec 6>&-; eval "$q_e"; exec $q_s -c "$q_v$q_n" sh; }}
q_1() {{ ( trap : INT QUIT TERM; ( q_0 ); exit $? ) 2>/dev/null; }}
q_y() {{ q_1; }}
[ "$BASH_VERSION" ] && q_y() {{ ( trap : INT QUIT TERM; q_1; exit $? ) 2>/dev/null; }}
q_x() {{ if [ "$q_i" ]; then printf %b "$q_i" | {{ trap : INT QUIT TERM; q_y; }}; else q_y </dev/null; fi; }}
q_a() {{
 q_z
 [ "${{#q_v}} ${{#q_e}} ${{#q_i}}" = "$3 $4 $5" ] || {{ printf '\036q%s bad\n' "$1"; q_c=1; return; }}
 case $2 in *v*) q_v=$(printf %b "$q_v");; esac
 case $2 in *e*) q_e=$(printf %b "$q_e");; esac
 case $2 in *d*) ;; *) [ "$q_w" ] || {{
  [ -p "$q_d/f" ] || {{ rm -f "$q_d/f"; mkfifo "$q_d/f"; }}
  if [ -p "$q_d/f" ]; then exec 4<>"$q_d/f"; cat <"$q_d/f" 4<&- & q_p=$! q_w=1; echo "$q_p" >"$q_d/p"
  else exec 4>/dev/tty; fi; }}
  q_c=; printf '\036q%s ok\n' "$1" >&4; return;; esac
 q_c=; printf '\036q%s ok\n' "$1"
}}
q_r() {{
 [ "$3$q_c" ] && {{ printf '\036q%s -\n' "$2"; return; }}
 q_w= q_t= q_m=$1
 while [ -z "$q_t" ]; do
  q_f=$q_d/f; [ -p "$q_f" ] || q_f=/dev/tty
  {{ exec 4<&-; q_x; q_t=$?
  printf '\036q%s %s\n' "$2" "$q_t" || printf '\036q%s %s lost\n' "$2" "$q_t" >&0; }} >"$q_f" 6>&0
 done
}}
q_b() {{
 [ "$4$q_c" ] && {{ printf '\036q%s -\n' "$2"; return; }}
 q_m=$1
 {{ trap : INT QUIT TERM; q_x; q_t=$?; trap '' INT QUIT TERM; echo "$q_t" >"$q_d/$3.s"; }} >"$q_d/$3.o" 2>&1 4<&- 6>&0 &
 printf '\036q%s %s\n' "$2" "$!"
}}
q_k() {{
 q_t=; kill "-$2" "-$3"; read -r q_t <"$q_d/$4.s"
 [ "$q_t" ] || kill -0 "-$3" || {{ read -r q_t <"$q_d/$4.s"; q_t=${{q_t:-gone}}; }}
 printf '\036q%s %s\n' "$1" "${{q_t:--}}"
}}
q_o() {{ q_z; printf '\036q%s\n' "$1"; cat "$q_d/$3.o"; printf '\036q%s 0\n' "$2"; rm -f "$q_d/$3".?; }}
q_g() {{
 read -r q_1 q_2 q_3 q_4 q_5 q_6 q_7 q_h q_9 <"/proc/$3/stat"
 [ "$q_h" -gt 1 ] && [ "$q_h" != "$3" ] && kill "-$2" "-$q_h"
 printf '\036q%s\n' "$1"
}}
[ -f "$q_d/p" ] && read -r q_p <"$q_d/p"
[ -p "$q_d/f" ] && {{ q_z; [ -p "$q_d/f" ] && : 4<>"$q_d/f"; rm -f "$q_d/f"; }}
printf '\036q%s %s %s\n' {nonce} "$$" "$q_d"
"""

#: Key strokes from this attempt at synchronization on, by turns; they end what runs in the foreground. Not before: a
#: shell that an attempt has just started, and that is slow, has set no trap yet and would die of them.
_PATIENT_ATTEMPTS = 5
_KEYS = ("\x03", "", "\x1c", "")


def new_nonce() -> str:
    """Sixteen hexadecimal digits that nobody can guess."""
    return secrets.token_hex(8)


def greeting(nonce: str, attempt: int, *, sh: str) -> bytes:
    """What makes any POSIX shell at a terminal a fresh non-interactive one that says ``nonce`` just before it reads on.

    An armed line that stands there is made harmless by the blank and colon first. The two comments close a quotation of
    either kind if one is open, and are nothing if none is. The shell reads ``/dev/tty`` as its script: so it is not
    interactive, whatever its standard input is, and bash still knows its terminal.
    """
    keys = _KEYS[attempt % len(_KEYS)] if attempt >= _PATIENT_ATTEMPTS else ""
    return (
        f"{keys} :\n#'\n#\"\nstty {_MODES}; exec {sh} -c '"
        rf'printf "\036q%s\n" {nonce}; exec {sh} /dev/tty'
        f"'\n"
    ).encode()


def set_up(nonce: str, *, sh: str, stray: str, directory: str) -> bytes:
    """What defines the functions; answered by ``nonce`` with the shell's process id and its directory.

    Args:
        nonce: Of the answer.
        sh: The guest's shell, as typed.
        stray: Where in the guest the output of left-behind processes goes, or "".
        directory: Name of the directory for the pipe and the Daemons' output.
    """
    return _SET_UP.format(nonce=nonce, sh=sh, stray=stray, directory=directory).encode()


def mend(nonce: str) -> bytes:
    """What brings the terminal's modes back, answered by ``nonce``.

    The empty line ends keys that a deaf terminal took as text.
    """
    return b"\n" + rf"stty {_MODES}; printf '\036q%s\n' {nonce}".encode() + b"\n"


def probe(nonce: str) -> bytes:
    """What any idle shell answers by ``nonce``."""
    return rf"printf '\036q%s\n' {nonce}".encode() + b"\n"


def quote(text: str) -> str:
    """``text`` as one word of a POSIX shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def surroundings(cwd: str | None, env: Mapping[str, str]) -> str:
    """Shell text that prepares a command's environment and working directory."""
    lines = [f"export {name}={quote(value)}" for name, value in env.items()]
    if cwd is not None:
        lines.append(f"cd -- {quote(cwd)} || exit 1")
    return "\n".join(lines)


def _assignments(variable: str, value: bytes, *, plain: bool) -> tuple[list[str], int, bool]:
    """Lines that assign ``value``, the length of the typed form, and whether it is written with octal escapes.

    With ``plain`` a text that needs no escapes is typed as it is.
    """
    escaped = not plain or not _PLAIN.fullmatch(value)
    if escaped:
        value = _ESCAPED.sub(lambda match: b"\\0%03o" % match[0][0], value)
    typed = value.decode("ascii")
    pieces = [typed[at : at + _LINE_CHARACTERS] for at in range(0, len(typed), _LINE_CHARACTERS)] or [""]
    lines = [f"{variable}='{pieces[0]}'"]
    lines += [f"{variable}=${variable}'{piece}'" for piece in pieces[1:]]
    return lines, len(typed), escaped


def delivery(nonce: str, text: str, *, cwd: str | None, env: Mapping[str, str], stdin: bytes, daemon: bool) -> bytes:
    """Everything typed before the line that runs a command; answered by ``nonce`` with ``ok`` or ``bad``.

    Raises:
        ValueError: a NUL character, or a text too long.
    """
    command = text.encode("utf-8", "surrogateescape")
    before = surroundings(cwd, env).encode("utf-8", "surrogateescape")
    if b"\0" in command + before:
        raise ValueError("a command, its directory and its environment cannot hold a NUL character")
    if len(command) > TEXT_LIMIT_BYTES:
        raise ValueError(f"a command of {len(command)} bytes; at most {TEXT_LIMIT_BYTES} can be given to a shell")
    v_lines, v_length, v_escaped = _assignments("q_v", command, plain=True)
    e_lines, e_length, e_escaped = _assignments("q_e", before, plain=True)
    i_lines, i_length, _ = _assignments("q_i", stdin, plain=False)
    flags = "+" + "v" * v_escaped + "e" * e_escaped + "d" * daemon
    # The empty line first ends what stray key strokes may have left, and lets the shell collect its dead children.
    lines = ["", *v_lines, *e_lines, *i_lines, f"q_a {nonce} {flags} {v_length} {e_length} {i_length}", ""]
    return "\n".join(lines).encode("ascii")
