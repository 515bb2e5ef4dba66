"""Parts that several statements share: positional words, KEY=VALUE, ends, and checking keys against the registry."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address

from qemunet.topology import keys
from qemunet.topology.attributes import is_attribute, static_problem
from qemunet.topology.lexer import Statement, Word
from qemunet.topology.problems import PartError, Place, Problems, did_you_mean, shown
from qemunet.topology.registry import LINK_TYPES, Key, Keys

Address = IPv4Address | IPv6Address

KEY = re.compile(r"([a-z][A-Za-z0-9_.:]*)=(.*)", re.DOTALL)
_NS3_ATTRIBUTE = re.compile(r"(device|channel|phy|mac|manager|propagation|propagation_delay)\.|ns3::")


@dataclass(frozen=True, slots=True)
class Value:
    """The value of a key, as text, and the place of its word.

    Attributes:
        word: The text with the places of its characters, where it was read from words.
    """

    text: str
    place: Place
    broken: bool = False
    word: Word | None = field(default=None, compare=False, repr=False)

    def at(self, offset: int) -> Place:
        """The place of a character of the text."""
        return self.place if self.word is None else self.word.at(offset)


Values = Mapping[str, Value]


@dataclass(slots=True)
class WrittenAddress:
    """An address of an end as written; without prefix length where none is."""

    address: Address
    prefix_length: int | None
    place: Place


@dataclass(slots=True)
class WrittenEnd:
    """An end as written, completed step by step: its interface, then its addresses."""

    node: str
    interface: str | None
    written: list[WrittenAddress]
    place: Place
    addresses: list[str] = field(default_factory=list)


def split_pairs(words: Iterable[Word], problems: Problems) -> tuple[list[Word], dict[str, Value]]:
    """Separate positional words from KEY=VALUE."""
    positional: list[Word] = []
    values: dict[str, Value] = {}
    for word in words:
        match = KEY.fullmatch(word.text) if word.role in ("", "pair") else None
        if not match:
            positional.append(word)
        elif match[1] in values:
            problems.add(word.place, f"key {match[1]} is given twice in this statement")
        else:
            values[match[1]] = Value(match[2], word.place, word.broken, word.tail(match.start(2)))
    return positional, values


def check_keys(values: Values, known: Keys, what: str, problems: Problems) -> dict[str, Value]:
    """Return the values whose key is known and whose text is right; report the others."""
    right: dict[str, Value] = {}
    for name, value in values.items():
        row = known.get(name)
        if is_attribute(known, name):
            problem = None if value.broken else static_problem(known, name, value.text)
            if problem:
                problems.add(value.place, f"{name}={shown(value.text)[1:-1]}: {problem}")
            elif not value.broken:
                right[name] = value
        elif row is None and _NS3_ATTRIBUTE.match(name):
            problems.add(value.place, f"{what} takes no attribute {shown(name)}; {_where_attributes(name)}")
        elif row is None:
            problems.add(value.place, f"{what} has no key {shown(name)}{_remedy(name, known)}")
        elif row.parse is None:
            problems.add(value.place, f"key {name} of {what} is not available in this version")
        elif row.may_be_empty and not value.text and not value.broken:
            continue
        elif not value.broken and check_value(name, row, value, problems):
            right[name] = value
    return right


def check_unknown(values: Values, known: Keys, what: str, problems: Problems) -> None:
    """Report the keys and values that are wrong whatever type was meant, where the type itself is unknown."""
    check_keys({name: value for name, value in values.items() if "." not in name}, known, what, problems)


def _where_attributes(name: str) -> str:
    """Say where an attribute that stands in the wrong statement belongs."""
    if name.startswith("ns3::"):
        return "defaults of ns-3 are options: option ns3::TYPE::ATTRIBUTE="
    prefix = name.partition(".")[0]
    usable = [other for other in LINK_TYPES if LINK_TYPES.why_not(other) is None]
    types = [other for other in usable if f"{prefix}.X" in LINK_TYPES[other].keys]
    return f"write it for a link of type {', '.join(types)}, or a default of one type"


def check_value(name: str, row: Key, value: Value, problems: Problems) -> bool:
    """Return whether a value can be read; report it if not."""
    if row.parse is None:
        return False
    try:
        row.parse(value.text)
    except keys.NotAvailableError as error:
        problems.add(value.place, f"{name}={shown(value.text)[1:-1]}: {error} is not available in this version")
        return False
    except PartError as error:
        problems.add(value.at(error.offset), f"{name}={shown(value.text)[1:-1]}: {error}")
        return False
    except ValueError as error:
        problems.add(value.place, f"{name}={shown(value.text)[1:-1]}: {error}")
        return False
    return True


def _remedy(name: str, known: Keys) -> str:
    near = did_you_mean(name, known)
    usable = [other for other in LINK_TYPES if LINK_TYPES.why_not(other) is None]
    others = [other for other in usable if name in LINK_TYPES[other].keys]
    if others and all(known is not LINK_TYPES[other].keys for other in others):
        return f"; type {others[0]} has it{near and ', or' + near[1:]}"
    return near or f"; it has {', '.join(key for key, row in known.items() if row.parse)}"


def read_end(left: str, word: Word, problems: Problems) -> WrittenEnd | None:
    """Read ``NODE[:INTERFACE][@ADDRESS,...]``; None (and a report) where it cannot be read.

    Args:
        left: What stands before the ``@``, one of those that its ranges make.
        word: The whole end as written.
        problems: Takes the reports.
    """
    before, at, addresses = word.text.partition("@")
    text = left + at + addresses
    node, colon, interface = left.partition(":")
    right = True
    try:
        keys.name(node)
        if colon:
            keys.interface(interface)
    except ValueError as error:
        problems.add(word.place, f"end {shown(text)}: {error}")
        right = False
    end = WrittenEnd(node, interface if colon else None, [], word.place)
    offset = len(before) + 1
    for part in addresses.split(",") if at else ():
        # One that is missing has no character of its own: its @ or comma stands for it.
        place = word.at(offset if part else offset - 1)
        try:
            end.written.append(_read_address(part, place))
        except ValueError as error:
            problems.add(place, f"end {shown(text)}: {error}")
        offset += len(part) + 1
    return end if right else None


def _read_address(text: str, place: Place) -> WrittenAddress:
    host, slash, prefix = text.partition("/")
    try:
        if "%" in host:
            raise ValueError
        address = ip_address(host)
    except ValueError:
        raise ValueError(f"{shown(host)} is not an IPv4 or IPv6 address, such as 10.0.0.1/24") from None
    if address.is_multicast or address.is_loopback or address.is_unspecified or host == "255.255.255.255":
        raise ValueError(f"{host} is reserved; an interface cannot have it")
    if not slash:
        return WrittenAddress(address, None, place)
    if not re.fullmatch(r"[0-9]{1,3}", prefix) or not 1 <= int(prefix) <= address.max_prefixlen:
        rule = f"a prefix length of IPv{address.version} is 1 to {address.max_prefixlen}"
        raise ValueError(f"{shown(prefix)} after {host}/ is wrong; {rule}")
    return WrittenAddress(address, int(prefix), place)


def first_broken(statement: Statement | Iterable[Word]) -> bool:
    """Return whether a positional word was reported already, so that the statement says nothing."""
    return any(word.broken for word in statement)
