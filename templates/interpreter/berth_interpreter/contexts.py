"""All contexts of a sandbox."""

import asyncio
import secrets
import shutil
import tempfile
from pathlib import Path

from .context import Busy, Context, Execution
from .home import kernel_environment, make_home
from .inuse import KernelsInUse
from .kernel import Kernel, KernelFailed
from .languages import Language, Languages, Refused
from .shared import shared_variables

CONTEXT_LIMIT = 64
"""Contexts at once."""
CREATION_LIMIT = 4
"""Kernels that are started at once; more would only be in each other's way."""


class Unknown(Exception):
    """There is no such context; the text is for the client."""


class Contexts:
    """Makes, finds and removes contexts. One kernel for Python is always kept ready for the next one."""

    def __init__(self, home: Path) -> None:
        self.home = home
        python = make_home(home)
        self.languages = Languages(python)
        self._environment = kernel_environment(python)
        self._in_use = KernelsInUse()
        self._folder = Path(tempfile.mkdtemp(prefix="interpreter-"))
        self._contexts: dict[str, Context] = {}
        self._defaults: dict[str, str] = {}
        self._default_turn = asyncio.Lock()
        self._creations = asyncio.Semaphore(CREATION_LIMIT)
        self._spare: asyncio.Task[Kernel] | None = None
        self._is_closed = False

    async def start(self) -> None:
        """Makes the context that code without one runs in."""
        await self.default("python")

    def all(self) -> list[Context]:
        """Every context, the oldest first."""
        return list(self._contexts.values())

    def find(self, identifier: str) -> Context:
        """The context of that id."""
        context = self._contexts.get(identifier)
        if context is None:
            raise Unknown(f"Context {identifier} not found")
        return context

    async def default(self, name: str) -> Context:
        """The context that code of a language runs in when none is named."""
        async with self._default_turn:
            context = self._contexts.get(self._defaults.get(name, ""))
            if context is None:
                context = await self.create(name, None)
                self._defaults[name] = context.id
            return context

    async def create(self, name: str, cwd: str | None) -> Context:
        """A new context. Its folder is made if it has to be."""
        language = self.languages.language(name)
        folder = Path(cwd) if cwd else self.home
        if not folder.is_absolute() or "\0" in str(folder):
            raise Refused(f"The working directory {cwd!r} is not absolute")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Refused(f"The working directory {folder} cannot be used: {error.strerror}") from error
        if len(self._contexts) >= CONTEXT_LIMIT:
            raise Busy(f"There are {CONTEXT_LIMIT} contexts already; remove one first")
        context = Context(secrets.token_hex(16), language, str(folder), self._kernel, shared_variables)
        self._contexts[context.id] = context
        try:
            await context.start()
        except BaseException:
            self._contexts.pop(context.id, None)
            raise
        return context

    async def remove(self, identifier: str) -> None:
        """Ends a context."""
        context = self.find(identifier)
        del self._contexts[identifier]
        await context.close()

    async def execute(self, execution: Execution, identifier: str | None, language: str | None) -> None:
        """Queues code in the context that the request names, or in the default one."""
        if identifier is not None:
            self.find(identifier).begin(execution)
        else:
            (await self.default(self.languages.normalized(language))).begin(execution)

    async def close(self) -> None:
        """Ends everything."""
        self._is_closed = True
        if self._spare is not None:
            self._spare.cancel()
            for result in await asyncio.gather(self._spare, return_exceptions=True):
                if isinstance(result, Kernel):
                    await result.close()
        await asyncio.gather(*(context.close() for context in self.all()))
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _kernel(self, language: Language, cwd: str) -> Kernel:
        """A started kernel: the spare one where there is one. The next one is made when this one is there."""
        try:
            if language.takes_settings and self._spare is not None:
                spare, self._spare = self._spare, None
                kernel = await self._taken(spare)
                if kernel is not None:
                    return kernel
            return await self._start_kernel(language, cwd)
        finally:
            self._refill()

    @staticmethod
    async def _taken(spare: asyncio.Task[Kernel]) -> Kernel | None:
        try:
            kernel = await spare
        except KernelFailed:
            return None
        if not kernel.ended.is_set():
            return kernel
        await kernel.close()
        return None

    async def _start_kernel(self, language: Language, cwd: str) -> Kernel:
        async with self._creations:
            kernel = Kernel(language, self._folder, cwd, self._environment, self._in_use.note)
            await kernel.start()
            return kernel

    def _refill(self) -> None:
        if self._spare is None and not self._is_closed:
            language = self.languages.language("python")
            self._spare = asyncio.create_task(self._start_kernel(language, str(self.home)))
