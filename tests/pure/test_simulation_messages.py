"""Packing of the messages to the simulation; the same layouts in C++ are met in tests/ns3."""

from __future__ import annotations

import struct
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qemunet.plan.model import DelayPart, EndPlan, Impairments, LinkPlan, SimulationPlan
from qemunet.simulation import messages
from qemunet.simulation.builder import plan_from_json
from qemunet.simulation.failure import from_death, last_words
from qemunet.simulation.messages import Type

U32 = st.integers(0, 2**32 - 1)
I64 = st.integers(-(2**63), 2**63 - 1)


@given(st.sampled_from(Type), U32, st.binary(max_size=100))
def test_what_is_packed_is_unpacked(type_: Type, id_: int, body: bytes) -> None:
    assert messages.unpack(messages.pack(type_, id_, body)) == messages.Message(type_, id_, body)


@given(st.binary(max_size=7))
def test_short_messages_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="a header has 8"):
        messages.unpack(data)


def test_other_versions_are_refused() -> None:
    with pytest.raises(ValueError, match="version 9"):
        messages.unpack(struct.pack("<HHI", 9, Type.OK, 0))


def test_layout_of_requests() -> None:
    assert messages.pack_fire(5, [1, 2]) == struct.pack("<qIII", 5, 2, 1, 2)
    impairments = Impairments(rate_bps=8, delay_ns=1, jitter_ns=2, loss=0.5, duplicate=0.25, reorder=1, queue_frames=3)
    packed = messages.pack_impairments(impairments)
    assert packed == struct.pack("<QqqdddII", 8, 1, 2, 0.5, 0.25, 1.0, 3, 0)
    nothing = messages.pack_impairments(Impairments())
    change = messages.Change
    assert messages.pack_set_link(7, 4, change.THERE, packed) == struct.pack("<qII", 7, 4, 1) + packed + nothing
    both = change.BACK | change.DOWN
    assert messages.pack_set_link(7, 4, both, back=packed) == struct.pack("<qII", 7, 4, 10) + nothing + packed
    assert messages.pack_impairments(impairments, 9)[-4:] == struct.pack("<I", 9)


def test_distributions_are_sent_in_pieces() -> None:
    values = DelayPart("values", 0.25, values_ns=tuple(range(1000)))
    parts = (
        values,
        DelayPart("lognormal", 0.5, 1.5, 2.5, 3, 4),
        DelayPart("values", 0.25, values_ns=(7,), weights=(1,)),
    )
    first, second = messages.pack_define_delay(parts)
    assert len(first) <= messages.MAX_BYTES - 8
    assert struct.unpack_from("<III", first) == (1002, 0, 682)
    assert struct.unpack_from("<III", second) == (1002, 682, 320)
    packed = first[12:] + second[12:]
    assert struct.unpack_from("<IIdddqq", packed, 5 * 48) == (0, 0, 0.25 / 1000, 5, 5, 0, 0)
    assert struct.unpack_from("<IIdddqq", packed, 1000 * 48) == (2, 0, 0.5, 1.5, 2.5, 3, 4)
    assert struct.unpack_from("<IIdddqq", packed, 1001 * 48) == (0, 0, 0.25, 7, 7, 0, 0)


@given(I64, st.booleans(), st.lists(st.tuples(U32, st.integers(0, 200), I64)))
def test_fired(at_ns: int, late: bool, consoles: list[tuple[int, int, int]]) -> None:
    body = struct.pack("<qII", at_ns, late, len(consoles))
    body += b"".join(struct.pack("<Iiq", *console) for console in consoles)
    fired = messages.unpack_fired(body)
    assert (fired.at_ns, fired.late) == (at_ns, late)
    assert list(zip(fired.consoles, fired.errors, fired.written_ns, strict=True)) == consoles


def test_counters() -> None:
    doors = messages.unpack_doors(struct.pack("<I", 1) + struct.pack("<II7Q", 3, 0, *range(7)))
    assert doors == {3: messages.DoorCounters(0, 1, 2, 3, 4, 5, 6)}
    links = messages.unpack_links(struct.pack("<I", 1) + struct.pack("<II12Q", 2, 1, *range(12)))
    assert links[2, 1].sent_frames == 0
    assert (links[2, 1].reordered, links[2, 1].dropped_down) == (10, 11)


def test_a_plan_survives_json() -> None:
    ends = (
        EndPlan("a", "eth0", "02:00:00:00:00:01", 0, "native"),
        EndPlan("b", "eth0", "02:00:00:00:00:02", None, None),
    )
    link = LinkPlan(
        "a-b",
        "wire",
        ends,
        1500,
        (Impairments(rate_bps=5, delay_parts=(DelayPart("values", 1, values_ns=(1, 2)),)), Impairments(loss=0.5)),
    )
    plan = SimulationPlan("qemunet", 3, ("a", "b"), (link,))
    assert plan_from_json(asdict(plan)) == plan


def test_last_words_are_ns3s_own_message(tmp_path: Path) -> None:
    log = tmp_path / "ns3.log"
    log.write_text(
        'early\naborted. cond="x == nullptr", msg="no such tap", +0.000000000s -1 file=/b/tap.cc, line=12\n'
        "NS_FATAL, terminating\nterminate called without an active exception\n"
        " *** Break *** abort\n" + "#0  0x00007ff391ef1bd3 in wait4 () from /lib/libc.so\n" * 300
    )
    words = last_words(log)
    assert words == 'cond="x == nullptr", msg="no such tap", +0.000000000s -1 file=/b/tap.cc, line=12'
    error = from_death(-6, log)
    assert "SIGABRT" in str(error)
    assert "no such tap" in str(error)


def test_last_words_without_such_a_message(tmp_path: Path) -> None:
    log = tmp_path / "ns3.log"
    assert last_words(log) == ""
    log.write_text("Traceback (most recent call last):\n" + "#1 0x0 in f ()\n" * 9 + "ModuleNotFoundError: no ns3\n")
    assert last_words(log).splitlines()[-1] == "ModuleNotFoundError: no ns3"
    assert "#1" not in last_words(log)
