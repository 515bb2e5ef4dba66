"""Batches from Python: ``qemunet.batch`` gives a DataFrame, also while an event loop runs."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

import qemunet
from qemunet.errors import InputError

from .conftest import MARK, Bench

pytestmark = pytest.mark.skipif(
    not os.access("/dev/net/tun", os.R_OK | os.W_OK), reason="/dev/net/tun may not be opened"
)

EXPERIMENT = """\
PARAMETERS = {"text": "", "count": 1}

async def experiment(bed):
    assert bed.parameters["count"] != 3, "three"
    return {"twice": 2 * bed.parameters["count"], "count": "of the metrics"}
"""


def test_a_batch_is_a_data_frame(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MARK, bench.mark)
    sweep = {
        "topology": bench.file(
            "t.txt", "option lag_p99=5s lag_max=10s\nnode a container\nnode b container\nlink a b\n"
        ),
        "experiment": bench.file("e.py", EXPERIMENT),
        "parameters": {"text": "word", "count": range(1, 4)},
    }

    async def notebook() -> Any:
        return qemunet.batch(sweep, jobs=2, runs_dir=bench.runs, name="mine")  # type: ignore[operator]

    frame = asyncio.run(notebook())
    assert list(frame["count"]) == [1, 2, 3]
    assert list(frame["text"]) == ["word"] * 3
    assert list(frame["status"]) == ["passed", "passed", "failed"]
    assert list(frame["twice"][:2]) == [2, 4]
    assert list(frame["metric.count"][:2]) == ["of the metrics"] * 2
    assert all(path.startswith(str(bench.runs / "mine" / "e")) for path in frame["directory"])
    with pytest.raises(InputError, match="is a batch already") as caught:
        qemunet.batch(sweep, runs_dir=bench.runs, name="mine")  # type: ignore[operator]
    assert "--resume" in str(caught.value.hint)
    again = qemunet.batch(sweep, runs_dir=bench.runs, name="mine", resume=True)  # type: ignore[operator]
    assert again.equals(frame)


def test_the_package_is_still_a_package() -> None:
    import qemunet.batch.model

    assert qemunet.batch.model.Sweep.__name__ == "Sweep"
    assert callable(qemunet.batch)
    with pytest.raises(AttributeError, match="no attribute 'batches'"):
        qemunet.batches  # noqa: B018
