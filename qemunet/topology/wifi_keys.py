"""How the values of a Wi-Fi's keys are read, and what the standards are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from qemunet.topology import ns3_types
from qemunet.topology.problems import did_you_mean, shown
from qemunet.units import format_rate_bps, parse_rate_bps

MANAGER = "ns3::WifiRemoteStationManager"
LOSS = "ns3::PropagationLossModel"
DELAY = "ns3::PropagationDelayModel"

LARGEST_MTU = 2296
"""What an 802.11 frame carries, less its LLC header."""

_LONGEST_M = 1e7


@dataclass(frozen=True)
class Standard:
    """A Wi-Fi standard.

    Attributes:
        ns3_name: As ns-3 names it.
        channel: The PHY's ChannelSettings: number (0: the first there is), width in MHz, band, primary channel.
        rates: What ``rate=`` may be, and ns-3's mode for it.
        high_throughput: Its rates are 802.11n's or newer.
        control_mode: Mode of RTS frames where the rate is constant.
    """

    ns3_name: str
    channel: str
    rates: Mapping[str, str]
    high_throughput: bool
    control_mode: str


def _modes(pattern: str, rates: str) -> dict[str, str]:
    return {f"{rate}Mbps": pattern.format(rate.replace(".", "_")) for rate in rates.split()}


_OFDM = "6 9 12 18 24 36 48 54"
_DSSS = _modes("DsssRate{}Mbps", "1 2 5.5 11")
_ERP = {**_DSSS, **_modes("ErpOfdmRate{}Mbps", _OFDM)}
_10MHZ = _modes("OfdmRate{}MbpsBW10MHz", "3 4.5 6 9 12 18 24 27")
_HT = {rate: f"HtMcs{index}" for index, rate in enumerate(_modes("", "6.5 13 19.5 26 39 52 58.5 65"))}
_VHT = {f"VhtMcs{index}": f"VhtMcs{index}" for index in range(10)}
_HE = {f"HeMcs{index}": f"HeMcs{index}" for index in range(12)}

STANDARDS: Mapping[str, Standard] = {
    "80211a": Standard("802.11a", "{0, 20, BAND_5GHZ, 0}", _modes("OfdmRate{}Mbps", _OFDM), False, "OfdmRate6Mbps"),
    "80211b": Standard("802.11b", "{0, 22, BAND_2_4GHZ, 0}", _DSSS, False, "DsssRate1Mbps"),
    "80211g": Standard("802.11g", "{0, 20, BAND_2_4GHZ, 0}", _ERP, False, "ErpOfdmRate6Mbps"),
    "80211p": Standard("802.11p", "{0, 10, BAND_5GHZ, 0}", _10MHZ, False, "OfdmRate3MbpsBW10MHz"),
    "80211n-2.4GHz": Standard("802.11n", "{0, 20, BAND_2_4GHZ, 0}", _HT, True, "ErpOfdmRate6Mbps"),
    "80211n-5GHz": Standard("802.11n", "{0, 20, BAND_5GHZ, 0}", _HT, True, "OfdmRate6Mbps"),
    "80211n": Standard("802.11n", "{0, 20, BAND_5GHZ, 0}", _HT, True, "OfdmRate6Mbps"),
    "80211ac": Standard("802.11ac", "{0, 80, BAND_5GHZ, 0}", _VHT, True, "OfdmRate6Mbps"),
    "80211ax": Standard("802.11ax", "{0, 80, BAND_5GHZ, 0}", _HE, True, "OfdmRate6Mbps"),
    "80211ax-2.4GHz": Standard("802.11ax", "{0, 20, BAND_2_4GHZ, 0}", _HE, True, "ErpOfdmRate6Mbps"),
    "80211ax-5GHz": Standard("802.11ax", "{0, 80, BAND_5GHZ, 0}", _HE, True, "OfdmRate6Mbps"),
    "80211ax-6GHz": Standard("802.11ax", "{0, 80, BAND_6GHZ, 0}", _HE, True, "OfdmRate6Mbps"),
}

DEFAULT_STANDARD = "80211g"
DEFAULT_MANAGER = "ns3::IdealWifiManager"
CONSTANT_RATE = "ns3::ConstantRateWifiManager"
DEFAULT_LOSS = "ns3::LogDistancePropagationLossModel"
RANGE_LOSS = "ns3::RangePropagationLossModel"
DEFAULT_DELAY = "ns3::ConstantSpeedPropagationDelayModel"

_PROGRAMMED_LOSSES = frozenset(
    f"ns3::{name}PropagationLossModel"
    for name in (
        *("HybridBuildings", "OhBuildings", "ThreeGppV2vHighway", "ThreeGppV2vUrban"),
        *("ThreeGppNTNDenseUrban", "ThreeGppNTNRural", "ThreeGppNTNSuburban", "ThreeGppNTNUrban"),
    )
)
HIGH_LOSSES = frozenset(
    f"ns3::{name}PropagationLossModel"
    for name in (
        *("ItuR1411Los", "ItuR1411NlosOverRooftop", "Kun2600Mhz", "OkumuraHata"),
        *("ThreeGppIndoorOffice", "ThreeGppRma", "ThreeGppUma", "ThreeGppUmiStreetCanyon"),
    )
)
"""Losses that depend on how high antennas are, on which ns-3 aborts where one is at no height."""

LEGACY_MANAGERS = frozenset(
    f"ns3::{name}WifiManager"
    for name in ("Aarf", "Aarfcd", "Amrr", "Aparf", "Arf", "Cara", "Minstrel", "Onoe", "Parf", "Rraa", "Rrpaa")
)
"""Rate controls on which ns-3 aborts with the rates of 802.11n and newer."""


def standard(text: str) -> str:
    """The name of a standard, as ns-3 had them in its helpers."""
    if text not in STANDARDS:
        near = did_you_mean(text, STANDARDS)
        raise ValueError(f"is none of the standards {', '.join(STANDARDS)}{near}")
    return text


def model(base: str) -> Callable[[str], str]:
    """Return a parser of the name of an ns-3 model derived from ``base``, which gives its full name."""
    return lambda text: ns3_types.resolve(text, base)


def loss(text: str) -> str:
    """The type of a model of losses that needs nothing but positions."""
    name = ns3_types.resolve(text, LOSS)
    if name in _PROGRAMMED_LOSSES:
        others = (ns3_types.short(other, LOSS) for other in ns3_types.models(LOSS) if other not in _PROGRAMMED_LOSSES)
        raise ValueError(f"{name} needs what only a program can make (extend); use one of {', '.join(others)}")
    return name


def rate(text: str) -> str:
    """A constant rate: as such, or the name of one of ns-3's modes."""
    if not re.fullmatch(r"[A-Z][A-Za-z0-9_]*", text):
        parse_rate_bps(text)
    return text


def mode_of_rate(standard_name: str, text: str) -> str:
    """Return ns-3's mode for a rate of a standard.

    Raises:
        ValueError: the standard has no such rate; names those that it has.
    """
    known = STANDARDS[standard_name].rates
    if text in known.values():
        return text
    if re.match(r"[0-9.]", text):
        asked_bps = parse_rate_bps(text)
        for written, mode in known.items():
            if written[0].isdigit() and parse_rate_bps(written) == asked_bps:
                return mode
        text = format_rate_bps(asked_bps)
    near = did_you_mean(text, (*known, *known.values()))
    names = ", ".join(written if written == mode else f"{written} ({mode})" for written, mode in known.items())
    raise ValueError(f"is no rate of {standard_name}; it has {names}{near}")


def ssid(text: str) -> str:
    """The name of a network."""
    if not 1 <= len(text.encode("utf-8", "surrogateescape")) <= 32 or not text.isprintable():
        raise ValueError("a network's name has 1 to 32 bytes")
    return text


def range_m(text: str) -> float:
    """A distance in metres."""
    if not re.fullmatch(r"[0-9]{1,8}(\.[0-9]{1,6})?", text) or not 0 < float(text) <= _LONGEST_M:
        raise ValueError("must be a distance in metres, such as 100")
    return float(text)


def mtu_bytes(text: str) -> int:
    """A MTU that Wi-Fi carries."""
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 68 <= int(text) <= LARGEST_MTU:
        raise ValueError(f"out of range; on Wi-Fi a MTU is a number of bytes from 68 to {LARGEST_MTU}")
    return int(text)


def unknown_end(text: str, ends: list[str]) -> str:
    """What is wrong with an ``ap=`` that is none of the ends."""
    return f"ap={shown(text)[1:-1]}: is none of its ends, {', '.join(dict.fromkeys(ends))}{did_you_mean(text, ends)}"
