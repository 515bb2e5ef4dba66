"""Addresses: checks on those written, subnets for segments, and an address for every end that takes one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

from qemunet.topology import keys
from qemunet.topology.keys import Network
from qemunet.topology.problems import Place, Problems
from qemunet.topology.segments import Segment, Warnings
from qemunet.topology.statements import Address, WrittenAddress, WrittenEnd

_IPV4_BLOCK = IPv4Network("10.0.0.0/8")
_USUAL_PREFIX = {4: 24, 6: 64}
_ADDRESSES_OF_SLASH_24 = 254


class Blocks:
    """Hands out subnets of a block in rising order, skipping what overlaps a network in use."""

    def __init__(self, block: Network, used: Iterable[Network]) -> None:
        self._block = block
        self._next = int(block.network_address)
        spans = sorted((int(n.network_address), int(n.broadcast_address)) for n in set(used))
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in spans:
            if self._lasts and first <= self._lasts[-1]:
                self._lasts[-1] = max(self._lasts[-1], last)
            else:
                self._firsts.append(first)
                self._lasts.append(last)

    def take(self, prefix_length: int) -> Network | None:
        """Return the next free subnet of that size, or None if the block has no room left."""
        size = 1 << (self._block.max_prefixlen - prefix_length)
        first = self._next
        while True:
            first = -(-first // size) * size
            last = first + size - 1
            if last > int(self._block.broadcast_address):
                return None
            span = bisect_right(self._firsts, last) - 1
            if span < 0 or self._lasts[span] < first:
                self._next = last + 1
                kind = IPv4Network if self._block.version == 4 else IPv6Network
                return kind((first, prefix_length))
            first = self._lasts[span] + 1


class Addresser:
    """Gives addresses to the ends of segments."""

    def __init__(self, segments: Sequence[Segment], problems: Problems, warnings: Warnings) -> None:
        self._segments = segments
        self._problems = problems
        self._warnings = warnings
        self._subnets: list[dict[int, Network] | None] = []
        self._used: dict[tuple[int, Address], Place] = {}

    def assign(self, ipv6: IPv6Network | None) -> None:
        """Complete every end's ``addresses``; IPv6 is given only out of ``ipv6`` or a written ``subnet=``."""
        self._read_subnets()
        networks: list[dict[int, Network]] = []
        for number, segment in enumerate(self._segments):
            self._complete_prefixes(number, segment)
            networks.append(self._check_written(number, segment))
        self._check_overlaps(networks)
        used = [network for of_segment in networks for network in of_segment.values()]
        used += self._written_networks()
        blocks = {4: Blocks(_IPV4_BLOCK, (n for n in used if n.version == 4))}
        if ipv6 is not None:
            blocks[6] = Blocks(ipv6, (n for n in used if n.version == 6))
        for segment in self._segments:
            for end in segment.ends:
                end.addresses += (f"{w.address}/{w.prefix_length}" for w in end.written)
        for version in (4, 6):
            self._give_all(version, networks, blocks.get(version))

    def _read_subnets(self) -> None:
        """Find what ``subnet=`` says of each segment: networks, nothing, or None for ``none``."""
        for segment in self._segments:
            said: dict[int, Network] = {}
            first: Place | None = None
            none = False
            for link in segment.links:
                if "subnet" not in link.values:
                    continue
                value = link.values["subnet"]
                networks = keys.subnets(value.text)
                differs = any(said.get(version, network) != network for version, network in (networks or {}).items())
                if first is not None and (none != (networks is None) or differs):
                    message = f"subnet={value.text}: this segment has another subnet already, written at {first}"
                    self._problems.add(value.place, message)
                    continue
                first = first or value.place
                none = networks is None
                said.update(networks or {})
            self._subnets.append(None if none else said)

    def _complete_prefixes(self, number: int, segment: Segment) -> None:
        """Give addresses without prefix length that of their segment's network, else the usual one."""
        written = [w for end in segment.ends for w in end.written]
        if all(w.prefix_length is not None for w in written):
            return
        around: list[Network] = list((self._subnets[number] or {}).values())
        around += [_network_of(w) for w in written if w.prefix_length is not None]
        for w in written:
            if w.prefix_length is None:
                network = next((n for n in around if w.address in n), None)
                w.prefix_length = network.prefixlen if network else _USUAL_PREFIX[w.address.version]

    def _check_written(self, number: int, segment: Segment) -> dict[int, Network]:
        """Check a segment's written addresses; return its network by IP version, as far as it is written."""
        networks = dict(self._subnets[number] or {})
        said = dict(networks)
        for end in segment.ends:
            for version in {w.address.version for w in end.written}:
                own = [w for w in end.written if w.address.version == version]
                if version in said and not any(w.address in said[version] for w in own):
                    seen = ", ".join(str(w.address) for w in own)
                    self._problems.add(own[0].place, f"{end.node}: {seen} is outside its subnet {said[version]}")
            for w in end.written:
                network = _network_of(w)
                self._check_address(w, network, number, f"{end.node}:{end.interface}")
                if w.address.is_link_local:
                    continue
                expected = networks.setdefault(w.address.version, network)
                if network == expected:
                    continue
                if network.overlaps(expected):
                    message = (
                        f"{end.node}: {w.address}/{w.prefix_length} does not have the prefix length of its segment, "
                        f"whose network is {expected}"
                    )
                    self._problems.add(w.place, message)
                elif w.address.version not in said and len(end.written) == 1:
                    message = f"{end.node}: {w.address}/{w.prefix_length} is outside its segment's network {expected}"
                    self._warnings.append((w.place, message))
        return networks

    def _check_address(self, w: WrittenAddress, network: Network, number: int, owner: str) -> None:
        place = w.place
        if network.prefixlen < network.max_prefixlen - 1:
            if w.address == network.network_address:
                self._problems.add(place, f"{owner}: {w.address} is the address of the network {network} itself")
            elif w.address.version == 4 and w.address == network.broadcast_address:
                self._problems.add(place, f"{owner}: {w.address} is the broadcast address of {network}")
        key = (number if w.address.is_link_local else -1, w.address)
        if key in self._used:
            self._problems.add(place, f"address {w.address} is used twice, first at {self._used[key]}")
        self._used.setdefault(key, place)

    def _check_overlaps(self, networks: Sequence[dict[int, Network]]) -> None:
        """Report written subnets of two segments that overlap, and warn of such addresses."""
        spans = [
            (int(network.network_address), int(network.broadcast_address), number, version)
            for number, of_segment in enumerate(networks)
            for version, network in of_segment.items()
        ]
        last_by_version: dict[int, tuple[int, int]] = {}
        for first, last, number, version in sorted(spans):
            reached, other = last_by_version.get(version, (-1, -1))
            if first <= reached:
                self._report_overlap(min(number, other), max(number, other), version, networks)
            if last > reached:
                last_by_version[version] = (last, number)

    def _report_overlap(self, earlier: int, later: int, version: int, networks: Sequence[dict[int, Network]]) -> None:
        mine, theirs = networks[later][version], networks[earlier][version]
        place = self._segments[later].links[0].place_of("subnet")
        message = f"the network {mine} of this segment overlaps {theirs} of another, at "
        message += str(self._segments[earlier].links[0].place_of("subnet"))
        if all(version in (self._subnets[number] or {}) for number in (earlier, later)):
            self._problems.add(place, message)
        else:
            self._warnings.append((place, message))

    def _written_networks(self) -> list[Network]:
        return [_network_of(w) for segment in self._segments for end in segment.ends for w in end.written]

    def _give_all(self, version: int, networks: Sequence[dict[int, Network]], block: Blocks | None) -> None:
        """Give every end that takes one an address of one IP version."""
        for number, segment in enumerate(self._segments):
            takers = [end for end in segment.takers if all(w.address.version != version for w in end.written)]
            if self._subnets[number] is None or not takers or (block is None and not _has_ipv6_subnet(segment)):
                continue
            network = networks[number].get(version)
            if network is None and block is not None:
                network = block.take(64 if version == 6 else _ipv4_prefix_length(len(takers)))
                if network is None:  # nor is there one for the segments after it
                    place = segment.links[0].place
                    self._problems.add(place, f"there is no IPv{version} network left for this segment; write subnet=")
                    return
            if network is not None:
                self._give(segment, takers, network)

    def _give(self, segment: Segment, takers: Sequence[WrittenEnd], network: Network) -> None:
        """Give ends the lowest free addresses of a network, in order."""
        first, last = _host_span(network)
        candidate = first
        for count, end in enumerate(takers):
            while candidate <= last and (-1, network[candidate]) in self._used:
                candidate += 1
            if candidate > last:
                self._problems.add(
                    segment.links[0].place_of("subnet"),
                    f"the network {network} has room for {count} of the {len(takers)} ends that take an address",
                )
                return
            address = network[candidate]
            self._used[-1, address] = end.place
            end.addresses.append(f"{address}/{network.prefixlen}")


def _has_ipv6_subnet(segment: Segment) -> bool:
    """Return whether ``subnet=`` says an IPv6 network; without, only ends that write IPv6 addresses have them."""
    return any("subnet" in link.values and ":" in link.values["subnet"].text for link in segment.links)


def _ipv4_prefix_length(ends: int) -> int:
    """Return 24, or that of the smallest larger block with room for so many ends."""
    return 24 if ends <= _ADDRESSES_OF_SLASH_24 else 32 - (ends + 1).bit_length()


def _network_of(written: WrittenAddress) -> Network:
    return ip_network(f"{written.address}/{written.prefix_length}", strict=False)


def _host_span(network: Network) -> tuple[int, int]:
    """Return the first and last index of a network's addresses that hosts can have."""
    last = network.num_addresses - 1
    if network.prefixlen >= network.max_prefixlen - 1:
        return 0, last
    return 1, last - 1 if network.version == 4 else last
