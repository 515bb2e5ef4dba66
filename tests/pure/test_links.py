"""The links that an experiment sees, over a simulation that only notes what it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from qemunet.errors import LinkError
from qemunet.plan.model import Impairments
from qemunet.simulation.messages import Lag, LinkCounters
from qemunet.simulation.report import Counters
from qemunet.testbed.links import Link, Links, links_record
from qemunet.topology import parse_topology

MS = 1_000_000

TEXT = """
node n[1-3] container
link n1 n2 rate=10Mbps delay=20ms/5ms loss=1%
link n1 n2 name=second
link n2 n3
lan l csma n1 n2 n3 rate=100Mbps
"""
COUNTED = LinkCounters(10, 1000, 4, 400, 1, 2, 3, 0, 0, 5, 6, 7)


class Notes:
    """Stands where the simulation is, and notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.events: list[tuple[str, dict[str, Any]]] = []

    async def set_link(
        self,
        link: str,
        impairments: tuple[Impairments | None, Impairments | None] = (None, None),
        *,
        up: bool | None = None,
    ) -> int:
        self.told.append((link, impairments, up))
        await trio.lowlevel.checkpoint()
        return 3 * MS

    def tell(self, kind: str, *, simulation_s: float | None, host_ns: int, **values: Any) -> None:
        assert simulation_s == 0.003
        assert host_ns > 0
        self.events.append((kind, values))

    def links(self, directory: Path | None = None) -> Links:
        topology = parse_topology(TEXT)
        counters = Counters(Lag(0, 0, 0, 0, 0, 0, 0, 0), {}, {"n1-n2": (COUNTED, COUNTED), "l": (COUNTED,)})
        return Links(
            {
                name: Link(link, self, lambda: counters, self.tell, directory)  # type: ignore[arg-type]
                for name, link in topology.links.items()
            }
        )


def test_links_are_found_by_name_and_by_nodes() -> None:
    links = Notes().links()
    assert list(links) == ["n1-n2", "second", "n2-n3", "l"]
    assert links["n3", "n2"] is links["n2-n3"]
    assert links["n1", "n3"] is links["l"]
    assert links["second"].ends == ("n1:eth1", "n2:eth1")
    with pytest.raises(KeyError, match="2 links join n1 and n2: name one of n1-n2, second"):
        links["n1", "n2"]
    with pytest.raises(KeyError, match="did you mean 'n2-n3'"):
        links["n2-n4"]
    with pytest.raises(KeyError, match="no link joins n1 and n4; there are n1-n2"):
        links["n1", "n4"]
    assert ("n1", "n1") not in links


def test_set_changes_what_is_given_and_keeps_the_rest() -> None:
    async def main() -> None:
        notes = Notes()
        link = notes.links()["n1-n2"]
        await link.set(loss="0/50%", jitter="1ms", queue=3)
        await link.set(rate=None, loss=0.25, delay="normal(mean=5ms, std=1ms)/1ms")
        (_, (there, back), up), (_, (later, later_back), _) = notes.told
        assert up is None
        assert there == Impairments(10_000_000, 20 * MS, 0.0, MS, queue_frames=3)
        assert back == Impairments(10_000_000, 5 * MS, 0.5, MS, queue_frames=3)
        assert later.delay_parts[0].kind == "normal"
        assert later_back == Impairments(None, MS, 0.25, MS, queue_frames=3)
        assert notes.events[1] == (
            "link-set",
            {"link": "n1-n2", "impairments": {"rate": None, "loss": "0.25", "delay": "normal(mean=5ms, std=1ms)/1ms"}},
        )

    trio.run(main)


def test_changes_at_once_are_all_kept() -> None:
    async def main() -> None:
        notes = Notes()
        link = notes.links()["n1-n2"]
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(
                    lambda key, value: link.set(**{key: value}), *[("delay", "9ms"), ("queue", 7)][number % 2]
                )
        assert notes.told[-1][1][0] == Impairments(10_000_000, 9 * MS, 0.01, queue_frames=7)

    trio.run(main)


def test_down_and_up() -> None:
    async def main() -> None:
        notes = Notes()
        await notes.links()["l"].down()
        await notes.links()["l"].up()
        assert [up for _, _, up in notes.told] == [False, True]
        assert notes.events == [("link-down", {"link": "l"}), ("link-up", {"link": "l"})]

    trio.run(main)


@pytest.mark.parametrize(
    ("link", "change", "says"),
    [
        ("n1-n2", {"dleay": "1ms"}, "a wire has no 'dleay'; did you mean 'delay'?"),
        ("n1-n2", {"mtu": 900}, "mtu of a wire is fixed; while it runs it can change rate and delay"),
        ("n1-n2", {"loss": "120%"}, "loss=120%: out of range"),
        ("n1-n2", {"delay": "normal(mean=1ms)"}, "needs std= or p99="),
        ("n1-n2", {"delay": "empirical(none)"}, "delay: there is no file"),
        ("l", {"rate": "1Mbps"}, "rate of a csma is fixed; while it runs it can change delay and loss"),
        ("l", {"jitter": "1ms"}, "a csma has no 'jitter'"),
        ("l", {"delay": "uniform(1ms,2ms)"}, "only a wire draws"),
    ],
)
def test_what_cannot_be_changed_changes_nothing(tmp_path: Path, link: str, change: dict[str, Any], says: str) -> None:
    async def main() -> None:
        notes = Notes()
        links = notes.links(tmp_path)
        with pytest.raises(LinkError) as caught:
            await links[link].set(**change)
        assert says in str(caught.value)
        assert notes.told == []

    trio.run(main)


def test_counters_by_direction_and_reason() -> None:
    links = Notes().links()
    there, back = links["n1-n2"].counters
    assert (there.source, there.target) == (back.target, back.source) == ("n1:eth0", "n2:eth0")
    assert (there.frames, there.bytes, there.delivered_frames, there.delivered_bytes) == (10, 1000, 4, 400)
    assert there.drops == {"queue": 1, "loss": 2, "oversize": 3, "collision": 0, "protocol": 0, "down": 7}
    assert (there.dropped, there.duplicated, there.reordered) == (13, 5, 6)
    (whole,) = links["l"].counters
    assert (whole.source, whole.target) == ("", "")
    counters = Counters(Lag(0, 0, 0, 0, 0, 0, 0, 0), {}, {"n1-n2": (COUNTED,) * 2})
    record = links_record(parse_topology(TEXT).links, counters)
    assert record["n1-n2"][1]["source"] == "n2:eth0"
    assert record["n1-n2"][1]["drops"]["down"] == 7
