"""One process that runs code, spoken to in Jupyter's messages (jupyter_client's documentation, "Messaging")."""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq
import zmq.asyncio
from jupyter_client.session import Session

from . import results
from .languages import Language

START_LIMIT = 60.0
"""Seconds until a new kernel has to answer."""
GREETING_INTERVAL = 1.0
"""Seconds after which an unanswered greeting is repeated."""
RECONNECT_INTERVAL = 5
"""Milliseconds between attempts to reach a kernel that does not listen yet."""
LAST_WORDS = 100
"""Milliseconds for which output of an ended kernel is waited for."""
OUTPUT_LIMIT = 32
"""Messages of output that wait here; our kernels wait then."""
CHANNELS = ("shell", "iopub", "control", "stdin", "hb")

Event = dict[str, Any]
Message = dict[str, Any]


class KernelEnded(Exception):
    """The kernel's process is gone, with the reason as text."""


class KernelFailed(Exception):
    """The kernel could not be started."""


class Cell:
    """Code that a kernel runs."""

    def __init__(self, message: str, emit: Callable[[Event], None]) -> None:
        self.message = message
        self.emit = emit
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.has_failed = False
        self._is_idle = False
        self._is_answered = False

    def take_idle(self) -> None:
        """All of its output has come."""
        self._is_idle = True
        self._finish()

    def take_answer(self) -> None:
        """The kernel has told how it ended."""
        self._is_answered = True
        self._finish()

    def fail(self, error: Event) -> None:
        """Tells of an error once, though kernels tell of it twice."""
        if not self.has_failed:
            self.has_failed = True
            self.emit(error)

    def _finish(self) -> None:
        if self._is_idle and self._is_answered and not self.finished.done():
            self.finished.set_result(None)


class Kernel:
    """A started kernel, which runs one cell at a time."""

    def __init__(
        self,
        language: Language,
        folder: Path,
        cwd: str,
        environment: dict[str, str],
        use: Callable[["Kernel", bool], None],
    ) -> None:
        """`folder` is for sockets, and ours alone; `use` is told before code runs in it, and once it has ended."""
        self.language = language
        self.cwd = cwd
        self._environment = environment
        self._use = use
        self._place = folder / secrets.token_hex(8)
        self._session = Session(key=secrets.token_hex(32).encode(), username="berth")
        self._context = zmq.asyncio.Context.instance()
        self._sockets: dict[str, zmq.asyncio.Socket] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._readers: list[asyncio.Task[None]] = []
        self._watch: asyncio.Task[None] | None = None
        self._cell: Cell | None = None
        self._heard = {"shell": asyncio.Event(), "iopub": asyncio.Event()}
        self.ended: asyncio.Event = asyncio.Event()
        self._end = ""

    async def start(self) -> None:
        """Starts the process and waits until it answers."""
        try:
            async with asyncio.timeout(START_LIMIT):
                await self._start()
        except TimeoutError:
            await self.close()
            raise KernelFailed(f"The kernel for {self.language.name} did not answer in {START_LIMIT:.0f} s") from None
        except OSError as error:
            await self.close()
            raise KernelFailed(f"The kernel for {self.language.name} cannot be started: {error}") from error
        except BaseException:
            await self.close()
            raise
        if self.ended.is_set():
            await self.close()
            raise KernelFailed(f"The kernel for {self.language.name} ended at once: {self._end}")

    async def _start(self) -> None:
        addresses = self._write_connection_file()
        file = str(self._place.with_suffix(".json"))
        self._process = await asyncio.create_subprocess_exec(
            *[part.replace("{connection_file}", file) for part in self.language.command],
            cwd=self.cwd,
            env=self._environment | dict(self.language.environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        self._watch = asyncio.create_task(self._watch_process(self._process))
        for name, kind in (("iopub", zmq.SUB), ("shell", zmq.DEALER), ("control", zmq.DEALER)):
            channel = self._context.socket(kind)
            self._sockets[name] = channel
            channel.setsockopt(zmq.LINGER, 0)
            channel.setsockopt(zmq.RECONNECT_IVL, RECONNECT_INTERVAL)
            if kind == zmq.SUB:
                channel.setsockopt(zmq.SUBSCRIBE, b"")
                channel.setsockopt(zmq.RCVHWM, OUTPUT_LIMIT)
            channel.connect(addresses[name])
        self._readers = [
            asyncio.create_task(self._read("iopub", self._take_output)),
            asyncio.create_task(self._read("shell", self._take_answer)),
        ]
        await self._greet()

    def _write_connection_file(self) -> dict[str, str]:
        """Says where to listen; kernels that know only ports get free ones of the loopback."""
        if self.language.transport == "ipc":
            ip, ports = str(self._place), list(range(1, len(CHANNELS) + 1))
            addresses = [f"ipc://{ip}-{port}" for port in ports]
        else:
            ip = "127.0.0.1"
            with contextlib.ExitStack() as stack:
                found = [stack.enter_context(socket.create_server((ip, 0))) for _ in CHANNELS]
                ports = [held.getsockname()[1] for held in found]
            addresses = [f"tcp://{ip}:{port}" for port in ports]
        content: dict[str, Any] = {f"{name}_port": port for name, port in zip(CHANNELS, ports, strict=True)}
        content |= {"ip": ip, "transport": self.language.transport, "key": self._session.key.decode()}
        content |= {"signature_scheme": "hmac-sha256", "kernel_name": self.language.name}
        descriptor = os.open(self._place.with_suffix(".json"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(content, file)
        return dict(zip(CHANNELS, addresses, strict=True))

    async def _greet(self) -> None:
        """Asks until it answers, and until its output is heard: it publishes to nobody before."""
        heard = asyncio.create_task(self._wait_until_heard())
        ended = asyncio.create_task(self.ended.wait())
        try:
            while not heard.done() and not ended.done():
                await self._send("shell", "kernel_info_request", {})
                await asyncio.wait({heard, ended}, timeout=GREETING_INTERVAL, return_when=asyncio.FIRST_COMPLETED)
        finally:
            heard.cancel()
            ended.cancel()
            await asyncio.gather(heard, ended, return_exceptions=True)

    async def _wait_until_heard(self) -> bool:
        for event in self._heard.values():
            await event.wait()
        return True

    async def run(
        self, code: str, emit: Callable[[Event], None], *, silent: bool = False, settings: dict[str, Any] | None = None
    ) -> None:
        """Runs code to its end. `settings` go to our own kernels (`launcher.py`)."""
        if self.ended.is_set():
            raise KernelEnded(self._end)
        content = {
            "code": code,
            "silent": silent,
            "store_history": not silent,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        message = self._session.msg("execute_request", content, metadata={"berth": settings or {}})
        if not silent:
            self._use(self, True)
        cell = Cell(message["header"]["msg_id"], emit)
        self._cell = cell
        try:
            await self._sockets["shell"].send_multipart(self._session.serialize(message))
            await cell.finished
        finally:
            self._cell = None

    async def interrupt(self) -> None:
        """Asks the cell to end, and what it started."""
        if self.language.interrupted_by_message:
            await self._send("control", "interrupt_request", {})
        else:
            self._signal(signal.SIGINT, group=True)

    def throttle(self, stop: bool) -> None:
        """Holds the process while its output cannot be taken."""
        self._signal(signal.SIGSTOP if stop else signal.SIGCONT)

    async def close(self) -> None:
        """Ends the process with all that belongs to it, and removes its sockets."""
        self._signal(signal.SIGKILL, group=True)
        if self._watch is not None:
            await self._watch
        for task in self._readers:
            task.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        for channel in self._sockets.values():
            channel.close()
        for path in self._place.parent.glob(self._place.name + "*"):
            path.unlink(missing_ok=True)

    def _signal(self, number: int, group: bool = False) -> None:
        # Whoever has ended and is not collected yet still has its number.
        if self._process is None or self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self._process.pid, number)

    async def _watch_process(self, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
        self._end = f"The kernel was ended {how}"
        self.ended.set()
        self._use(self, False)
        cell = self._cell
        if cell is not None and not cell.finished.done():
            while await self._sockets["iopub"].poll(LAST_WORDS):
                await asyncio.sleep(0)
            if not cell.finished.done():
                cell.finished.set_exception(KernelEnded(self._end))

    async def _send(self, channel: str, kind: str, content: dict[str, Any]) -> None:
        message = self._session.msg(kind, content)
        await self._sockets[channel].send_multipart(self._session.serialize(message))

    async def _read(self, channel: str, take: Callable[[Cell, Message], None]) -> None:
        while True:
            parts = await self._sockets[channel].recv_multipart()
            try:
                message = self._session.deserialize(self._session.feed_identities(parts)[1])
            except (ValueError, IndexError, TypeError):
                continue  # not signed by our kernel, or no message at all
            self._heard[channel].set()
            cell = self._cell
            if cell is not None and message["parent_header"].get("msg_id") == cell.message:
                take(cell, message)

    @staticmethod
    def _take_output(cell: Cell, message: Message) -> None:
        content = message["content"]
        match message["msg_type"]:
            case "stream" if content["name"] in ("stdout", "stderr"):
                for event in results.stream(content["name"], content["text"], message["header"]["date"]):
                    cell.emit(event)
            case "display_data":
                cell.emit(results.result(content["data"], is_main=False))
            case "execute_result":
                cell.emit(results.result(content["data"], is_main=True))
            case "execute_input":
                cell.emit({"type": "number_of_executions", "execution_count": content["execution_count"]})
            case "error":
                cell.fail(results.kernel_error(content))
            case "status" if content["execution_state"] == "idle":
                cell.take_idle()

    @staticmethod
    def _take_answer(cell: Cell, message: Message) -> None:
        if message["msg_type"] != "execute_reply":
            return
        content = message["content"]
        if content.get("status") == "error":
            cell.fail(results.kernel_error(content))
        elif content.get("status") in ("abort", "aborted"):
            cell.fail(results.error("ExecutionAborted", "The execution was aborted"))
        cell.take_answer()
