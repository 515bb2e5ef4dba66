"""The torture in brief; ``make torture`` is the whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.torture.parts import Amount, clean, torture

AMOUNTS = {
    "containers": Amount(commands=300, output_bytes=3_000_000, seed=1),
    "machines": Amount(commands=120, output_bytes=3_000_000, seed=1),
}


@pytest.mark.parametrize("part", AMOUNTS)
def test_every_byte_and_status_is_right(part: str, tmp_path: Path) -> None:
    if part == "containers" and not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        pytest.skip("/dev/net/tun may not be opened")
    (record,) = torture(part, AMOUNTS[part], tmp_path, print, guests=4)
    assert clean(record), record
    assert record["metrics"]["commands"] >= AMOUNTS[part].commands
    assert record["metrics"]["output_bytes"] >= 0.9 * AMOUNTS[part].output_bytes
    if part != "containers":
        assert record["metrics"]["kernel_messages"] > record["metrics"]["commands"]
