"""Makes one guest's commands: how many of each kind, in which order, and what each must give."""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from qemunet import Command
from tests.torture.cases import Case, Check, Output


@dataclass(frozen=True)
class Traits:
    """What the guests of a run are like.

    Attributes:
        container: No machine: it has no kernel of its own, and things to try on the host's.
        late_s: Time-out of commands that never end; long enough for their first output on a busy computer.
        full: Directories whose file system a command may fill.
        corpus: Where a guest has its copy of the corpus.
        single: It has one console only.
    """

    container: bool
    late_s: float
    full: tuple[str, ...]
    corpus: str
    single: bool


class Maker:
    """The commands of one guest, reproducible from the seed.

    Args:
        guest: Its name.
        corpus: What it has a copy of.
        sizes: Lengths of its bulk outputs, in bytes.
    """

    def __init__(self, guest: str, seed: int, corpus: bytes, sizes: Iterable[int], traits: Traits) -> None:
        self.guest = guest
        self.rng = random.Random(f"{seed} {guest}")
        self.traits = traits
        self._corpus = memoryview(corpus)
        self._sizes = deque(sizes)
        self._number = 0
        self._before = ""
        self.tag = ""

    def order(self, count: int, kinds: Mapping[str, Kind]) -> list[str]:
        """The kinds of at least ``count`` commands, in a random order but for those that belong together."""
        names: list[tuple[str, ...]] = [("bulk",)] * len(self._sizes)
        usual = [(name, kind) for name, kind in kinds.items() if kind.fits(self.traits)]
        for name, kind in usual:
            names += [(name, *kind.followed_by)] * kind.least
        weights = [kind.weight for _, kind in usual]
        total = sum(len(each) for each in names)
        while total < count:
            ((name, kind),) = self.rng.choices(usual, weights)
            names.append((name, *kind.followed_by))
            total += len(names[-1])
        self.rng.shuffle(names)
        return [name for each in names for name in each]

    def make(self, name: str, kinds: Mapping[str, Kind]) -> Case:
        """The next command."""
        self._number += 1
        self.tag = f"torture-{self.guest}-{self._number}"
        case = self._bulk() if name == "bulk" else kinds[name].make(self)
        case, self._before = replace(case, before=self._before), case.command.text
        return case

    def case(
        self,
        kind: str,
        command: str | Command,
        output: str | Output | Check,
        *statuses: int,
        late: bool = False,
    ) -> Case:
        """A case of the current tag; status 0 is right if none is named."""
        if isinstance(command, str):
            command = Command(command, timeout_s=self.traits.late_s if late else None)
        due = output.encode("utf-8", "surrogateescape") if isinstance(output, str) else output
        return Case(kind, self.tag, command, due, statuses or (0,), late)

    def upto(self, most: int) -> int:
        """A number from 0 to ``most``, log-uniform."""
        return int(math.exp(self.rng.random() * math.log(most + 1))) - 1

    def piece(self, length: int) -> tuple[str, memoryview]:
        """A command that prints a piece of the corpus, and the piece."""
        at = self.rng.randrange(len(self._corpus) - length + 1)
        return f"tail -c +{at + 1} {self.traits.corpus} | head -c {length}", self._corpus[at : at + length]

    def _bulk(self) -> Case:
        length = self._sizes.popleft()
        text, due = self.piece(length)
        if length > 1000 and self.rng.random() < 0.3:
            # Both streams, changing in the middle of a line.
            half = self.rng.randrange(1, length)
            first, begin = self.piece(half)
            second, end = self.piece(length - half)
            return self.case("bulk-both", f"{first}; {{ {second}; }} >&2", bytes(begin) + bytes(end))
        return self.case("bulk", text, due)


class Supply:
    """The commands of one guest, made when they are wanted."""

    def __init__(self, maker: Maker, count: int, kinds: Mapping[str, Kind]) -> None:
        self._maker = maker
        self._kinds = kinds
        self._order = deque(maker.order(count, kinds))
        self._ahead: Case | None = None

    @property
    def left(self) -> int:
        """How many there still are."""
        return len(self._order) + (self._ahead is not None)

    def look(self) -> Case | None:
        """The next one, which stays the next."""
        if self._ahead is None and self._order:
            self._ahead = self._maker.make(self._order.popleft(), self._kinds)
        return self._ahead

    def take(self, most: int) -> list[Case]:
        """Up to ``most``; a late one is taken only as the first."""
        taken: list[Case] = []
        while len(taken) < most and (case := self.look()) is not None and not (taken and case.late):
            taken.append(case)
            self._ahead = None
        return taken


@dataclass(frozen=True)
class Kind:
    """A kind of command.

    Attributes:
        make: Makes one.
        weight: Its share among those that are drawn.
        least: How many there are at least, for each guest.
        machine: Only for machines.
        container: Only for containers.
        followed_by: Kinds that come right after it, on its guest.
    """

    make: Callable[[Maker], Case]
    weight: float = 1.0
    least: int = 0
    machine: bool = False
    container: bool = False
    followed_by: tuple[str, ...] = ()

    def fits(self, traits: Traits) -> bool:
        """Whether guests of these traits get it by itself."""
        return (
            self.weight + self.least > 0
            and not (self.machine and traits.container)
            and not (self.container and not traits.container)
        )


def draw_sizes(seed: int, total: int, most_commands: int) -> list[int]:
    """Lengths of the bulk outputs, in bytes: a fifth of ``total`` in the longest (20 MB, or a tenth of it), the rest
    log-uniform from 1 byte up, a few empty."""
    rng = random.Random(f"sizes {seed}")
    longest = min(20_000_000, max(1000, total // 10))
    sizes = [longest] * max(1, round(total / 5 / longest)) + [0, 0]
    while sum(sizes) < total and len(sizes) < most_commands:
        sizes.append(int(longest ** rng.random()))
    rng.shuffle(sizes)
    return sizes
