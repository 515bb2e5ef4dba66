"""Quantities: what is read, what is refused, and that writing and reading agree."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qemunet import units


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (units.parse_time_ns, "20ms", 20_000_000),
        (units.parse_time_ns, "1.5us", 1_500),
        (units.parse_time_ns, "0", 0),
        (units.parse_time_ns, "3s", 3_000_000_000),
        (units.parse_time_ns, ".5ms", 500_000),
        (units.parse_rate_bps, "10Mbps", 10_000_000),
        (units.parse_rate_bps, "2.5Gbps", 2_500_000_000),
        (units.parse_rate_bps, "64kbps", 64_000),
        (units.parse_rate_bps, "1bps", 1),
        (units.parse_size_bytes, "128MiB", 128 << 20),
        (units.parse_size_bytes, "0.5KiB", 512),
        (units.parse_share, "0.1%", 0.001),
        (units.parse_share, "1", 1.0),
        (units.parse_share, "0.25", 0.25),
        (units.parse_share, "1e-05", 0.00001),
        (units.parse_share, "2.5E-1", 0.25),
        (units.parse_share, "1e-3%", 0.00001),
        (units.parse_share, "100%", 1.0),
    ],
)
def test_read(parse: Callable[[str], float], text: str, value: float) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text", "says"),
    [
        (units.parse_time_ns, "20", "no unit"),
        (units.parse_time_ns, "20min", "unknown unit 'min'"),
        (units.parse_time_ns, "-1ms", "not a time"),
        (units.parse_time_ns, "0.5ns", "finer than 1 ns"),
        (units.parse_time_ns, "٣ms", "not a time"),
        (units.parse_time_ns, "1e3ms", "not a time"),
        (units.parse_time_ns, "9" * 25 + "s", "too large"),
        (units.parse_time_ns, "", "such as 20ms"),
        (units.parse_rate_bps, "10mbps", "did you mean 10Mbps?"),
        (units.parse_rate_bps, "0Mbps", "lets nothing pass"),
        (units.parse_rate_bps, "10 Mbps", "not a rate"),
        (units.parse_size_bytes, "128MB", "unknown unit 'MB'"),
        (units.parse_size_bytes, "128mib", "did you mean 128MiB?"),
        (units.parse_share, "5", "for 5 percent write 5%"),
        (units.parse_share, "1e3", "0 to 1 or 0% to 100%"),
        (units.parse_share, "1e-999", "not a share"),
        (units.parse_share, "120%", "0 to 1 or 0% to 100%"),
        (units.parse_share, "-1%", "not a share"),
        (units.parse_share, "nan", "not a share"),
    ],
)
def test_refused(parse: Callable[[str], float], text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says.replace("?", r"\?")):
        parse(text)


@given(st.integers(0, 2**63 - 1))
def test_written_times_and_sizes_read_back(value: int) -> None:
    assert units.parse_time_ns(units.format_time_ns(value)) == value
    assert units.parse_size_bytes(units.format_size_bytes(value)) == value


@given(st.integers(1, 2**63 - 1))
def test_written_rates_read_back(value: int) -> None:
    assert units.parse_rate_bps(units.format_rate_bps(value)) == value


@given(st.floats(1e-12, 1) | st.just(0.0))
def test_written_shares_read_back(value: float) -> None:
    assert units.parse_share(units.format_share(value)) == value


def test_written_as_a_person_would() -> None:
    assert units.format_time_ns(20_000_000) == "20ms"
    assert units.format_rate_bps(10_000_000) == "10Mbps"
    assert units.format_size_bytes(128 << 20) == "128MiB"
    assert units.format_share(0.001) == "0.1%"
