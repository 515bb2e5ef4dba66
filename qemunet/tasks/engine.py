"""The engine: runs Tasks. Arm all, fire all at one instant, wait for all at the barrier, stop what is left."""

from __future__ import annotations

import difflib
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import trio

from qemunet.errors import GuestError, TaskError
from qemunet.tasks.barrier import Execution, TaskOutcome
from qemunet.tasks.execution import Executor, Running
from qemunet.tasks.protocols import Clock, Observer, Shell, ignore
from qemunet.tasks.task import CompletedCommand, Task


class Engine:
    """Runs one Task at a time on the guests of a testbed, and remembers the Daemons that outlive their Task.

    Args:
        shells: The shell of each guest, by node.
        observe: Is told every event.
    """

    def __init__(self, shells: Mapping[str, Shell], clock: Clock, *, observe: Observer = ignore) -> None:
        self._shells = shells
        self._clock = clock
        self._observe = observe
        self._task: str | None = None
        self._daemons: list[tuple[str, Running]] = []

    async def run(self, task: Task) -> TaskOutcome:
        """Run a Task to its barrier.

        Raises:
            TaskError: it is no Task, another one runs, or a node is none of the testbed's guests.
            CommandFailed, CommandTimeout: of the first command that failed or was late; the others were stopped, or went
                on to their ends with ``on_failure="collect"``. Its ``__cause__`` is a BrokenBarrierError that says who
                had arrived, what else failed, and what each command came to.
            ConsoleError, GuestExitedError: a shell or guest was lost; likewise.
        """
        if not isinstance(task, Task):
            raise TaskError(
                f"what is run is a Task, not {type(task).__name__} {task!r}"[:200],
                hint="for one command on one guest there are its verbs, such as guest.run",
            )
        unknown = [node for node in task.commands if node not in self._shells]
        if unknown:
            raise TaskError("\n".join(self._unknown(task, node) for node in unknown))
        if self._task is not None:
            raise TaskError(
                f"Task {task.name!r} cannot start while Task {self._task!r} runs",
                hint="put the commands of both into one Task, or await one after the other",
            )
        self._task = task.name
        try:
            async with _held(self._shells[node] for node in task.commands):
                execution = Execution(task, self._shells, self._clock, self._observe, self._daemons)
                return await execution.run()
        finally:
            self._task = None

    async def close(self) -> list[CompletedCommand]:
        """End the run: stop the Daemons that outlived their Tasks, all guests at once; failures are only recorded."""
        daemons, self._daemons = self._daemons, []
        completed: list[CompletedCommand] = []
        nodes = dict.fromkeys(running.shell.node for _, running in daemons)

        async def stop(node: str) -> None:
            async with self._shells[node].lock:
                for task, running in daemons:
                    if running.shell.node == node:
                        executor = Executor(self._clock, self._observe, task=task)
                        try:
                            completed.append(await executor.stop_daemon(running))
                        except GuestError:
                            return  # It has been recorded as lost.

        async with trio.open_nursery() as nursery:
            for node in nodes:
                nursery.start_soon(stop, node)
        return completed

    def _unknown(self, task: Task, node: str) -> str:
        near = difflib.get_close_matches(node, self._shells, n=3) or sorted(self._shells)[:5]
        there = f"there is {', '.join(near)}" if near else "there is none"
        return f"Task {task.name!r}: {node!r} is no guest of the testbed; {there}"


@asynccontextmanager
async def _held(shells: Iterable[Shell]) -> AsyncIterator[None]:
    """Hold several shells, taken in one order by everyone."""
    async with AsyncExitStack() as stack:
        for shell in sorted(shells, key=lambda shell: shell.node):
            await stack.enter_async_context(shell.lock)
        yield
