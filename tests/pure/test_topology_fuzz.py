"""Any input to any reader ends in a Topology or a TopologyError, quickly and in bounded memory."""

from __future__ import annotations

import random
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qemunet.errors import TopologyError
from qemunet.topology import declared_parameters, parse_topology, read_topology

from . import fuzz

SUFFIXES = list(fuzz.BOMBS)
SEEDS = fuzz.seeds()


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(data=st.data())
@settings(max_examples=200)
def test_random_text(data: st.DataObject, suffix: str) -> None:
    alphabet = st.sampled_from(fuzz.ALPHABETS[suffix]) | st.characters()
    fuzz.survive(data.draw(st.text(alphabet=alphabet, max_size=300)), suffix)


WORDS = [word for text in SEEDS["txt"] for word in text.split(" ")] + [
    "\n",
    "n[1-3]",
    "${N}",
    "a:eth0@10.0.0.1/8",
    "csma",
]


@given(st.lists(st.sampled_from(WORDS), max_size=60))
@settings(max_examples=300)
def test_random_words(words: list[str]) -> None:
    fuzz.survive(" ".join(words))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_mutated_text(suffix: str) -> None:
    for text in fuzz.inputs(suffix, 1500, random.Random(1)):
        fuzz.survive(text, suffix)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_seeds_are_read_in_full(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"net.{suffix}"
    for text in SEEDS[suffix]:
        file.write_text(text, encoding="utf-8")
        declared = declared_parameters(file)
        if text not in (fuzz.TEXT, fuzz.WIFI, fuzz.HOSTILE_XML):
            assert read_topology(file, parameters=declared).nodes


@pytest.mark.parametrize(("suffix", "bomb"), [(suffix, bomb) for suffix in SUFFIXES for bomb in fuzz.BOMBS[suffix]])
def test_bombs(suffix: str, bomb: str) -> None:
    tracemalloc.start()
    start_s = time.process_time()
    try:
        with pytest.raises(TopologyError):
            parse_topology(fuzz.BOMBS[suffix][bomb], name=f"net.{suffix}")
        assert tracemalloc.get_traced_memory()[1] < 60 << 20
        assert time.process_time() - start_s < 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_large_inputs_are_refused(suffix: str) -> None:
    with pytest.raises(TopologyError, match="at most 4194304 are read"):
        parse_topology("\n" * (4 << 20) + "x", name=f"net.{suffix}")
