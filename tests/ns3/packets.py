"""Packets as a guest's stack makes them, byte by byte, and what is read from those that come."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD
BROADCAST = b"\xff" * 6


def mac_bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def ethernet(source: bytes, destination: bytes, ethertype: int, payload: bytes) -> bytes:
    return destination + source + ethertype.to_bytes(2, "big") + payload


def checksum(data: bytes) -> int:
    total = sum(int.from_bytes(data[index : index + 2].ljust(2, b"\0"), "big") for index in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def arp(operation: int, sender: bytes, sender_ip: str, target: bytes, target_ip: str) -> bytes:
    start = bytes([0, 1, 8, 0, 6, 4, 0, operation])
    return start + sender + ip_address(sender_ip).packed + target + ip_address(target_ip).packed


def ipv4(source: str, destination: str, protocol: int, payload: bytes, ttl: int = 64) -> bytes:
    def header(check: int) -> bytes:
        length = (20 + len(payload)).to_bytes(2, "big")
        start = b"\x45\0" + length + b"\0\1\0\0" + bytes([ttl, protocol]) + check.to_bytes(2, "big")
        return start + ip_address(source).packed + ip_address(destination).packed

    return header(checksum(header(0))) + payload


def ping4(source: str, destination: str, number: int = 1, ttl: int = 64) -> bytes:
    def message(check: int) -> bytes:
        return b"\x08\0" + check.to_bytes(2, "big") + b"\0\7" + number.to_bytes(2, "big") + bytes(range(32))

    return ipv4(source, destination, 1, message(checksum(message(0))), ttl)


def icmp6(source: str, destination: str, message: bytes) -> bytes:
    """A message with its checksum, which it must hold as 0."""
    addresses = IPv6Address(source).packed + IPv6Address(destination).packed
    check = checksum(addresses + len(message).to_bytes(4, "big") + b"\0\0\0\x3a" + message)
    complete = message[:2] + check.to_bytes(2, "big") + message[4:]
    return b"\x60\0\0\0" + len(message).to_bytes(2, "big") + b"\x3a\xff" + addresses + complete


def ping6(source: str, destination: str) -> bytes:
    return icmp6(source, destination, b"\x80\0\0\0\0\7\0\1" + bytes(range(32)))


def solicitation(source: str, target: str, mac: bytes) -> tuple[bytes, bytes]:
    """A neighbour solicitation, and the group's Ethernet address it goes to."""
    wanted = IPv6Address(target).packed
    group = str(IPv6Address(b"\xff\x02" + bytes(9) + b"\x01\xff" + wanted[-3:]))
    option = b"" if source == "::" else b"\x01\x01" + mac
    return icmp6(source, group, b"\x87\0\0\0\0\0\0\0" + wanted + option), b"\x33\x33\xff" + wanted[-3:]


def is_valid_icmp6(packet: bytes) -> bool:
    """Whether the checksum of an ICMPv6 packet is right."""
    length = int.from_bytes(packet[4:6], "big")
    return checksum(packet[8:40] + length.to_bytes(4, "big") + b"\0\0\0\x3a" + packet[40 : 40 + length]) == 0


def repaired(packet: bytes) -> bytes:
    """A packet whose bytes were changed, with checksums that are right again where there is room for them."""
    data = bytearray(packet)
    if len(data) >= 20 and data[0] >> 4 == 4:
        header = min(max((data[0] & 15) * 4, 20), len(data))
        data[10:12] = b"\0\0"
        data[10:12] = checksum(bytes(data[:header])).to_bytes(2, "big")
        if data[9] == 1 and len(data) >= header + 4:
            data[header + 2 : header + 4] = b"\0\0"
            data[header + 2 : header + 4] = checksum(bytes(data[header:])).to_bytes(2, "big")
        _repair_transport(data, bytes(data[12:20]), header, data[9])
    elif len(data) >= 40 and data[0] >> 4 == 6:
        _repair_transport(data, bytes(data[8:40]), 40, data[6])
    return bytes(data)


def _repair_transport(data: bytearray, addresses: bytes, header: int, protocol: int) -> None:
    at = {6: 16, 17: 6, 58: 2}.get(protocol)
    if at is None or len(data) < header + at + 2:
        return
    data[header + at : header + at + 2] = b"\0\0"
    body = bytes(data[header:])
    length = len(body).to_bytes(4 if len(addresses) == 32 else 2, "big")
    pseudo = addresses + length + (b"\0\0\0" if len(addresses) == 32 else b"\0") + bytes([protocol])
    pseudo = addresses + (b"\0" + bytes([protocol]) + length if len(addresses) == 8 else pseudo[32:])
    data[header + at : header + at + 2] = checksum(pseudo + body).to_bytes(2, "big")
