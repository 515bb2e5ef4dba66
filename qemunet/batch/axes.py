"""The axes of a parameter space, as a sweep file says them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal, cast

from qemunet.batch.space import Point, Quantity, Range, Sample, Scale, parse_quantity
from qemunet.topology.formats.tree import Mapping, Scalar, Tree, what_is
from qemunet.topology.parameters import NAME
from qemunet.topology.problems import Problems, did_you_mean, shown

MOST_VALUES = 1_000_000
"""Values that one axis may have."""

_METHODS = ("random", "latin-hypercube")
_SCALES = ("lin", "log")
_BOOLEANS = {"yes": True, "true": True, "no": False, "false": False}
_RULE = "a parameter is a value, a list, or a range {from, to, steps}"


class Axes:
    """The axes, in order of the file; mistakes are noted.

    Attributes:
        names: The parameters.
        places: Where each stands.
    """

    def __init__(self, problems: Problems) -> None:
        self.names: list[str] = []
        self.places: dict[str, str] = {}
        self._problems = problems
        self._groups: list[list[Point]] = []
        self._sample: Sample | None = None

    def count(self) -> int:
        """How many points there are, excluded ones included."""
        return math.prod(map(len, self._groups)) * (1 if self._sample is None else self._sample.count)

    def parts(self, seed: int) -> Iterator[Sequence[Point]]:
        """What the points are the product of."""
        yield from self._groups
        if self._sample is not None:
            yield self._sample.points(seed)

    def read_parameters(self, value: Tree | None) -> None:
        """``parameters: {NAME: VALUES, ...}``: each with each."""
        for name, inner in self._entries(value, "parameters is a mapping of names to values, lists or ranges"):
            texts = self._values(name.text, inner)
            if self._declare(name) and texts:
                self._groups.append([{name.text: text} for text in texts])

    def read_zip(self, value: Tree | None) -> None:
        """``zip: [{NAME: VALUES, ...}, ...]``: the values of one group go together."""
        rule = "zip is a list of mappings such as {a: [1, 2], b: [x, y]}"
        if value is None:
            return
        for group in (value,) if isinstance(value, (Mapping, Scalar)) else value.items:
            columns: dict[str, list[str]] = {}
            for name, inner in self._entries(group, rule):
                texts = self._values(name.text, inner, twice=True)
                if self._declare(name) and texts:
                    columns[name.text] = texts
                    first = next(iter(columns))
                    if len(texts) != len(columns[first]):
                        self._problems.add(
                            inner.place,
                            f"{name.text} has {len(texts)} values and {first} {len(columns[first])};"
                            " what is zipped has as many",
                        )
            if columns:
                shortest = min(map(len, columns.values()))
                self._groups.append([{name: texts[at] for name, texts in columns.items()} for at in range(shortest)])

    def read_sample(self, value: Tree | None) -> None:
        """``sample: {method, count, parameters: {NAME: range or list, ...}}``."""
        if value is None:
            return
        if not isinstance(value, Mapping):
            self._problems.add(value.place, f"sample is {what_is(value)}; it is {{method, count, parameters}}")
            return
        self._known(value, ("method", "count", "parameters"), "sample")
        method = self._one_of(value, "method", _METHODS)
        count = self._whole(value, "count", 1)
        if count is None and not isinstance(value.get("count"), Scalar):
            self._problems.add(value.place, "sample has no count: how many points are drawn")
        axes: dict[str, Range | Sequence[str]] = {}
        for name, inner in self._entries(
            value.get("parameters"), "parameters of sample is a mapping of names to ranges or lists"
        ):
            axis = (
                self._range(name.text, inner, drawn=True)
                if isinstance(inner, Mapping)
                else self._values(name.text, inner)
            )
            if self._declare(name) and axis:
                axes[name.text] = axis
        if not axes:
            self._problems.add(value.place, "sample has no parameters: what is drawn")
        elif count is not None:
            self._sample = Sample(cast(Literal["random", "latin-hypercube"], method), count, axes)

    def _declare(self, name: Scalar) -> bool:
        """Note a parameter's name; False, and reported, if it cannot be one."""
        if not NAME.fullmatch(name.text):
            rule = "a parameter's name has letters, digits and _ and does not begin with a digit"
            self._problems.add(name.place, f"{shown(name.text)}: {rule}")
        elif name.text in self.names:
            self._problems.add(name.place, f"parameter {name.text} is given twice")
        else:
            self.names.append(name.text)
            self.places[name.text] = str(name.place)
            return True
        return False

    def _values(self, name: str, value: Tree, *, twice: bool = False) -> list[str]:
        """The texts of an axis; none, and reported, if there are none. With ``twice`` one may be there again."""
        if isinstance(value, Mapping):
            found = self._range(name, value, drawn=False)
            return [] if found is None else self._listed(name, found, value)
        items = (value,) if isinstance(value, Scalar) else value.items
        if not items:
            self._problems.add(value.place, f"{name} is an empty list; {_RULE}")
        texts = []
        lines: dict[str, int] = {}
        for item in items:
            if not isinstance(item, Scalar) or item.null:
                self._problems.add(item.place, f"a value of {name} is {what_is(item)}; {_RULE}")
            elif item.text in lines and not twice:
                self._problems.add(
                    item.place, f"{name} has the value {shown(item.text)} twice (repeat: N runs a point N times)"
                )
            elif not item.broken:
                lines[item.text] = item.place.line
                texts.append(item.text)
        return texts

    def _listed(self, name: str, found: Range, value: Mapping) -> list[str]:
        if found.count() > MOST_VALUES:
            self._problems.add(value.place, f"{name} has {found.count():,} values; at most {MOST_VALUES:,} are taken")
            return []
        try:
            texts = found.values()
        except ValueError as error:
            self._problems.add(value.place, f"{name}: {error}")
            return []
        if len(set(texts)) < len(texts):
            self._problems.add(value.place, f"{name}: some of its {len(texts)} values are the same")
        return texts

    def _range(self, name: str, value: Mapping, *, drawn: bool) -> Range | None:
        """A range; None, and reported, if it is none. One that is drawn from has no steps."""
        before = len(self._problems.lines())
        self._known(
            value,
            ("from", "to", "scale", "integer") if drawn else ("from", "to", "steps", "step", "scale", "integer"),
            "a range",
        )
        ends = [self._end(name, value, key) for key in ("from", "to")]
        steps = None if drawn else self._whole(value, "steps", 1)
        step = None if drawn else self._step(value)
        if not drawn and (value.get("steps") is None) == (value.get("step") is None):
            self._problems.add(
                value.place, f"the range of {name} has one of steps (how many values) and step (how far apart)"
            )
        scale = cast(Scale, self._one_of(value, "scale", _SCALES))
        integer = None
        if (said := value.get("integer")) is not None:
            integer = _BOOLEANS.get(said.text.lower()) if isinstance(said, Scalar) else None
            if integer is None:
                self._problems.add(said.place, "integer is yes or no")
        first, last = ends
        if len(self._problems.lines()) > before or first is None or last is None:
            return None
        found = Range(first, last, scale, 1 if drawn else steps, step, integer)
        try:
            found.check()
        except ValueError as error:
            self._problems.add(value.place, f"{name}: {error}")
            return None
        return found

    def _end(self, name: str, value: Mapping, key: str) -> Quantity | None:
        inner = value.get(key)
        if not isinstance(inner, Scalar) or inner.null:
            place = value.place if inner is None else inner.place
            self._problems.add(place, f"the range of {name} has no number as {key}")
            return None
        try:
            return parse_quantity(inner.text)
        except ValueError as error:
            self._problems.add(inner.place, f"{key}: {error}")
            return None

    def _step(self, value: Mapping) -> float | None:
        inner = value.get("step")
        if inner is None:
            return None
        try:
            quantity = parse_quantity(inner.text) if isinstance(inner, Scalar) else Quantity(0.0)
        except ValueError:
            quantity = Quantity(0.0)
        if quantity.value == 0:
            self._problems.add(inner.place, "step is a number other than 0, in the unit of from and to")
            return None
        return quantity.value

    def _whole(self, value: Mapping, key: str, least: int) -> int | None:
        inner = value.get(key)
        if inner is None:
            return None
        text = inner.text if isinstance(inner, Scalar) else ""
        if not text.isdecimal() or len(text) > 9 or int(text) < least:
            self._problems.add(inner.place, f"{key} is a whole number of at least {least}")
            return None
        return int(text)

    def _one_of(self, value: Mapping, key: str, choices: Sequence[str]) -> str:
        inner = value.get(key)
        text = choices[0] if inner is None else inner.text if isinstance(inner, Scalar) else ""
        if inner is not None and text not in choices:
            self._problems.add(
                inner.place, f"{key} {shown(text)} is not {' or '.join(choices)}{did_you_mean(text, choices)}"
            )
            return choices[0]
        return text

    def _known(self, mapping: Mapping, keys: Sequence[str], what: str) -> None:
        for key, _ in mapping:
            if key.text not in keys:
                near = did_you_mean(key.text, keys) or f"; there are {', '.join(keys)}"
                self._problems.add(key.place, f"{shown(key.text)} is no key of {what}{near}")

    def _entries(self, value: Tree | None, rule: str) -> Iterator[tuple[Scalar, Tree]]:
        if isinstance(value, Mapping):
            yield from value
        elif value is not None and not (isinstance(value, Scalar) and value.null):
            self._problems.add(value.place, f"{what_is(value)} stands here; {rule}")
