"""What is typed at a guest's shell and what comes back: the guest's half of the shell, and the marks that frame output.

The guest has a POSIX sh (busybox ash, dash and bash are tried) that reads its console as its script. What is typed here
first makes of it a *keeper* that runs a fresh shell on the terminal, and another one whenever that has died, whose
status it tells. The fresh shell learns a few short functions, and from then on only these are used:

* ``q_v``, ``q_e``, ``q_i`` are filled by short assignments: the command's text, what prepares its surroundings, and its
  standard input. They are kept in the shell's memory, so a full disk cannot stop a command.
* ``q_a`` checks that all of it arrived and forks the command's process, which is then in the foreground, with every
  signal's default action, and waits for one line. It says that the command is *armed*. An empty line *fires* it: it
  says that it has begun and becomes the command. Any other line makes it end.
* ``q_b`` runs what was delivered as a Daemon, ``q_k`` signals and looks at one, ``q_o`` prints what one wrote.
* ``q_g`` signals what runs in the foreground of another console, ``q_h`` tells how the last command ended.

So nothing is left to do between the newline and the begin mark but to read and to write, and nothing between that and
the command but one exec; from the begin mark on a key stroke or a signal ends it. The command's parent is the shell
that waits for it: whatever becomes of that one, the keeper tells. (bash does not take its terminal back from a job that
a signal has ended, so there one more subshell stands between; nor does it end by itself when its session has.)

What comes back goes through the shell's *channel*, descriptor 3: a virtio serial port of a machine or a socket of a
container, which is no terminal, so that no mode, echo or message of the kernel touches it. Without one it is the
terminal itself. A command's output goes through a named pipe and a relay (``cat``) to the channel, the end mark behind
it in the same pipe, so nothing can overtake it. (The relay can write to the pipe itself, so it stays when all others have
gone, and what a dead shell's command wrote is still brought.) A process that a command leaves behind keeps that pipe; if before the
next command there is any process that was not there when the pipe was made, the relay is taken off the channel and the
pipe is emptied elsewhere, so nothing of it gets into a later frame, and no SIGPIPE ends it.

On a terminal that the kernel prints on as well, the output is *encoded* (``base64`` or ``od``) by a relay of each
command (encoding.py undoes it), which ends at a line that the shell writes behind the command's output, after an
empty line on the terminal that parts it from what the command itself has written there. (The line is written at once,
newlines on both sides, so nothing that a process left behind writes gets into it. ``printf`` of bash and ash writes each
line by itself, where its first output went to a terminal; bash's ``echo`` as well.) Where a guest has no second console, a *sentinel* stands beside the command in the foreground and takes ``q_g`` and ``q_h``.

A mark is ``0x1e q NONCE WORD... newline``. Nonces are random, fresh for each command, and no variable of anything it
runs, so a command can print marks as it likes and never one that counts. What is typed holds no 0x1e: an echo is no
mark. No empty line is ever typed but to fire.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

#: A mark; a terminal that translates newlines shows by the carriage return.
MARK = re.compile(rb"\x1eq([0-9a-f]{16})((?: [0-9A-Za-z/._+-]{1,64}){0,4})(\r?)\n")
#: The longest mark, in bytes.
MARK_BYTES = 300
#: What our images print when a console's shell starts (again).
READY = b"qemunet-ready"
#: Longest text that one argument of a program may have on Linux, less what is added here, in bytes.
TEXT_LIMIT_BYTES = 131_000
#: Descriptor of a shell that is its channel.
CHANNEL_FD = 3
#: Characters in a typed line; a terminal in canonical mode takes 4,095 bytes.
_LINE_CHARACTERS = 3000
#: So many lines are put together before they join the whole: what grows is copied each time that something is added.
_LINES_TOGETHER = 64

_PLAIN = re.compile(rb"[ -&(-~]*")
_ESCAPED = re.compile(rb"[^ -&(-\[\]-~]")

#: Words that mean themselves to any shell, the first of them a program to be looked for, and
_WORDS = re.compile(r"[A-Za-z][\w+-]*(?: [\w%+,./:@][\w%+,./:=@-]*| -[\w%+,./:=@-]*)*", re.ASCII)
#: what a shell does itself, the same in each.
_SMALL = re.compile(r":|true|false|exit|exit \d{1,3}|echo(?: [\w%+,./:@][\w%+,./:=@-]*)*", re.ASCII)
#: The builtins and reserved words of ash, dash, bash, ksh and zsh that may be programs as well.
_BUILTIN = (
    " alias autoload bg bind break builtin bye caller case cd chdir command compgen complete compopt continue"
    " coproc declare dirs disown do done echo elif else emulate enable esac eval exec exit export false fc fg fi"
    " float for foreach function getopts global hash help hist history if in integer inlib jobs kill let limit"
    " local log logout mapfile mknod nameref noglob popd print printf pushd pwd r read readarray readonly realpath"
    " rehash rename repeat return sched select set setopt shift shopt source stop suspend test then time times"
    " trap true type typeset ulimit umask unalias unfunction unhash unlimit unset unsetopt until wait whence where"
    " which while zmodload "
)

_MODES = r"raw -echo isig noflsh -tostop intr '^C' quit '^\' susp undef"

#: Typed once, line by line, at a fresh shell. What stands in braces is filled in.
_SET_UP = r"""
set -m
exec 4<&- 5<&- 6<>/dev/tty 7<&-
trap : INT QUIT TERM PIPE ALRM USR1 USR2
[ "$BASH_VERSION" ] || exec 2>/dev/null
q_n='
'
set -- {sh}; q_s="$(command -v $1) $2"; set --
q_l='{stray}'
[ -w "$q_l" ] || q_l=/dev/null
for q_d in /dev/shm /run /tmp /dev; do q_d=$q_d/{directory}; [ -d "$q_d" ] || mkdir -m 700 "$q_d" && break; done
q_p= q_k= q_m= q_t= q_c= q_q= q_u={sentinel}
for q_1 in /proc/[0-9]*; do
 [ "$q_1/fd/0" -ef "$q_d/f" ] || [ "$q_1/fd/1" -ef "{device}" ] && kill -9 "${{q_1#/proc/}}"; done
{channel}
{encoder}
[ "$q_u" ] && {{ rm -f "$q_d/w"; mkfifo "$q_d/w"; exec 7<>"$q_d/w"; }}
q_y() {{
 [ -p "$q_d/f" ] && {{
  {{ cat <&5 >"$q_l" 3>&- 4>&- 5<&- 6>&- 7>&- & }} 4<>"$q_d/f" 5<"$q_d/f"
  [ "$q_p" ] && {{ kill -9 "$q_p"; wait "$q_p"; }}
  exec 4>&- 5<&-; rm -f "$q_d/f"; }}
 q_p=
 mkfifo "$q_d/f"
 [ "$q_c" ] || {{ if [ -p "$q_d/f" ]
 then cat <>"$q_d/f" >&3 4>&- 6>&- 7>&- & q_p=$!; until command exec 4>"$q_d/f" || ! [ -p "$q_d/f" ]; do :; done
 else exec 4>&3; fi; }}
 set -- /proc/[0-9]*; q_k=" $* "
}}
q_z() {{
 if [ -e "/proc/$q_p/exe" ] || [ "$q_c" ]; then
  set -- /proc/[0-9]*
  [ " $* " = "$q_k" ] && return
  for q_1; do case $q_k in *" $q_1 "*) ;; *) [ -e "$q_1/exe" ] && {{ q_y; return; }};; esac; done
  q_k=" $* "; return
 fi
 q_y
}}
q_s() {{ [ -z "$q_c" ] || {{ exec 5<&-; sed "/^$1\$/q" <>"$q_d/f" 4>&- 6>&- 7>&- | $q_c >&3 4>&- 6>&- 7>&- & q_p=$!
 until command exec 4>"$q_d/f" || ! [ -p "$q_d/f" ]; do :; done; }}; }}
q_x() {{ echo "$q_n$1"; }}
[ "$BASH_VERSION" ] && q_x() {{ cat <<E
$q_n$1
E
}}
q_f() {{ if [ "$q_c" ]
 then until command exec 5<"$q_d/f" || ! [ -p "$q_d/f" ]; do :; done; printf '\n\n' >&3; q_x "$1" >&4; wait "$q_p"; exec 4>&-; printf '\036q%s %s\n' "$1" "$2" >&3
 else printf '\036q%s %s\n' "$1" "$2" >&4 || printf '\036q%s %s lost\n' "$1" "$2" >&3; fi; }}
q_w() {{
 trap '' INT QUIT TERM
 while read -r q_1 q_2 q_3 <&6; do case $q_1 in
  q_g) printf '\036q%s\n' "$q_2" >&3; kill "-$q_3" 0;;
  q_h) printf '\036q%s - 0\n' "$q_2" >&3;; esac; done
}}
q_0() {{
 printf '\036q%s ok\n' "$1" >&3
 read -r q_x <&6 && [ -z "$q_x" ] || exit
 printf '\036q%s\n' "$q_m" >&3
 [ "$q_u" ] && {{ q_w 4>&- 5<&- 7>&- & printf '%s\n' "$!" >&7; }}
 [ "$q_i" ] || exec </dev/null
 exec >&4 2>&1 3>&- 4>&- 5<&- 6>&- 7>&-
 case $q_q in
 *S*) $q_v; exit;;
 *W*) q_1=${{q_v%% *}} IFS=:
  for q_2 in $PATH; do [ -f "$q_2/$q_1" ] && [ -x "$q_2/$q_1" ] && {{ IFS=' '; exec $q_v; }}; done; IFS=' ';;
 esac
 set -- $q_s -c -- "$q_v$q_n" sh
 eval "$q_e"
 exec "$@"
}}
q_r() {{ ( q_0 "$1" ); }}
[ "$BASH_VERSION" ] && q_r() {{
 ( trap : INT QUIT TERM; ( q_0 "$1" ); exit $? ) 2>/dev/null; q_t=$?
 [ "$q_t" = 129 ] && {{
  read -r q_1 q_2 q_3 q_4 q_5 q_6 q_9 <"/proc/$$/stat"; [ -e "/proc/$q_6/exe" ] || exit; }}; return "$q_t"; }}
q_a() {{
 q_z
 [ "${{#q_v}} ${{#q_e}} ${{#q_i}} ${{4%%[!A]*}}" = "$5 $6 $7 A" ] || {{ printf '\036q%s bad\n' "$1" >&3; return; }}
 case $4 in *v*) q_v=$(printf %b "$q_v");; esac
 case $4 in *e*) q_e=$(printf %b "$q_e");; esac
 q_m=$2 q_q=$4
 case $4 in *d*) printf '\036q%s ok\n' "$1" >&3; return;; esac
 q_s "$3"
 if [ "$q_i" ]; then printf %b "$q_i" | {{ trap : INT QUIT TERM; q_r "$1"; }} 2>/dev/null; else q_r "$1"; fi
 q_t=$? q_m=$3
 [ "$q_u" ] && {{ echo - >&7
  while read -r q_1 <&7 && [ "$q_1" != - ]; do kill -9 "$q_1"; while [ -e "/proc/$q_1/exe" ]; do :; done; done; }}
 [ "$q_u" ] && stty {modes} <&6
 q_f "$3" "$q_t"
}}
q_1() {{ printf '\036q%s\n' "$q_m" >&3; exec 2>&1 3>&-; set -- $q_s -c -- "$q_v$q_n" sh; eval "$q_e"; exec "$@"; }}
q_b() {{
 [ "$4" ] && {{ printf '\036q%s -\n' "$2" >&3; return; }}
 q_x=4; [ "$q_c" ] && q_x=3
 {{ trap : INT QUIT TERM
 if [ "$q_i" ]; then printf %b "$q_i" | {{ trap : INT QUIT TERM; ( q_1 ); }}; else ( q_1 ) </dev/null; fi
 q_t=$?; trap '' INT QUIT TERM; echo "$q_t" >"$q_d/$3.s"; }} >"$q_d/$3.o" 2>/dev/null 3>&"$q_x" 4>&- 5<&- 6>&- 7>&- &
 printf '\036q%s %s\n' "$2" "$!" >&3
}}
q_k() {{
 q_t=; kill "-$2" "-$3"; read -r q_t <"$q_d/$4.s"
 [ "$q_t" ] || kill -0 "-$3" || {{ read -r q_t <"$q_d/$4.s"; q_t=${{q_t:-gone}}; }}
 printf '\036q%s %s\n' "$1" "${{q_t:--}}" >&3
}}
q_o() {{ q_z; printf '\036q%s\n' "$1" >&3; q_s "$2"; cat "$q_d/$3.o" >&4; q_f "$2" 0; rm -f "$q_d/$3".?; }}
q_g() {{
 read -r q_1 q_2 q_3 q_4 q_5 q_6 q_7 q_h q_9 <"/proc/$3/stat"
 [ "$q_h" -gt 1 ] && [ "$q_h" != "$3" ] && kill "-$2" "-$q_h"
 printf '\036q%s\n' "$1" >&3
}}
q_h() {{ printf '\036q%s %s %s\n' "$1" "${{q_m:--}}" "${{q_t:-0}}" >&3; }}
q_y
printf '\036q%s %s %s %s\n' {nonce} "$$" "$q_d" "${{q_c:--}}" >&3
"""

# Which command line undoes which, see encoding.py. Each must pass all bytes: sed as well.
_ENCODER = r"""q_j() { printf '\0b\n\377c\na\nz\n' | sed '/^a$/q'; }
[ "$(q_j | base64)" = AGIK/2MKYQo= ] && q_c=base64
[ "$q_c" ] || { [ "$(q_j | od -An -v -tx1)" = ' 00 62 0a ff 63 0a 61 0a' ] && q_c='od -An -v -tx1'; }"""

#: Key strokes from this attempt at synchronization on, by turns; they end what runs in the foreground. Not before: a
#: shell that an attempt has just started, and that is slow, has set no trap yet and would die of them.
_PATIENT_ATTEMPTS = 5
_KEYS = ("\x03", "", "\x1c", "")


def new_nonce() -> str:
    """Sixteen hexadecimal digits that nobody can guess."""
    return secrets.token_hex(8)


def greeting(nonce: str, attempt: int, *, sh: str) -> bytes:
    """What makes any POSIX shell at a terminal a keeper of shells, which says ``nonce`` whenever it starts one.

    From the second time on the mark has the status of the shell that has died. An armed command that stands there is
    made harmless by the blank and colon first. The two comments close a quotation of either kind if one is open, and are
    nothing if none is. A shell reads ``/dev/tty`` as its script: so it is not interactive, whatever its standard input
    is, and bash still knows its terminal (which it otherwise takes to be its standard error).
    """
    keys = _KEYS[attempt % len(_KEYS)] if attempt >= _PATIENT_ATTEMPTS else ""
    keeper = (
        f"q_r() {{ ( exec {sh} /dev/tty 2>&1 ); }}; set -m; "
        '[ "$BASH_VERSION" ] && q_r() { ( trap : INT QUIT TERM; ( exec '
        f"{sh} /dev/tty 2>&1 ); exit $? ) 2>/dev/null; }} || exec 2>/dev/null; "
        'trap : INT QUIT TERM; while : >/dev/tty; do stty "$@"; '
        rf'printf "\036q%s%s\n" {nonce} "$q"; q_r; q=" $?"; kill -9 %% >/dev/null 2>&1; done'
    )
    return f"{keys} :\n#'\n#\"\nexec {sh} -c '{keeper}' sh {_MODES}\n".encode()


def leave() -> bytes:
    """What makes a shell of a keeper end, so that the keeper greets with another one; nothing to any other shell."""
    return b' :\n#\'\n#"\n[ "$0" = /dev/tty ] && exit 0\n'


def set_up(
    nonce: str, *, sh: str, stray: str, directory: str, channel: str | None, encoded: bool, sentinel: bool
) -> bytes:
    """What defines the functions; answered by ``nonce`` with the shell's process id, its directory and its encoder.

    Args:
        nonce: Of the answer.
        sh: The guest's shell, as typed.
        stray: Where in the guest the output of left-behind processes goes, or "".
        directory: Name of the directory for the pipe and the Daemons' output.
        channel: Device that is the shell's channel, "" for the descriptor that it has, None for its terminal.
        encoded: Output is encoded, where the guest has a program for it.
        sentinel: A sentinel stands beside each command.
    """
    if channel is None:
        opening = "exec 3>&6"
    elif channel:
        # It may not be there yet when the consoles are, and a file must not take its place. Only one process at a
        # time can have it open; those that had it before are ending. A shell would end at an exec that fails.
        opening = (
            f'until [ -c {channel} ] && ( : 3<>{channel} ) || [ "${{#q_t}}" -gt 50 ]; do q_t=x$q_t; '
            f"[ -c {channel} ] || sleep 1; done; "
            f'[ "${{#q_t}}" -gt 50 ] || exec 3<>{channel}; q_t='
        )
    else:
        opening = ""
    return (
        _SET_UP.lstrip()
        .format(
            nonce=nonce,
            modes=_MODES,
            sh=sh,
            stray=stray,
            directory=directory,
            channel=opening,
            device=channel or "",
            encoder=_ENCODER if encoded else "",
            sentinel="y" if sentinel else "",
        )
        .encode()
    )


def mend(nonce: str) -> bytes:
    """What brings the terminal's modes back, answered by ``nonce``.

    The first line ends keys that a deaf terminal took as text.
    """
    return b" :\n" + rf"stty {_MODES}; printf '\036q%s\n' {nonce} >&3".encode() + b"\n"


def mend_other(terminal: str) -> str:
    """A line for ``Shell.ask``: it brings another terminal's modes back."""
    return rf"stty {_MODES} <{terminal}; printf '\036q%s\n' {{}} >&3"


def probe(nonce: str) -> bytes:
    """What any idle shell at the terminal answers by ``nonce``."""
    return rf"printf '\036q%s\n' {nonce}".encode() + b"\n"


def flush(nonce: str, *, directory: str, encoded: bool) -> bytes:
    """What a fresh shell sends behind all that went into the pipe of the one before it: a mark, or the encoder's end."""
    word = r"\n%s\n" if encoded else r"\036q%s\n"
    # The first line is for the sentinel of a command whose shell has died: it reads one more character before it is
    # stopped, as a process in the background.
    return f" :\n[ -p {directory}/f ] && {{ printf '{word}' {nonce} >&4; }} 4<>{directory}/f\n".encode()


def quote(text: str) -> str:
    """``text`` as one word of a POSIX shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def surroundings(cwd: str | None, env: Mapping[str, str]) -> str:
    """Shell text that prepares a command's environment and working directory."""
    lines = [f"export {name}={quote(value)}" for name, value in env.items()]
    if cwd is not None:
        lines.append(f"cd -- {quote(cwd)} || exit 1")
    return "\n".join(lines)


def _shortcut(text: str) -> str:
    """The flag of a command that needs no shell of its own, or "".

    An exec of a shell is most of what a small command costs under emulation. What consists of plain words alone is done
    by the process that is there already, and no program can tell: ``W`` is a program with its arguments, ``S`` is what a
    shell does itself in the same way everywhere. All that a shell would look at twice goes to a shell.
    """
    if _SMALL.fullmatch(text):
        return "S"
    return "W" if _WORDS.fullmatch(text) and f" {text.split(' ', 1)[0]} " not in _BUILTIN else ""


def _assignments(variable: str, value: bytes, *, plain: bool) -> tuple[list[str], int, bool]:
    """Lines that assign ``value``, the length of the typed form, and whether it is written with octal escapes.

    With ``plain`` a text that needs no escapes is typed as it is.
    """
    escaped = not plain or not _PLAIN.fullmatch(value)
    if escaped:
        value = _ESCAPED.sub(lambda match: b"\\0%03o" % match[0][0], value)
    typed = value.decode("ascii")
    pieces = [typed[at : at + _LINE_CHARACTERS] for at in range(0, len(typed), _LINE_CHARACTERS)] or [""]
    lines = []
    for index, piece in enumerate(pieces):
        part = variable if index < _LINES_TOGETHER else "q_1"
        lines.append(f"{part}={f'${part}' if index % _LINES_TOGETHER else ''}'{piece}'")
        if part != variable and (index % _LINES_TOGETHER == _LINES_TOGETHER - 1 or index == len(pieces) - 1):
            lines.append(f"{variable}=${variable}$q_1")
    return lines, len(typed), escaped


@dataclass(frozen=True)
class Nonces:
    """Those of one command: it is armed, it has begun, it has ended."""

    armed: str = field(default_factory=new_nonce)
    begin: str = field(default_factory=new_nonce)
    end: str = field(default_factory=new_nonce)


def delivery(
    nonces: Nonces, text: str, *, cwd: str | None, env: Mapping[str, str], stdin: bytes, daemon: bool
) -> list[bytes]:
    """The lines that deliver and arm a command; answered by ``nonces.armed`` with ``ok`` or ``bad``.

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
    # A terminal that makes small letters of capitals shows by the first flag.
    flags = "A" + "v" * v_escaped + "e" * e_escaped + "d" * daemon + ("" if before else _shortcut(text))
    arming = f"q_a {nonces.armed} {nonces.begin} {nonces.end} {flags} {v_length} {e_length} {i_length}"
    # The first line ends what stray key strokes may have left, and lets the shell collect its dead children.
    return [f"{line}\n".encode("ascii") for line in (" :", *v_lines, *e_lines, *i_lines, arming)]
