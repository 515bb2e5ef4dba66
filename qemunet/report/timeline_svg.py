"""The Task timeline as a picture: a lane to each guest, simulation time from left to right.

Tasks are bands with their barrier; a command is a bar from where it began to where it ended, with what led to it (armed,
fired) before it. How it ended is told by colour, pattern and sign. What is too much for bars becomes a share of time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import floor, log10

from qemunet.report import svg
from qemunet.report.svg import fitted, line, number, rectangle, text, width_of
from qemunet.report.timeline import Command, Mark, TaskSpan, Timeline

WIDTH = 1120.0
"""Of the picture, in units that are a browser's pixels."""

MOST_BARS = 400
"""Where there are more commands, lanes show which share of the time something ran."""
MOST_LANES = 40
"""Where there are more guests, those with failures come first, and the rest share a lane."""
MOST_BANDS = 60
"""Where there are more Tasks, they are ticks."""
_MOST_ROWS = 6  # of commands at the same time on one guest
_LEFT_MOST, _RIGHT, _TOP = 170.0, 16.0, 34.0
_ROW, _BAR, _GAP = 20.0, 14.0, 8.0
_COLUMN = 4.0
_SIZE = 11.0

INK = "var(--ink, #1a2330)"
SOFT = "var(--soft, #566272)"
LINE = "var(--line, #d5dbe3)"
PAPER = "var(--paper, #ffffff)"
BAND = "var(--band, #eef3f9)"
OK = "var(--ok-bar, #0f6cb5)"
BAD = "var(--bad-bar, #c43c0a)"
STOP = "var(--stop-bar, #a86f00)"
DAEMON = "var(--daemon-bar, #d5e8f7)"
WAIT = "var(--wait-bar, #9fb3c8)"
ON_BAR = "var(--on-bar, #ffffff)"

_HATCHES = f"""<defs>
<pattern id="hatch-bad" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
<rect width="6" height="6" fill="{BAD}"/><rect width="1.6" height="6" fill="{ON_BAR}" opacity=".45"/></pattern>
<pattern id="hatch-stop" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)">
<rect width="6" height="6" fill="{STOP}"/><rect width="1.6" height="6" fill="{ON_BAR}" opacity=".45"/></pattern>
</defs>"""


@dataclass(frozen=True)
class _Lane:
    """A guest's lane: where it is, and its commands by row."""

    label: str
    nodes: frozenset[str]
    rows: tuple[tuple[Command, ...], ...]
    top: float

    @property
    def height(self) -> float:
        return len(self.rows) * _ROW + _GAP


def draw_timeline(timeline: Timeline, *, title: str = "Task timeline") -> str:
    """Return the picture as SVG; colours are the page's variables, with those of the light theme where there are none."""
    return _Picture(timeline, title).draw()


class _Picture:
    def __init__(self, timeline: Timeline, title: str) -> None:
        self._timeline = timeline
        self._title = title
        self._dense = len(timeline.commands) > MOST_BARS
        self._banded = len(timeline.tasks) <= MOST_BANDS
        names = timeline.nodes
        self._left = min(_LEFT_MOST, max((width_of(name, _SIZE) for name in names), default=0.0) + 18.0)
        self._left = max(self._left, 96.0)
        self._end_s = max(timeline.end_s, 1e-6)
        self._scale = (WIDTH - self._left - _RIGHT) / self._end_s
        self._lanes = list(self._make_lanes())
        self._bottom = self._lanes[-1].top + self._lanes[-1].height if self._lanes else self._lanes_top

    @property
    def _lanes_top(self) -> float:
        return _TOP + 24.0 + (20.0 if self._timeline.marks else 0.0)

    def _x(self, at_s: float) -> float:
        return self._left + min(max(at_s, 0.0), self._end_s) * self._scale

    def _make_lanes(self) -> Iterator[_Lane]:
        by_node: dict[str, list[Command]] = {node: [] for node in self._timeline.nodes}
        for command in self._timeline.commands.values():
            by_node[command.node].append(command)
        shown = list(by_node)
        if len(shown) > MOST_LANES:
            troubled = [node for node in shown if any(each.outcome != "ok" for each in by_node[node])]
            kept = set(dict.fromkeys([*troubled, *shown][: MOST_LANES - 1]))
            shown = [node for node in shown if node in kept]
        top = self._lanes_top
        for node in shown:
            lane = _Lane(node, frozenset({node}), self._rows(by_node[node]), top)
            yield lane
            top += lane.height
        rest = [node for node in by_node if node not in set(shown)]
        if rest:
            commands = tuple(command for node in rest for command in by_node[node])
            yield _Lane(f"{len(rest)} more guests", frozenset(rest), (commands,), top)

    def _rows(self, commands: Sequence[Command]) -> tuple[tuple[Command, ...], ...]:
        """Put commands that overlap below one another."""
        if self._dense:
            return (tuple(commands),)
        rows: list[list[Command]] = []
        ends: list[float] = []
        for command in sorted(commands, key=lambda each: each.begin_s):
            row = next((index for index, end_s in enumerate(ends) if end_s <= command.begin_s), len(rows))
            if row == len(rows) and row < _MOST_ROWS:
                rows.append([])
                ends.append(0.0)
            row = min(row, len(rows) - 1)
            rows[row].append(command)
            ends[row] = self._end_of(command)
        return tuple(map(tuple, rows))

    def _end_of(self, command: Command) -> float:
        return self._end_s if command.ended_s is None else command.ended_s

    def draw(self) -> str:
        height = self._bottom + 34.0
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {number(WIDTH)} {number(height)}"'
            f' width="{number(WIDTH)}" height="{number(height)}" role="img" aria-labelledby="timeline-title timeline-words"'
            f' font-family="{svg.FONT}" font-size="{number(_SIZE)}">',
            f'<title id="timeline-title">{svg.words(self._title)}</title>',
            f'<desc id="timeline-words">{svg.words(self._words())}</desc>',
            _HATCHES,
            rectangle(0, 0, WIDTH, height, f'fill="{PAPER}"'),
            *self._axis(),
            *self._bands(),
            *self._lane_lines(),
            *self._marks(),
        ]
        for lane in self._lanes:
            shared = self._dense or len(lane.nodes) > 1
            parts += self._shares(lane) if shared else self._bars(lane)
        parts += [*self._barriers(), *self._legend(height - 12.0), "</svg>"]
        return "\n".join(parts)

    def _words(self) -> str:
        tasks = self._timeline.tasks
        broken = sum(task.broken for task in tasks)
        failed = sum(command.outcome in ("failed", "lost") for command in self._timeline.commands.values())
        return (
            f"{len(self._timeline.nodes)} guests, {len(tasks)} Tasks ({broken} broken),"
            f" {len(self._timeline.commands)} commands ({failed} failed) in {self._end_s:.3g} s of simulation time."
            " The table of Tasks has the same in words."
        )

    def _axis(self) -> Iterator[str]:
        step = _step(self._end_s, 9)
        yield text(self._left - 8, _TOP - 16, "simulation time", f'text-anchor="end" fill="{SOFT}" font-size="9.5"')
        index = 0
        while index * step <= self._end_s * 1.0001:
            at_s = index * step
            x = self._x(at_s)
            yield line(x, _TOP - 10, x, self._bottom, f'stroke="{LINE}" stroke-width="1"')
            label = f"{at_s:.10g} s" if step >= 1 or not at_s else _seconds(at_s, step)
            anchor = "end" if x > WIDTH - 30 else "middle" if index else "start"
            yield text(x, _TOP - 16, label, f'text-anchor="{anchor}" fill="{SOFT}" font-size="9.5"')
            index += 1

    def _bands(self) -> Iterator[str]:
        top = _TOP - 4
        if not self._banded:
            yield text(
                self._left - 8, top + 13, f"{len(self._timeline.tasks)} Tasks", f'text-anchor="end" fill="{SOFT}"'
            )
            columns: dict[int, TaskSpan] = {}
            for task in self._timeline.tasks:
                column = int((self._x(task.begin_s) - self._left) / _COLUMN)
                if column not in columns or task.broken:
                    columns[column] = task
            for column, task in columns.items():
                look = f'fill="{"url(#hatch-bad)" if task.broken else WAIT}"'
                yield rectangle(self._left + column * _COLUMN, top + 2, _COLUMN - 1, 15, look, title=_task_words(task))
            return
        for task in self._timeline.tasks:
            x, end = self._x(task.begin_s), self._x(self._end_of_task(task))
            width = max(end - x, 2.0)
            yield rectangle(
                x, top, width, self._bottom - top, f'fill="{BAND}" fill-opacity=".75"', title=_task_words(task)
            )
            colour = BAD if task.broken else OK if task.end_s is not None else STOP
            yield rectangle(x, top, width, 3, f'fill="{colour}"')
            following = self._timeline.tasks[task.index + 1 : task.index + 2]
            room = (self._x(following[0].begin_s) if following else WIDTH - 4) - x - 8
            sign = "✕ " if task.broken else ""
            label = fitted(sign + task.name, room, _SIZE) or fitted(f"{sign}{task.index + 1}", room + 6, _SIZE)
            weight = ' font-weight="bold"' if task.broken else ""
            yield text(x + 4, top + 16, label, f'fill="{BAD if task.broken else INK}"{weight}') if label else ""

    def _end_of_task(self, task: TaskSpan) -> float:
        return self._end_s if task.end_s is None else task.end_s

    def _lane_lines(self) -> Iterator[str]:
        for lane in self._lanes:
            yield line(0, lane.top, WIDTH, lane.top, f'stroke="{LINE}" stroke-width="1"')
            label = fitted(lane.label, self._left - 14, _SIZE, keep_end=True)
            middle = lane.top + lane.height / 2 + 4
            title = f"<title>{svg.words(lane.label)}</title>" if label != lane.label else ""
            look = (
                f'x="{number(self._left - 8)}" y="{number(middle)}" text-anchor="end" fill="{INK}" font-weight="bold"'
            )
            yield f"<text {look}>{title}{svg.words(label)}</text>"
        yield line(0, self._bottom, WIDTH, self._bottom, f'stroke="{LINE}" stroke-width="1"')

    def _marks(self) -> Iterator[str]:
        if not self._timeline.marks:
            return
        y = _TOP + 34
        yield text(self._left - 8, y, "changes", f'text-anchor="end" fill="{SOFT}"')
        taken = 0.0
        for mark in self._timeline.marks:
            x = self._x(mark.at_s)
            title = f"<title>{svg.words(_mark_words(mark))}</title>"
            sign, colour = ("✕", BAD) if mark.kind == "exited" else ("◆", SOFT)
            label = fitted(f"{mark.subject} {mark.kind}", 110, 9.5) if x > taken else ""
            yield f'<text x="{number(x)}" y="{number(y)}" fill="{colour}" font-size="9.5">{title}{sign} {svg.words(label)}</text>'
            if label:
                taken = x + width_of(label, 9.5) + 16

    def _bars(self, lane: _Lane) -> Iterator[str]:
        for index, row in enumerate(lane.rows):
            y = lane.top + _GAP / 2 + index * _ROW + (_ROW - _BAR) / 2
            for command in row:
                yield from self._bar(command, y)

    def _bar(self, command: Command, y: float) -> Iterator[str]:
        middle = y + _BAR / 2
        end = self._x(self._end_of(command))
        start = self._x(command.started_s if command.started_s is not None else self._end_of(command))
        fired = self._x(command.fired_s) if command.fired_s is not None else end
        if command.armed_s is not None:
            armed = self._x(command.armed_s)
            if fired - armed > 3:
                yield line(armed, middle, fired, middle, f'stroke="{WAIT}" stroke-width="1.5"')
            yield f'<circle cx="{number(armed)}" cy="{number(middle)}" r="2.2" fill="{PAPER}" stroke="{SOFT}"/>'
        if command.fired_s is not None:
            if start - fired > 1:
                yield rectangle(fired, middle - 2.5, start - fired, 5, f'fill="{WAIT}"')
            yield line(fired, y - 1, fired, y + _BAR + 1, f'stroke="{INK}" stroke-width="1"')
        if command.started_s is None and command.ended_s is None:
            return
        width = max(end - start, 2.0)
        outcome = command.outcome
        edge = ""
        if outcome in ("failed", "lost"):
            look, colour = 'fill="url(#hatch-bad)"', ON_BAR
        elif outcome == "stopped" and not command.daemon:
            look, colour = 'fill="url(#hatch-stop)"', ON_BAR
        elif command.daemon:
            edge = f' stroke="{OK}" stroke-width="1.2" stroke-dasharray="4 2"'
            look, colour = f'fill="{DAEMON}"{edge}', INK
        elif outcome == "unknown":
            look, colour = f'fill="{PAPER}" stroke="{SOFT}" stroke-width="1.2" stroke-dasharray="2 2"', INK
        else:
            look, colour = f'fill="{OK}"', ON_BAR
        yield rectangle(start, y, width, _BAR, look, round_=min(3.0, width / 2), title=command_words(command))
        label = _sign(command) + command.text
        shown = fitted(label, width - 8, 9.5)
        if shown:
            # Words on a hatch are read by the plate behind them.
            if "hatch" in look:
                plate = BAD if "bad" in look else STOP
                yield rectangle(start + 2, y + 1.5, width_of(shown, 9.5) + 4, _BAR - 3, f'fill="{plate}"', round_=2)
            yield text(start + 4, y + _BAR - 3.6, shown, f'fill="{colour}" font-size="9.5" pointer-events="none"')
        elif outcome in ("failed", "lost"):
            yield text(end + 2, y + _BAR - 3, "✕", f'fill="{BAD}" font-weight="bold"')

    def _shares(self, lane: _Lane) -> Iterator[str]:
        """Columns as dark as the share of time in which commands ran, and a sign where one failed."""
        columns = int((WIDTH - self._left - _RIGHT) / _COLUMN) + 1
        share = [0.0] * columns
        failed: dict[int, int] = {}
        for row in lane.rows:
            for command in row:
                end = self._x(self._end_of(command))
                first = self._x(command.started_s if command.started_s is not None else command.begin_s)
                for column in range(int((first - self._left) / _COLUMN), int((end - self._left) / _COLUMN) + 1):
                    left = self._left + column * _COLUMN
                    share[column] += max(0.0, min(end, left + _COLUMN) - max(first, left)) / _COLUMN
                if command.outcome in ("failed", "lost"):
                    column = int((end - self._left) / _COLUMN)
                    failed[column] = failed.get(column, 0) + 1
        y = lane.top + _GAP / 2 + (_ROW - _BAR) / 2
        for column, part in enumerate(share):
            if part > 0:
                opacity = number(max(0.12, min(1.0, part / len(lane.nodes))))
                yield rectangle(
                    self._left + column * _COLUMN, y, _COLUMN, _BAR, f'fill="{OK}" fill-opacity="{opacity}"'
                )
        for column, count in failed.items():
            x = self._left + (column + 0.5) * _COLUMN
            title = f"<title>{count} command{'s' * (count > 1)} failed</title>"
            look = f'text-anchor="middle" fill="{BAD}" font-weight="bold" stroke="{PAPER}" stroke-width="2.5" paint-order="stroke"'
            yield f'<text x="{number(x)}" y="{number(y + _BAR - 3)}" {look}>{title}✕</text>'

    def _barriers(self) -> Iterator[str]:
        if not self._banded:
            return
        for task in self._timeline.tasks:
            if task.end_s is None:
                continue
            x = self._x(task.end_s)
            top = self._lanes_top - 2
            if task.broken:
                yield line(x, top, x, self._bottom, f'stroke="{BAD}" stroke-width="1.6" stroke-dasharray="5 3"')
                yield text(x, self._bottom + 11, "✕", f'fill="{BAD}" text-anchor="middle" font-weight="bold"')
            else:
                yield line(x, top, x, self._bottom, f'stroke="{INK}" stroke-width="1.6"')
                yield line(x - 3, self._bottom, x + 3, self._bottom, f'stroke="{INK}" stroke-width="1.6"')

    def _legend(self, y: float) -> Iterator[str]:
        """Samples of what is in the picture."""
        bars = list(self._timeline.commands.values())
        kinds = {command.outcome for command in bars if not command.daemon}
        failed = any(command.outcome in ("failed", "lost") for command in bars)
        if self._dense:
            entries = [("ran, the darker the longer", f'fill="{OK}" fill-opacity=".6"')]
        else:
            entries = [("command", f'fill="{OK}"')]
            if any(command.daemon for command in bars):
                entries.append(("Daemon", f'fill="{DAEMON}" stroke="{OK}" stroke-dasharray="4 2"'))
            if "stopped" in kinds:
                entries.append(("■ stopped", 'fill="url(#hatch-stop)"'))
            if "unknown" in kinds:
                entries.append(("end unknown", f'fill="{PAPER}" stroke="{SOFT}" stroke-dasharray="2 2"'))
        if failed:
            entries.append(("✕ failed", 'fill="url(#hatch-bad)"'))
        x = self._left
        for label, look in entries:
            yield rectangle(x, y - 9, 18, 10, look, round_=2)
            yield text(x + 24, y, label, f'fill="{SOFT}" font-size="9.5"')
            x += 24 + width_of(label, 9.5) + 18
        if not self._dense:
            yield f'<circle cx="{number(x + 4)}" cy="{number(y - 4)}" r="2.2" fill="{PAPER}" stroke="{SOFT}"/>'
            yield text(x + 12, y, "armed", f'fill="{SOFT}" font-size="9.5"')
            x += 12 + width_of("armed", 9.5) + 14
            yield line(x + 3, y - 10, x + 3, y + 2, f'stroke="{INK}" stroke-width="1"')
            yield text(x + 10, y, "fired", f'fill="{SOFT}" font-size="9.5"')
            x += 10 + width_of("fired", 9.5) + 14
        if self._banded:
            yield line(x + 3, y - 10, x + 3, y + 2, f'stroke="{INK}" stroke-width="2"')
            yield text(x + 10, y, "barrier", f'fill="{SOFT}" font-size="9.5"')
            x += 10 + width_of("barrier", 9.5) + 14
            if any(task.broken for task in self._timeline.tasks):
                yield line(x + 3, y - 10, x + 3, y + 2, f'stroke="{BAD}" stroke-width="1.6" stroke-dasharray="5 3"')
                yield text(x + 10, y, "✕ broken barrier", f'fill="{SOFT}" font-size="9.5"')


def command_words(command: Command) -> str:
    """What is to say of a command: where, what, when, and how it ended."""
    kind = "Daemon" if command.daemon else "command"
    start, end = command.started_s, command.ended_s
    took = f", {end - start:.3f} s" if start is not None and end is not None else ""
    began = "not begun" if start is None else f"began at {start:.6f} s"
    return f"{command.node}: {command.text}\n{kind} {command.number}, {began}{took}: {command.ending}"


def _task_words(task: TaskSpan) -> str:
    end = "did not end" if task.end_s is None else f"{'broke' if task.broken else 'barrier'} at {task.end_s:.3f} s"
    return f"Task {task.name}: began at {task.begin_s:.3f} s, {end}"


def _mark_words(mark: Mark) -> str:
    return f"{mark.subject} at {mark.at_s:.3f} s: {mark.text}"


def _sign(command: Command) -> str:
    if command.outcome == "failed":
        return f"✕ {command.status}: "
    return {"lost": "✕ lost: ", "stopped": "" if command.daemon else "■ "}.get(command.outcome, "")


def _seconds(at_s: float, step: float) -> str:
    decimals = max(0, -floor(log10(step) + 1e-9))
    return f"{at_s:.{decimals}f} s" if decimals <= 3 else f"{at_s * 1000:.{max(0, decimals - 3)}f} ms"


def _step(span: float, most: int) -> float:
    """A round distance of at most so many ticks."""
    raw = span / most
    power = 10.0 ** floor(log10(raw))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
