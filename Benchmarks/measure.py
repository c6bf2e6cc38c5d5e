"""What every part measures with: processes, first answers, processor time, load, and the table of figures."""

import contextlib
import http.client
import json
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent
BODY = json.dumps({"input": [[5.1, 3.5, 1.4, 0.2]]}).encode()
JSON_HEADERS = {"Content-Type": "application/json"}
POLL_SECONDS = 0.002
START_LIMIT_SECONDS = 120.0
STOP_LIMIT_SECONDS = 10.0
# What the apps run with on both sides: one thread per numerical library, byte code allowed.
APP_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class BenchError(Exception):
    """A part cannot be measured; the message says why."""


def clean_environment(**extra: str) -> dict[str, str]:
    """This process's environment without what would keep Python from writing or using byte code."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return {**kept, **extra}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def request(
    port: int, path: str, body: bytes | None = None, timeout: float = 5.0
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """One request on a new connection; raises OSError or HTTPException."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET" if body is None else "POST", path, body, {} if body is None else JSON_HEADERS)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


@dataclass
class App:
    """A server under test in a session of its own, ended by its own process ids."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    began: float

    def first_answer(self, path: str = "/predict", body: bytes = BODY) -> float:
        """Seconds from the start of the process to its first 200 on `path`."""
        last = "nothing"
        while time.perf_counter() - self.began < START_LIMIT_SECONDS:
            try:
                status, _, answer = request(self.port, path, body)
                if status == 200:
                    return time.perf_counter() - self.began
                last = f"{status} {answer[:200]!r}"
            except (OSError, http.client.HTTPException) as error:
                last = repr(error)
            if self.process.poll() is not None:
                raise BenchError(f"the app ended with {self.process.returncode}:\n{self.log.read_text()[-2000:]}")
            time.sleep(POLL_SECONDS)
        raise BenchError(f"no 200 from {path} in {START_LIMIT_SECONDS:.0f} s; last answer: {last}")

    def members(self) -> list[int]:
        """The processes of its session."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    after_name = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                    if int(after_name[3]) == self.process.pid:
                        found.append(int(entry.name))
        return found

    def processor_seconds(self) -> float:
        """Time on a processor of all its threads, from the scheduler's own nanoseconds."""
        nanoseconds = 0
        for pid in self.members():
            for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                with contextlib.suppress(OSError):
                    nanoseconds += int(thread.read_text().split()[0])
        return nanoseconds / 1e9

    def stop(self) -> None:
        members = self.members()
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_LIMIT_SECONDS)
        for pid in {*members, *self.members()}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def running(command: Sequence[str | Path], folder: Path, port: int, **environment: str) -> Iterator[App]:
    """Starts a server in `folder`; ends it when the block is left."""
    log = folder / "server.log"
    with log.open("wb") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=folder,
            env=clean_environment(**APP_ENVIRONMENT, PORT=str(port), **environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    app = App(process, port, log, began)
    try:
        yield app
    finally:
        app.stop()


def uvicorn(python: Path, port: int, target: str) -> list[str | Path]:
    """The command that everyone knows; without an access log, which alone would cost it a fifth."""
    address = ["--host", "127.0.0.1", "--port", str(port)]
    return [python, "-m", "uvicorn", target, *address, "--no-access-log", "--log-level", "warning"]


@dataclass(frozen=True)
class Load:
    """What wrk saw; times in milliseconds."""

    rate: float
    p50: float
    p99: float
    requests: int
    errors: int


def wrk(port: int, path: str, connections: int, seconds: float, body: bytes = BODY, pause: float = 0) -> Load:
    """POSTs `body` over keep-alive connections; raises `BenchError` when any answer is not a 200.

    `pause` is the time between an answer and the next request, in seconds; 0 keeps a connection always busy.
    """
    if shutil.which("wrk") is None:
        raise BenchError("wrk is not installed")
    url = f"http://127.0.0.1:{port}{path}"
    done = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", HERE / "post.lua", url],
        env={**os.environ, "BODY": body.decode(), **({"PAUSE": str(round(pause * 1e3))} if pause else {})},
        capture_output=True,
        text=True,
        check=True,
    )
    load = Load(**json.loads(done.stdout.rsplit("JSON ", 1)[1]))
    if load.errors:
        raise BenchError(f"{load.errors} of {load.requests} requests to {path} failed")
    return load


Unit = Literal["ms", "s", "us", "/s", "MB", ""]
SCALE: dict[Unit, float] = {"ms": 1e3, "s": 1.0, "us": 1e6, "/s": 1.0, "MB": 1e-6, "": 1.0}
DECIMALS: dict[Unit, int] = {"ms": 1, "s": 2, "us": 1, "/s": 0, "MB": 1, "": 0}


@dataclass
class Figure:
    """One row: ours and the reference in base units (seconds, per second, bytes), paired by round."""

    name: str
    unit: Unit
    ours: list[float] = field(default_factory=list)
    reference: list[float] = field(default_factory=list)
    # At most or at least this many times the reference, or this many base units; none for information.
    at_most_ratio: float | None = None
    at_least_ratio: float | None = None
    at_most: float | None = None
    # Differences may be near zero or below it; a ratio of them says nothing.
    has_ratio: bool = True

    def add(self, ours: float, reference: float | None = None) -> None:
        self.ours.append(ours)
        if reference is not None:
            self.reference.append(reference)

    @property
    def ratio(self) -> float | None:
        """The median of the rounds' ratios, which a drifting machine disturbs less than a ratio of medians."""
        if not self.has_ratio or not self.ours or len(self.ours) != len(self.reference) or 0 in self.reference:
            return None
        return statistics.median(a / b for a, b in zip(self.ours, self.reference, strict=True))

    @property
    def verdict(self) -> str:
        if not self.ours:
            return "not measured"
        if self.at_most is not None:
            return "holds" if statistics.median(self.ours) <= self.at_most else "falls short"
        if self.at_most_ratio is None and self.at_least_ratio is None:
            return ""
        if self.ratio is None:
            return "not measured"
        holds = (self.at_least_ratio or 0) <= self.ratio <= (self.at_most_ratio or float("inf"))
        return "holds" if holds else "falls short"

    def shown(self, values: list[float]) -> str:
        if not values:
            return ""
        return f"{statistics.median(values) * SCALE[self.unit]:,.{DECIMALS[self.unit]}f} {self.unit}".strip()

    @property
    def bar(self) -> str:
        if self.at_most is not None:
            return f"<= {self.at_most * SCALE[self.unit]:g} {self.unit}".strip()
        if self.at_least_ratio is not None:
            return f">= {self.at_least_ratio:g}x"
        return "" if self.at_most_ratio is None else f"<= {self.at_most_ratio:g}x"

    def row(self) -> list[str]:
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}x"
        return [self.name, self.shown(self.ours), self.shown(self.reference), ratio, self.bar, self.verdict]

    def record(self) -> dict[str, object]:
        return {**asdict(self), "ratio": self.ratio, "verdict": self.verdict}


HEADINGS = ["figure", "ours", "reference", "ratio", "bar", "verdict"]


def table(figures: Sequence[Figure]) -> str:
    rows = [HEADINGS, *(figure.row() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]

    def aligned(row: list[str]) -> str:
        name, *numbers, verdict = [text.rjust(width) for text, width in zip(row, widths, strict=True)]
        return "  ".join([name.strip().ljust(widths[0]), *numbers, verdict.strip()]).rstrip()

    return "\n".join([aligned(rows[0]), "  ".join("-" * width for width in widths), *map(aligned, rows[1:])])


def in_turn(rounds: int, ours: Callable[[], None], reference: Callable[[], None]) -> None:
    """Both sides once per round; who begins changes with every round."""
    for index in range(rounds):
        for side in (ours, reference) if index % 2 == 0 else (reference, ours):
            side()


def version(*command: str) -> str:
    """The first line that a tool says about itself."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except OSError:
        return "not installed"
    return next(iter((done.stdout or done.stderr).strip().splitlines()), "unknown")


def conditions() -> dict[str, str]:
    """What the figures depend on besides the code."""
    processor = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        "unknown processor",
    )
    return {
        "cores": f"{len(os.sched_getaffinity(0))} of {os.cpu_count()}, {processor}",
        "load": " ".join(f"{value:.2f}" for value in os.getloadavg()),
        "kernel": platform.release(),
        "uv": version("uv", "--version"),
        "wrk": version("wrk", "-v"),
        "nginx": version("nginx", "-v"),
    }
