"""Files and folders to and from a guest, over a console of their own: a tar stream through a raw terminal.

The guest needs tar and head; it sees nothing but two commands on a shell that nobody else uses.
"""

from __future__ import annotations

import errno
import os
import secrets
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO

import trio

from qemunet.errors import CommandFailed, ConsoleError, GuestError, GuestExitedError
from qemunet.guest.armed import Ended
from qemunet.guest.framing import quote
from qemunet.guest.output import FileOutput
from qemunet.guest.shell import Shell

Told = Callable[[int, int | None], None]
"""Called with the bytes that have passed and their number in all, None where it is not known."""

_PIECE_BYTES = 64 * 1024
_MOST_WAITING_BYTES = 256 * 1024
#: An escaped byte takes up to five characters, and the guest's shell keeps them in its memory.
_TYPED_BYTES = 32 * 1024
#: So much is looked at of what a tar says that fails, behind what it has packed.
_SAID_BYTES = 4096

# The stream holds one entry, `q`, a file or folder. It is unpacked beside its target, so that the target is there
# whole or not at all; into a folder that is there already its content is added, as cp does.
_PREPARE = """\
set -e
t={target}
if [ -d "$t" ]; then t=${{t%/}}/{name}; fi
mkdir -p -- "$(dirname "$t")"
mkdir -- "$t.{mark}"
stty -isig -ixon </dev/tty
"""

# Everything that the terminal brings belongs to head; ^C is a byte like any other meanwhile. What tar does not take (a
# full disk) is taken all the same: a shell that reads the terminal next would do it as commands.
_RECEIVE = """\
t={target}
if [ -d "$t" ]; then t=${{t%/}}/{name}; fi
w=$t.{mark}
trap 'stty isig </dev/tty; rm -rf "$w"' EXIT
set -e
head -c {size} </dev/tty | {{ r=0; tar -xf - -C "$w" || r=$?; cat >/dev/null; exit "$r"; }}
if [ -d "$w/q" ] && [ -d "$t" ]; then tar -cf - -C "$w/q" . | tar -xf - -C "$t"; else rm -rf "$t"; mv "$w/q" "$t"; fi
"""

_BEGIN = _PREPARE.replace("stty -isig -ixon </dev/tty\n", "")

_APPEND = """\
t={target}
if [ -d "$t" ]; then t=${{t%/}}/{name}; fi
cat >>"$t.{mark}/tar"
"""

_DISCARD = """\
t={target}
if [ -d "$t" ]; then t=${{t%/}}/{name}; fi
rm -rf "$t.{mark}"
"""

_FINISH = _RECEIVE.replace("stty isig </dev/tty; ", "").replace("head -c {size} </dev/tty |", '<"$w/tar"')

# What tar says of files that it leaves out, such as sockets, is no part of what it packs.
_SEND = """\
s={source}
[ -e "$s" ] || {{ echo "$s: there is no such file" >&2; exit 1; }}
[ ! -L "$s" ] || s=$(readlink -f "$s")
case ${{s##*/}} in .|..) s=$(cd "$s" && pwd -P);; esac
exec 3>&1
m=$(tar -cf - -C "$(dirname "$s")" -- "$(basename "$s")" 2>&1 >&3 3>&-) || {{ r=$?; echo "{mark}$m"; exit "$r"; }}
"""


async def send(shell: Shell, source: Path, target: str, told: Told) -> None:
    """Copy a file or folder of the host to a guest, as ``cp -r`` would: into ``target`` if that is a folder there.

    Args:
        shell: Of a console that nobody else uses.
        source: A file or folder, or a link to one; links in it stay links.
        target: Path in the guest; its folder is made if it is missing.
        told: Is told how far it is.

    Raises:
        GuestError: there is no such source, or the guest could not take it.
    """
    target = _path_in_guest(target, f"copy_to {shell.node}", shell.node)
    with tempfile.TemporaryFile() as packed:
        try:
            name = await trio.to_thread.run_sync(_pack, source, packed)
        except (OSError, tarfile.TarError) as error:
            message = f"copy_to {shell.node}: {source} cannot be read: {getattr(error, 'strerror', None) or error}"
            raise GuestError(message, node=shell.node) from error
        size = packed.tell()
        packed.seek(0)
        words: dict[str, str | int] = {
            "path": target,
            "target": quote(target),
            "name": quote(name),
            "mark": f"qemunet-{secrets.token_hex(4)}",
            "size": size,
        }
        sending = _send_in_pieces if shell.console.noisy else _send_at_once
        try:
            await sending(shell, packed, words, told)
        except (ConsoleError, GuestExitedError):
            raise
        except BaseException:
            # A command that is killed, and one that was not reached, removes nothing.
            with trio.CancelScope(shield=True), suppress(GuestError):
                armed = await shell.arm(_DISCARD.format(**words))
                armed.fire()
                with trio.move_on_after(shell.reply_s) as limit:
                    await armed.ended()
                if limit.cancelled_caught:
                    await armed.stop()
            raise


async def _send_at_once(shell: Shell, packed: IO[bytes], words: Mapping[str, str | int], told: Told) -> None:
    """Over a terminal that is nobody else's meanwhile, as it is."""
    target = str(words["path"])
    await _checked(shell, _PREPARE.format(**words), target)
    armed = await shell.arm(_RECEIVE.format(**words))
    armed.fire()
    try:
        await armed.begun()
        passed = 0
        while piece := packed.read(_PIECE_BYTES):
            shell.console.write(piece)
            await shell.console.drained(_MOST_WAITING_BYTES)
            passed += len(piece)
            told(passed, int(words["size"]))
        ended = await armed.ended()
    except BaseException:
        with trio.CancelScope(shield=True):
            await armed.stop()
        raise
    _check(shell, ended, target)


async def _send_in_pieces(shell: Shell, packed: IO[bytes], words: Mapping[str, str | int], told: Told) -> None:
    """Over a terminal that has no flow control, and that others read as well: as the input of many commands."""
    target = str(words["path"])
    await _checked(shell, _BEGIN.format(**words), target)
    passed = 0
    while piece := packed.read(_TYPED_BYTES):
        await _checked(shell, _APPEND.format(**words), target, stdin=piece)
        passed += len(piece)
        told(passed, int(words["size"]))
    await _checked(shell, _FINISH.format(**words), target)


async def _checked(shell: Shell, text: str, target: str, *, stdin: bytes | None = None) -> None:
    armed = await shell.arm(text, stdin=stdin)
    armed.fire()
    try:
        ended = await armed.ended()
    except BaseException:
        with trio.CancelScope(shield=True):
            await armed.stop()
        raise
    _check(shell, ended, target)


def _check(shell: Shell, ended: Ended, target: str) -> None:
    if ended.exit_status != 0:
        said = ended.output.decode("utf-8", "replace").strip()
        raise GuestError(f"copy_to {shell.node}: {target} could not be written: {said}", node=shell.node)


def _path_in_guest(path: str, what: str, node: str) -> str:
    """``path`` so that no program of the guest takes it for an option."""
    try:
        unusable = not path or "\0" in path or not path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        unusable = True
    if unusable:
        raise GuestError(f"{what}: {path!r} can be no path in a guest", node=node)
    return f"./{path}" if path.startswith("-") else path


def _pack(source: Path, packed: IO[bytes]) -> str:
    """Pack a file or folder under the name ``q``; returns its own name."""
    resolved = source.resolve(strict=True)
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
        archive.add(resolved, arcname="q", filter=_roots)
        if not archive.getmembers():
            raise OSError(errno.EINVAL, "it is a socket")
    return source.name if source.name not in ("", "..") else resolved.name


def _roots(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """A filter that makes all root's, as what root copies is; users of the host need not be there in the guest."""
    return member.replace(uid=0, gid=0, uname="", gname="", deep=False)


async def fetch(shell: Shell, source: str, target: Path, told: Told) -> Path:
    """Copy a file or folder of a guest to the host, as ``cp -r`` would: into ``target`` if that is a folder here.

    Args:
        shell: Of a console that nobody else uses.
        source: Path in the guest, of a file or folder, or of a link to one; links in it stay links, wherever they lead.
        target: Path on the host; its folder is made if it is missing.
        told: Is told how far it is.

    Returns:
        What was written.

    Raises:
        CommandFailed: the guest could not read it.
        GuestError: the host could not write it.
    """
    source = _path_in_guest(source, f"copy_from {shell.node}", shell.node)
    with tempfile.TemporaryFile() as packed:
        output = FileOutput(packed.fileno(), lambda passed: told(passed, None))
        mark = f"qemunet-{secrets.token_hex(4)}:"
        armed = await shell.arm(_SEND.format(source=quote(source), mark=mark), output=output)
        armed.fire()
        try:
            ended = await armed.ended()
        except BaseException:
            with trio.CancelScope(shield=True):
                await armed.stop()
            raise
        if output.error is not None:
            raise GuestError(f"copy_from {shell.node}: {output.error.strerror}", node=shell.node)
        if ended.exit_status != 0:
            packed.seek(max(0, packed.seek(0, os.SEEK_END) - _SAID_BYTES))
            said = packed.read().rpartition(mark.encode())[2].decode("utf-8", "replace").strip()
            raise CommandFailed(
                f"copy_from {shell.node}: {source} could not be read: {said}",
                node=shell.node,
                command=f"tar {source}",
                output=said,
                exit_status=ended.exit_status,
            )
        packed.seek(0)
        try:
            return await trio.to_thread.run_sync(_unpack, packed, PurePosixPath(source).name, target)
        except (OSError, tarfile.TarError) as error:
            raise GuestError(f"copy_from {shell.node}: {target} cannot be written: {error}", node=shell.node) from error


def _inside(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo | None:
    """A filter that keeps what a guest sends inside the folder: nothing through a link, and no devices."""
    if not (member.issym() or member.isfifo()):
        return tarfile.data_filter(member, path)
    # A link does no harm wherever it leads, for nothing is unpacked through one that leads out of the folder.
    return tarfile.tar_filter(member, path).replace(uid=os.getuid(), gid=os.getgid(), uname="", gname="", deep=False)


def _unpack(packed: IO[bytes], name: str, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    into = target if target.is_dir() else target.parent
    with tarfile.open(fileobj=packed) as archive, tempfile.TemporaryDirectory(dir=into, prefix=".qemunet-") as work:
        archive.extractall(work, filter=_inside)
        entries = os.listdir(work)
        if len(entries) != 1:
            raise OSError(errno.EINVAL, f"not one file or folder came, but {len(entries)}")
        (entry,) = entries
        name = name if name not in ("", "..") else entry
        written = target / name if target.is_dir() else target
        if written.is_dir():
            raise FileExistsError(17, "is there already", str(written))
        os.replace(Path(work, entry), written)
    return written
