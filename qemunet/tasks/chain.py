"""Chains of Tasks: each analyzes its results and names the next."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from qemunet.errors import TaskError
from qemunet.tasks.task import Results, Task


async def run_chain(run: Callable[[Task], Awaitable[Results]], first: Task, *, limit: int = 1000) -> list[Results]:
    """Run ``first``, then the Task that its ``analyze`` returns, and so on until one returns None.

    Args:
        first: Where it begins.
        run: Runs one Task to its barrier, such as ``bed.run``.
        limit: How many Tasks the chain may have.

    Returns:
        The results of each Task, in order.

    Raises:
        TaskError: more than ``limit`` Tasks, or ``analyze`` returned something else than a Task or None.
        QemunetError: as ``run`` does.
    """
    if limit < 1:
        raise TaskError(f"a chain has at least one Task; limit={limit}")
    results: list[Results] = []
    task: Task | None = first
    while task is not None:
        if len(results) == limit:
            raise TaskError(
                f"the chain that began with Task {first.name!r} has more than {limit} Tasks; next is {task.name!r}",
                hint="give run_chain a larger limit, or let analyze return None",
            )
        done = await run(task)
        results.append(done)
        following: object = task.analyze(done)
        if following is not None and not isinstance(following, Task):
            raise TaskError(
                f"Task {task.name!r}: analyze returned {type(following).__name__}; it returns the next Task or None"
            )
        task = following
    return results
