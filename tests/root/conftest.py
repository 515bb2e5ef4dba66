"""Fixtures of the tests of the host part."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.root.runs import Controller, Log


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path / "log")
    yield log
    os.close(log.fd)


@pytest.fixture
def start_controller() -> Iterator[Callable[..., Controller]]:
    controllers = []

    def start(program: str, *arguments: str) -> Controller:
        controllers.append(Controller(program, *arguments))
        return controllers[-1]

    yield start
    for controller in controllers:
        controller.close()
