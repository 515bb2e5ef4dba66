"""The torture in brief; ``make torture`` is the whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.torture.killing import kill_guests
from tests.torture.parts import Amount, clean, run, torture

AMOUNTS = {
    "containers": Amount(commands=300, output_bytes=3_000_000, seed=1),
    "machines": Amount(commands=40, output_bytes=400_000, seed=2),
}
GUESTS = {"containers": 4, "machines": 2}

needs_taps = pytest.mark.skipif(
    not os.access("/dev/net/tun", os.R_OK | os.W_OK), reason="/dev/net/tun may not be opened"
)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", [pytest.param("containers", marks=needs_taps), "machines"])
def test_every_byte_and_status_is_right(part: str, tmp_path: Path) -> None:
    amount = AMOUNTS[part]
    (record,) = torture(part, amount, tmp_path, print, guests=GUESTS[part])
    assert clean(record), (record["error"], record["touched"], record["directory"])
    assert record["metrics"]["commands"] >= amount.commands
    assert record["metrics"]["output_bytes"] >= 0.3 * amount.output_bytes


@pytest.mark.parametrize(("kind", "kills"), [pytest.param("containers", 12, marks=needs_taps), ("machines", 3)])
def test_killed_guests_are_named(kind: str, kills: int, tmp_path: Path) -> None:
    killed = kill_guests(kind, kills, 1, tmp_path, print)
    assert not killed.wrong
    assert killed.hits.total() >= kills


@pytest.mark.parametrize(("kind", "guests"), [pytest.param("container", 32, marks=needs_taps)])
def test_no_console_starves(kind: str, guests: int, tmp_path: Path) -> None:
    parameters = {"kind": kind, "guests": str(guests), "tasks": "5"}
    record = run("many.txt", "many.py", parameters, 1, tmp_path)
    assert clean(record), (record["error"], record["directory"])
    assert record["metrics"]["fired"] == 5 * guests
