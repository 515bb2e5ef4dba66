"""How the values of keys are read: one parser a kind of value.

A parser takes the text of a value and returns what it means, or raises ValueError with what would be right. The
registry names one for every key; the plan calls the same ones for the typed value.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TypeVar

from qemunet.topology.delays import parse_delay
from qemunet.topology.problems import PartError, did_you_mean, shown
from qemunet.units import parse_rate_bps, parse_share, parse_size_bytes, parse_time_ns

T = TypeVar("T")
Network = IPv4Network | IPv6Network

_MIB = 1 << 20

UNLIMITED = "unlimited"
"""The rate of a link that takes no time to transmit, as one has for which no rate is written."""

ARCHITECTURES = ("x86_64", "i386", "aarch64", "arm", "riscv64")
"""Those whose machines are known, as in the names of QEMU's programs."""

_OTHER_NAMES = {"amd64": "x86_64", "x86-64": "x86_64", "x64": "x86_64", "arm64": "aarch64"}


class NotAvailableError(ValueError):
    """A value that a later version will take."""


def directions(text: str, parse: Callable[[str], T]) -> tuple[T, T]:
    """Read ``A/B`` (first to second end / back), or one value for both directions."""
    parts = split_directions(text)
    if len(parts) > 2:
        raise ValueError("has more than two directions; write A/B: first to second end / back")
    values = []
    offset = 0
    for part in parts:
        try:
            values.append(parse(part))
        except PartError as error:
            raise PartError(str(error), offset + error.offset) from None
        offset += len(part) + 1
    return values[0], values[-1]


def split_directions(text: str) -> list[str]:
    """Split ``A/B`` at each ``/`` outside brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == "/" and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def both(parse: Callable[[str], object]) -> Callable[[str], object]:
    """Return a parser of ``A/B`` values."""
    return lambda text: directions(text, parse)


def delay_ns(text: str) -> int:
    """A delay in nanoseconds that is the same for every frame, as ns-3's own channels have it."""
    delay = parse_delay(text)
    if not isinstance(delay, int):
        raise ValueError("only a wire draws delays from a distribution; write one time, or use type wire")
    return delay


def link_rate(text: str) -> int | None:
    """A link's rate in bits per second; None is ``unlimited``."""
    return None if text == UNLIMITED else parse_rate_bps(text)


def one_rate(text: str) -> int | None:
    """A rate that is the same for all directions, as on a shared channel."""
    return _undirected(text, link_rate)


def one_delay(text: str) -> int:
    """A delay that is the same for all directions."""
    return _undirected(text, delay_ns)


def one_share(text: str) -> float:
    """A share that is the same for all directions."""
    return _undirected(text, parse_share)


def one_mtu(text: str) -> int:
    """A MTU that is the same for all ends."""
    return _undirected(text, mtu_bytes)


def _undirected(text: str, parse: Callable[[str], T]) -> T:
    if len(split_directions(text)) > 1:
        raise ValueError("has two directions, but the channel is shared by all ends; write one value")
    return parse(text)


def mtu_bytes(text: str) -> int:
    """A MTU in bytes."""
    return _whole(text, 68, 9216, "a MTU is a number of bytes")


def queue_frames(text: str) -> int:
    """The length of a queue in frames."""
    return _whole(text, 0, 1_000_000, "a queue is a number of frames")


def cpus(text: str) -> int:
    """A number of processors."""
    return _whole(text, 1, 255, "the processors are a number")


def seed(text: str) -> int:
    """A seed of random streams."""
    return _whole(text, 0, (1 << 32) - 1, "a seed is a whole number")


def positive_time(text: str) -> int:
    """A time in nanoseconds, longer than none."""
    time_ns = parse_time_ns(text)
    if time_ns <= 0:
        raise ValueError("must be longer than 0, such as 50ms")
    return time_ns


def memory_mib(text: str) -> int:
    """A memory size in MiB."""
    size_bytes = parse_size_bytes(text)
    if size_bytes % _MIB or size_bytes < _MIB:
        raise ValueError("memory is a whole number of MiB, such as 128MiB")
    return size_bytes // _MIB


def disk_mib(text: str) -> int:
    """The size of a disk in MiB."""
    size_bytes = parse_size_bytes(text)
    if size_bytes % _MIB or size_bytes < _MIB:
        raise ValueError("a disk is a whole number of MiB, such as 64MiB")
    return size_bytes // _MIB


def one_of(*words: str) -> Callable[[str], str]:
    """Return a parser that takes these words only."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"must be {', '.join(words[:-1])} or {words[-1]}{did_you_mean(text, words)}")
        return text

    return parse


def word(text: str) -> str:
    """A name as QEMU takes it, with options after commas (``max,pauth=off``)."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.,=:+-]*", text):
        raise ValueError("must be one word of letters, digits and . , = : + - _")
    return text


def arch(text: str) -> str:
    """An architecture, as in QEMU's program name."""
    if text in _OTHER_NAMES:
        raise ValueError(f"is called {_OTHER_NAMES[text]!r} here, as QEMU calls it")
    if text not in ARCHITECTURES:
        raise ValueError(f"is none of the architectures {', '.join(ARCHITECTURES)}{did_you_mean(text, ARCHITECTURES)}")
    return text


def image(text: str) -> str:
    """The name of an image, or the path of a recipe, which ends in .yaml."""
    if not text.endswith(".yaml") and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", text):
        raise ValueError("must be the name of an image (see qemunet image list) or the path of a recipe (*.yaml)")
    return text


def file(text: str) -> str:
    """A path."""
    if not text:
        raise ValueError("must be the path of a file")
    return text


def anything(text: str) -> str:
    """Anything."""
    return text


def user(text: str) -> str:
    """A login name, as login(1) takes it."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?", text):
        raise ValueError("must be a login name: a letter or _, then up to 31 letters, digits and . _ -")
    return text


def password(text: str) -> str:
    """What can be typed at a login: one line that is not empty."""
    if not text or not text.isprintable():
        raise ValueError("must be text that can be typed at a login; leave it out where none is asked for")
    return text


def arguments(text: str) -> list[str]:
    """Arguments, quoted as in a shell."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ValueError(f"quotes do not match ({error})") from None


def name(text: str) -> str:
    """The name of a node, link or lan."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,31}", text):
        raise ValueError("a name begins with a letter and has up to 32 letters, digits, - and _")
    return text


def interface(text: str) -> str:
    """The name of an interface, as Linux takes it."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,14}", text):
        raise ValueError("an interface's name begins with a letter and has up to 15 letters, digits, - and _")
    if text in ("lo", "br0", "all", "default"):
        raise ValueError(f"the name {text} has a meaning of its own inside a guest; choose another, such as eth0")
    return text


def subnets(text: str) -> dict[int, Network] | None:
    """Subnets by IP version, at most one each; None for ``none``."""
    if text == "none":
        return None
    found: dict[int, Network] = {}
    for part in text.split(","):
        network = _network(part)
        if network.version in found:
            raise ValueError(f"has two IPv{network.version} networks; a segment has one")
        found[network.version] = network
    return found


def ipv6_block(text: str) -> IPv6Network:
    """A block of IPv6 addresses from which segments take /64s."""
    network = _network(text)
    if not isinstance(network, IPv6Network) or network.prefixlen > 64:
        raise ValueError("must be an IPv6 network of at least a /64, such as fd00::/48")
    return network


def _network(text: str) -> Network:
    try:
        if "/" not in text or "%" in text:
            raise ValueError
        network = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{shown(text)} is not a network; write one such as 10.1.0.0/24, or none") from None
    if network.network_address != ip_address(text.split("/")[0]):
        raise ValueError(f"{text!r} has bits set beyond its prefix; the network is {network}")
    if network.is_multicast or network.is_loopback or network.prefixlen == 0:
        raise ValueError(f"{text!r} is reserved; guests cannot use it")
    return network


def _whole(text: str, least: int, most: int, rule: str) -> int:
    if not re.fullmatch(r"[0-9]{1,10}", text) or not least <= int(text) <= most:
        raise ValueError(f"out of range; {rule} from {least} to {most}" if text.isdecimal() else f"{rule}")
    return int(text)
