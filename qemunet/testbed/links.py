"""The links of the running network: what passes them, and changing them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import trio

from qemunet.errors import LinkError
from qemunet.plan.impairments import impairments_of
from qemunet.plan.model import Impairments
from qemunet.simulation.client import Simulation
from qemunet.simulation.messages import LinkCounters
from qemunet.simulation.report import Counters
from qemunet.topology import model
from qemunet.topology.problems import did_you_mean, shown
from qemunet.topology.registry import keys_of

_CHANGEABLE = {
    "wire": ("rate", "delay", "jitter", "loss", "duplicate", "reorder", "queue"),
    "csma": ("delay", "loss"),
    "p2p": (),
    "wifi": (),
}
"""What can change while it runs, of those that can be taken down."""


@dataclass(frozen=True)
class DirectionCounters:
    """What passed one direction of a wire, or a whole csma channel, since time 0. Bytes are of frames without FCS.

    Attributes:
        source, target: The ends, as ``node:interface``; csma: empty.
        frames, bytes: Sent into it, also what was then dropped.
        delivered_frames, delivered_bytes: What came out of it, duplicates included; csma: at each receiver.
        drops: By reason: ``queue`` (no room to wait), ``loss`` (as asked for), ``oversize`` (longer than the MTU
            allows), ``collision`` (csma: the channel stayed busy), ``protocol`` (p2p: nothing for the far end), ``down`` (the link was down).
        duplicated: Frames sent twice.
        reordered: Frames that were free to overtake.
    """

    source: str
    target: str
    frames: int
    bytes: int
    delivered_frames: int
    delivered_bytes: int
    drops: Mapping[str, int]
    duplicated: int
    reordered: int

    @property
    def dropped(self) -> int:
        """Frames dropped, for whatever reason."""
        return sum(self.drops.values())


def direction_counters(link: model.Link, counted: tuple[LinkCounters, ...]) -> tuple[DirectionCounters, ...]:
    """What the simulation counted on a link, with names: first to second end and back, or one for all ends."""
    names = [f"{end.node}:{end.interface}" for end in link.ends]
    ways = [(names[0], names[1]), (names[1], names[0])] if len(counted) == 2 else [("", "")]
    return tuple(
        DirectionCounters(
            source,
            target,
            each.sent_frames,
            each.sent_bytes,
            each.delivered_frames,
            each.delivered_bytes,
            {
                "queue": each.dropped_queue,
                "loss": each.dropped_loss,
                "oversize": each.dropped_oversize,
                "collision": each.dropped_collision,
                "protocol": each.dropped_protocol,
                "down": each.dropped_down,
            },
            each.duplicated,
            each.reordered,
        )
        for (source, target), each in zip(ways, counted, strict=False)
    )


def links_record(links: Mapping[str, model.Link], counters: Counters) -> dict[str, list[dict[str, Any]]]:
    """The ``links`` part of run.json: by name, what passed each direction."""
    return {
        name: [asdict(each) for each in direction_counters(links[name], counted)]
        for name, counted in counters.links.items()
    }


class Tell(Protocol):
    """Writes an event."""

    def __call__(self, kind: str, *, simulation_s: float | None, host_ns: int, **values: Any) -> None:
        """As ``RunDirectory.event``."""


class Link:
    """A link or lan as an experiment sees it.

    Attributes:
        name: As the topology calls it.
        type: Its type.
        ends: Its ends, as ``node:interface``.
        lan: It was declared as a lan, of any number of ends.
    """

    def __init__(
        self,
        link: model.Link,
        simulation: Simulation,
        counters: Callable[[], Counters],
        tell: Tell,
        directory: Path | None,
    ) -> None:
        self.name = link.name
        self.type = link.type
        self.ends = tuple(f"{end.node}:{end.interface}" for end in link.ends)
        self.lan = isinstance(link, model.Lan)
        self._link = link
        self._attributes = dict(link.attributes)
        self._simulation = simulation
        self._counters = counters
        self._tell = tell
        self._directory = directory
        self._changing = trio.Lock()

    @property
    def counters(self) -> tuple[DirectionCounters, ...]:
        """What passed since time 0: (first to second end, back); of csma one, for all ends."""
        return direction_counters(self._link, self._counters().links[self.name])

    async def down(self) -> None:
        """Pull the cable: from one instant on, every frame is lost, also those on their way.

        Guests are not told: their interfaces stay up. The devices of ns-3 nodes are. On csma and p2p frames are still
        sent, and lost at each receiver. On wifi nobody hears anything: what was tried in vain is dropped as ``down``.
        """
        await self._change("link-down", up=False)

    async def up(self) -> None:
        """Plug it in again."""
        await self._change("link-up", up=True)

    async def set(self, **impairments: object) -> None:
        """Change what the link does to frames, all at one instant; the words and values are those of a topology.

        ``await link.set(rate="1Mbps", loss="1%/0")``. What is not given stays; None is what holds where a topology says
        nothing. What is on its way arrives as it would have. csma: delay and loss.

        Raises:
            LinkError: there is no such word, or its value is wrong.
        """
        if not impairments:
            return
        async with self._changing:
            attributes = {**self._attributes}
            for key, value in impairments.items():
                self._check(key)
                attributes.pop(key, None)
                if value is not None:
                    attributes[key] = str(value)
                    self._check_value(key, attributes[key])
            there, *back = self._impairments(attributes)
            told = {key: attributes.get(key) for key in impairments}
            at_ns = await self._simulation.set_link(self.name, (there, back[0] if back else None))
            self._attributes = attributes
            self._told("link-set", at_ns, impairments=told)

    async def _change(self, kind: str, *, up: bool) -> None:
        if self.type not in _CHANGEABLE:
            raise LinkError(f"link {self.name}: a {self.type} cannot be taken down")
        self._told(kind, await self._simulation.set_link(self.name, up=up))

    def _told(self, kind: str, at_ns: int, **values: Any) -> None:
        self._tell(kind, simulation_s=at_ns / 1e9, host_ns=time.monotonic_ns(), link=self.name, **values)

    def _check(self, key: str) -> None:
        known = _CHANGEABLE.get(self.type, ())
        if key in known:
            return
        if key in keys_of(self.type) or not known:
            what = f"can change {' and '.join(known)}" if known else "can change nothing"
            raise LinkError(f"link {self.name}: {key} of a {self.type} is fixed; while it runs it {what}")
        raise LinkError(f"link {self.name}: a {self.type} has no {shown(key)}{did_you_mean(key, known)}")

    def _check_value(self, key: str, text: str) -> None:
        parse = keys_of(self.type)[key].parse
        try:
            if parse is not None:
                parse(text)
        except ValueError as error:
            raise LinkError(f"link {self.name}: {key}={shown(text)[1:-1]}: {error}") from None

    def _impairments(self, attributes: Mapping[str, str]) -> tuple[Impairments, ...]:
        def wrong(key: str, message: str) -> None:
            raise LinkError(f"link {self.name}: {key}: {message}")

        return impairments_of(self.type, attributes, self._directory, wrong)


class Links(Mapping[str | tuple[str, str], Link]):
    """Links and lans by name, or by the names of two nodes that one of them joins, in either order."""

    def __init__(self, links: Mapping[str, Link]) -> None:
        self._links = links

    def __getitem__(self, key: str | tuple[str, str]) -> Link:
        if isinstance(key, str):
            if key in self._links:
                return self._links[key]
            raise KeyError(f"there is no link {key!r}{did_you_mean(key, self._links) or self._known()}")
        first, second = key
        found = [link for link in self._links.values() if self._joins(link, first, second)]
        if len(found) > 1:  # A link of their own rather than a lan that they share with others.
            found = [link for link in found if not link.lan] or found
        if not found:
            raise KeyError(f"no link joins {first} and {second}{self._known()}")
        if len(found) > 1:
            names = ", ".join(link.name for link in found)
            raise KeyError(f"{len(found)} links join {first} and {second}: name one of {names}")
        return found[0]

    def __iter__(self) -> Iterator[str | tuple[str, str]]:
        return iter(self._links)

    def __len__(self) -> int:
        return len(self._links)

    def _known(self) -> str:
        names = list(self._links)
        return f"; there are {', '.join(names[:20])}{', ...' if len(names) > 20 else ''}" if names else ""

    @staticmethod
    def _joins(link: Link, first: str, second: str) -> bool:
        nodes = [end.partition(":")[0] for end in link.ends]
        return first in nodes and second in nodes and (first != second or nodes.count(first) > 1)
