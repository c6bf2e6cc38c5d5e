"""(d) The FastAPI template against FastAPI as its tutorial writes it: same model, same environment, same requests."""

import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from measure import HERE, App, BenchError, Figure, clean_environment, free_port, in_turn, request, running, uvicorn, wrk
from rendering import ONNX, PURE, SKLEARN, SLOW, Model, ours, stock

Running = AbstractContextManager[App]

CONNECTIONS = 16
LOAD_SECONDS = 2
WARM_UP_SECONDS = 1
HEALTH_PAUSE_SECONDS = 0.02
HEALTH_SECONDS = 3


def environment(folder: Path) -> Path:
    """A byte-compiled environment that both sides run in; kept where `folder` is kept."""
    python = folder / "environment/bin/python"
    if not python.exists():
        for command in (
            ["uv", "venv", "--quiet", "--python", "/usr/bin/python3", str(folder / "environment")],
            ["uv", "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), "-r",
             str(HERE / "requirements.txt")],
        ):  # fmt: skip
            subprocess.run(command, env=clean_environment(), check=True)
    return python


def per_request(app: App) -> tuple[float, float]:
    """Processor seconds per request of the server alone, and requests per second, under 16 connections."""
    wrk(app.port, "/predict", CONNECTIONS, WARM_UP_SECONDS)
    before = app.processor_seconds()
    load = wrk(app.port, "/predict", CONNECTIONS, LOAD_SECONDS)
    return (app.processor_seconds() - before) / load.requests, load.rate


def health_under_load(app: App) -> float:
    """The median seconds of /health while 16 connections keep predictions of 20 ms coming."""
    times: list[float] = []
    load = threading.Thread(target=wrk, args=(app.port, "/predict", CONNECTIONS, HEALTH_SECONDS))
    load.start()
    time.sleep(WARM_UP_SECONDS / 2)
    while load.is_alive():
        began = time.perf_counter()
        status, _, _ = request(app.port, "/health", timeout=30)
        if status != 200:
            raise BenchError(f"/health answered {status} under load")
        times.append(time.perf_counter() - began)
        time.sleep(HEALTH_PAUSE_SECONDS)
    load.join()
    return statistics.median(times)


class Sides:
    """Both apps of one model, ready to be started."""

    def __init__(self, model: Model, executable: Path | None, python: Path, folder: Path) -> None:
        self.python = python
        self.ours_folder, self.stock_folder = ours(model, executable, folder), stock(model, folder)
        for side in (self.ours, self.stock):
            with side() as app:  # the first start writes the byte code of the app's own files
                app.first_answer()

    def ours(self) -> Running:
        port = free_port()
        return running([self.python, "launch.py"], self.ours_folder, port)

    def stock(self) -> Running:
        port = free_port()
        return running(uvicorn(self.python, port, "stock:app"), self.stock_folder, port)


# The scikit-learn model costs more than either server, and its import more than either start: shown, not judged.
MODELS = [
    (PURE, "Python function", {"processor": 0.4, "start": 0.75}),
    (ONNX, "ONNX", {"processor": 0.4}),
    (SKLEARN, "scikit-learn", {}),
]


def starts_and_load(sides: Sides, rounds: int, label: str, bars: dict[str, float]) -> list[Figure]:
    processor = Figure(f"processor time per request, {label} | stock", "us", at_most_ratio=bars.get("processor"))
    start = Figure(f"start to first 200 on /predict, {label} | stock", "ms", at_most_ratio=bars.get("start"))
    rate = Figure(f"requests per second, {label} | stock", "/s")

    def one(side: Callable[[], Running], index: int) -> None:
        with side() as app:
            first = app.first_answer()
            seconds, per_second = per_request(app)
        for figure, value in ((start, first), (processor, seconds), (rate, per_second)):
            (figure.ours, figure.reference)[index].append(value)

    in_turn(rounds, lambda: one(sides.ours, 0), lambda: one(sides.stock, 1))
    return [processor, start, rate]


def health(sides: Sides, rounds: int) -> Figure:
    figure = Figure("/health beside predictions of 20 ms | stock, async def", "ms", at_most=0.020)

    def one(side: Callable[[], Running], values: list[float]) -> None:
        with side() as app:
            app.first_answer()
            values.append(health_under_load(app))

    in_turn(rounds, lambda: one(sides.ours, figure.ours), lambda: one(sides.stock, figure.reference))
    return figure


def template(executable: Path | None, folder: Path, rounds: int) -> list[Figure]:
    python = environment(folder)
    # All load is 16 connections.
    figures: list[Figure] = []
    for model, label, bars in MODELS:
        try:
            figures += starts_and_load(Sides(model, executable, python, folder), rounds, label, bars)
        except BenchError as error:
            print(f"   {label}: {error}", file=sys.stderr)
    try:
        figures.append(health(Sides(SLOW, executable, python, folder), rounds))
    except BenchError as error:
        print(f"   slow model: {error}", file=sys.stderr)
    return figures
