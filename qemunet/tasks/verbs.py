"""What a guest can be asked outside of Tasks. A verb waits while its guest is in use."""

from __future__ import annotations

from dataclasses import replace

import trio

from qemunet.errors import CommandFailed, CommandTimeout
from qemunet.tasks.execution import Executor, failed
from qemunet.tasks.protocols import Clock, Observer, Shell, ignore
from qemunet.tasks.task import Command, CompletedCommand, check_time


class GuestVerbs:
    """The verbs of one guest.

    Args:
        shell: Its shell, shared with the Tasks.
        observe: Is told every event.
    """

    def __init__(self, shell: Shell, clock: Clock, *, observe: Observer = ignore) -> None:
        self._shell = shell
        self._executor = Executor(clock, observe, task=None)

    async def run(
        self, command: str | Command, *, timeout_s: float | None = None, check: bool = False
    ) -> CompletedCommand:
        """Run a command and return what became of it.

        Args:
            command: What to run.
            timeout_s: Longest time it may take, in seconds, once the guest is free.
            check: A status other than 0 is a CommandFailed.

        Raises:
            CommandFailed, CommandTimeout, ConsoleError, GuestExitedError, TaskError: as a Task does.
        """
        check_time("timeout_s", timeout_s)
        item = command if isinstance(command, Command) else Command(command)
        limits = [limit for limit in (timeout_s, item.timeout_s) if limit is not None]
        async with self._shell.lock:
            running = await self._executor.arm(self._shell, item)
            self._executor.fire(running)
            return await self._executor.complete(
                running, timeout_s=min(limits, default=None), check=check if item.check is None else item.check
            )

    async def succeed(self, *commands: str | Command, timeout_s: float | None = None) -> str:
        """Run commands one after the other, each of which must return 0; returns their output, joined.

        Raises:
            CommandFailed: one returned another status; those after it did not run.
            CommandTimeout, ConsoleError, GuestExitedError, TaskError: as ``run``.
        """
        outputs = []
        for command in commands:
            completed = await self.run(command, timeout_s=timeout_s)
            if completed.exit_status != 0:
                raise failed(completed)
            outputs.append(completed.output)
        return "".join(outputs)

    async def fail(self, command: str | Command, *, timeout_s: float | None = None) -> str:
        """Run a command that must not return 0; returns its output.

        Raises:
            CommandFailed: it returned 0.
            CommandTimeout, ConsoleError, GuestExitedError, TaskError: as ``run``.
        """
        completed = await self.run(_unchecked(command), timeout_s=timeout_s)
        if completed.exit_status == 0:
            raise CommandFailed(
                f"{completed.node}: {completed.command!r} returned 0 and should have failed",
                node=completed.node,
                command=completed.command,
                output=lambda: completed.output,
                exit_status=0,
            )
        return completed.output

    async def wait_until_succeeds(
        self, command: str | Command, *, timeout_s: float = 60.0, interval_s: float = 0.2
    ) -> str:
        """Run a command again and again until it returns 0; returns the output of that time.

        Args:
            command: What to run; one with a time-out of its own is stopped then, and run again.
            timeout_s: Longest time for all, in seconds; an attempt under way then is stopped.
            interval_s: From the end of an attempt to the next, in seconds; the guest is free meanwhile.

        Raises:
            CommandTimeout: it never returned 0; the output is that of the last attempt that was not cut short by
                ``timeout_s``, if there is one.
            ConsoleError, GuestExitedError, TaskError: as ``run``.
        """
        check_time("timeout_s", timeout_s)
        check_time("interval_s", interval_s)
        end = trio.current_time() + timeout_s
        text = command.text if isinstance(command, Command) else command
        attempts, status = 0, "none began"
        last: CompletedCommand | CommandTimeout | None = None
        while (left_s := end - trio.current_time()) > 0:
            attempts += 1
            try:
                completed = await self.run(_unchecked(command), timeout_s=left_s)
                if completed.exit_status == 0:
                    return completed.output
                last, status = completed, f"the last returned {completed.exit_status}"
            except CommandTimeout as error:  # Its own, perhaps: then it is worth another attempt.
                if isinstance(last, CompletedCommand) and trio.current_time() >= end:
                    status = f"the last returned {last.exit_status}, one more was stopped"
                else:
                    last, status = error, "the last was stopped"
            await trio.sleep(min(interval_s, max(0.0, end - trio.current_time())))
        raise CommandTimeout(
            f"{self._shell.node}: {text!r} did not succeed within {timeout_s:g} s ({attempts} attempts, {status})",
            node=self._shell.node,
            command=text,
            output=lambda: last.output if last else "",
            timeout_s=timeout_s,
        )


def _unchecked(command: str | Command) -> str | Command:
    """The same command for a verb that looks at the status itself."""
    return replace(command, check=None) if isinstance(command, Command) else command
