"""Code that shares its state: one kernel, and those who wait for it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from . import results
from .kernel import Kernel, KernelEnded, KernelFailed
from .languages import Language, Refused, check_names, exports, loan
from .outbox import Outbox

QUEUE_LIMIT = 256
"""Executions of one context that may wait."""
INTERRUPT_INTERVALS = (2.0, 2.0, 5.0)
"""Seconds that an interrupted cell has until it is interrupted again; after the last it is waited for."""


class Busy(Exception):
    """Too much waits already; the text is for the client."""


class Execution:
    """Code of one request."""

    def __init__(self, code: str, variables: dict[str, str], token: str | None) -> None:
        self.code = code
        self.variables = variables
        self.token = token
        self.outbox = Outbox()
        self.abandoned = asyncio.Event()

    def abandon(self) -> None:
        """Nobody wants it any more: it is interrupted, or does not begin."""
        self.abandoned.set()
        self.outbox.close(discarding=True)


def ignore(_: dict[str, Any]) -> None:
    """Takes what nobody wants to know."""


class Context:
    """A kernel that is made again when it has ended, and executions one after the other."""

    def __init__(
        self,
        identifier: str,
        language: Language,
        cwd: str,
        kernels: Callable[[Language, str], Awaitable[Kernel]],
        shared: Callable[[str | None], Awaitable[dict[str, str]]],
    ) -> None:
        """`kernels` makes a started kernel; `shared` knows the variables of the whole sandbox."""
        self.id = identifier
        self.language = language
        self.cwd = cwd
        self._kernels = kernels
        self._shared = shared
        self._kernel: Kernel | None = None
        self._knows_shared = False
        self._turn = asyncio.Lock()
        self._running: set[asyncio.Task[None]] = set()
        self._generation = 0
        self._is_closed = False

    async def start(self) -> None:
        """Makes the kernel."""
        async with self._turn:
            await self._ready()

    def begin(self, execution: Execution) -> None:
        """Queues an execution; it ends its own outbox."""
        if execution.variables:
            check_names(execution.variables)
            if not self.language.takes_settings and not self.language.takes_exports:
                raise Refused(f"Variables for one execution are not supported for {self.language.name}")
        if len(self._running) >= QUEUE_LIMIT:
            raise Busy(f"Context {self.id} has {QUEUE_LIMIT} executions waiting already")
        task = asyncio.create_task(self._execute(execution, self._generation))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def restart(self) -> None:
        """Ends the kernel, and with it what runs and waits, and makes another one."""
        self._generation += 1
        if self._kernel is not None:
            await self._kernel.close()
        await self.start()

    async def close(self) -> None:
        """Ends everything."""
        self._is_closed = True
        self._generation += 1
        if self._kernel is not None:
            await self._kernel.close()
        async with self._turn:
            kernel, self._kernel = self._kernel, None
        if kernel is not None:
            await kernel.close()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _ready(self) -> Kernel:
        if self._is_closed:
            raise KernelFailed(f"Context {self.id} was removed")
        if self._kernel is not None and self._kernel.ended.is_set():
            await self._kernel.close()
            self._kernel = None
        if self._kernel is None:
            self._knows_shared = False
            self._kernel = await self._kernels(self.language, self.cwd)
        return self._kernel

    async def _execute(self, execution: Execution, generation: int) -> None:
        outbox = execution.outbox
        try:
            async with self._turn:
                if execution.abandoned.is_set():
                    return
                if generation != self._generation:
                    raise KernelEnded("The context was restarted or removed")
                kernel = await self._ready()
                outbox.feed_from(kernel.throttle)
                try:
                    await self._run(kernel, execution)
                finally:
                    outbox.feed_from(None)
        except KernelEnded as end:
            text = f"{end} before the execution was finished. What it held is lost; the next execution begins anew"
            outbox.put(results.error(results.UNEXPECTED_END, text))
        except KernelFailed as failure:
            outbox.put(results.error(results.UNEXPECTED_END, str(failure)))
        finally:
            outbox.put({"type": "end_of_execution"})
            outbox.close()

    async def _run(self, kernel: Kernel, execution: Execution) -> None:
        settings: dict[str, Any] = {}
        restore = ""
        if not self._knows_shared:
            shared = await self._shared(execution.token)
            if self.language.takes_settings:
                # Its kernel may have been made before it was known for whom.
                settings |= {"shared": shared, "cwd": self.cwd}
            elif shared and self.language.takes_exports:
                await kernel.run(exports(shared), ignore, silent=True)
            self._knows_shared = True
        if execution.variables and self.language.takes_settings:
            settings["variables"] = execution.variables
        elif execution.variables:
            change, restore = loan(execution.variables)
            await kernel.run(change, ignore, silent=True)
        try:
            await self._run_interruptibly(kernel, execution, settings)
        finally:
            if restore and not kernel.ended.is_set():
                await kernel.run(restore, ignore, silent=True)

    @staticmethod
    async def _run_interruptibly(kernel: Kernel, execution: Execution, settings: dict[str, Any]) -> None:
        cell = asyncio.create_task(kernel.run(execution.code, execution.outbox.put, settings=settings))
        abandoned = asyncio.create_task(execution.abandoned.wait())
        try:
            await asyncio.wait({cell, abandoned}, return_when=asyncio.FIRST_COMPLETED)
            for interval in INTERRUPT_INTERVALS:
                if cell.done():
                    break
                await kernel.interrupt()
                await asyncio.wait({cell}, timeout=interval)
            await cell
        finally:
            for task in (cell, abandoned):
                task.cancel()
            await asyncio.gather(cell, abandoned, return_exceptions=True)
