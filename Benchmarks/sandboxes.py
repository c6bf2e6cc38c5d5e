"""(g) What a sandbox costs: making it, the way into it, a pause; by the engine itself, without a control plane."""

import json
import subprocess
from pathlib import Path

from berth import Berth, berth, copied_iris
from measure import BODY, BenchError, Figure, Unit, free_port, running
from redeploy import rendered_iris

CYCLES = 500
LIMIT_SECONDS = 1800.0


def mounts(python: Path) -> list[str]:
    """What a sandbox has to see of an environment: its folder, and the Python that it was made from."""
    environment = python.parent.parent
    lines = (environment / "pyvenv.cfg").read_text().splitlines()
    home = next((Path(line.split("=", 1)[1].strip()) for line in lines if line.startswith("home")), Path("/usr/bin"))
    base = home.resolve().parent
    return [f"{environment}:/opt/env", *([] if base == Path("/usr") else [f"{base}:{base}"])]


def series(one: Berth, executable: Path, folder: Path, rounds: int) -> dict[str, list[float]]:
    """Runs the engine's own bench beside the same app on plain loopback."""
    manifest = copied_iris(folder)
    one.deploy(manifest)
    app, bench = rendered_iris(one, manifest, folder), executable.parent / "engine-bench"
    if not bench.exists():
        raise BenchError(f"{bench} is not built")
    port, python = free_port(), one.interpreter()
    one.run("destroy", "iris", "--yes")  # it would share its pages with what is measured

    def measured(reference: int) -> dict[str, list[float]]:
        words = [executable.parent / "berth-agent", folder / "sandboxes", rounds, CYCLES, app, BODY.decode(), reference]
        done = subprocess.run(
            [str(word) for word in (bench, *words, *mounts(python))],
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
        )
        if done.returncode != 0:
            raise BenchError(f"the engine's bench ended with {done.returncode}:\n{done.stderr[-2000:]}")
        found: dict[str, list[float]] = json.loads(done.stdout)
        return found

    alone = measured(0)
    with running([python, "launch.py"], app, port) as server:
        server.first_answer()
        return {**alone, **measured(port)}


def differences(left: list[float], right: list[float]) -> list[float]:
    return [a - b for a, b in zip(left, right, strict=True)]


def sandboxes(executable: Path, folder: Path, rounds: int) -> list[Figure]:
    with berth(executable, folder, "iris") as one:
        found = series(one, executable, folder, rounds)
    over = differences(found["create and true"], found["true"])
    has_swap = any(line.startswith("/") for line in Path("/proc/swaps").read_text().splitlines())
    return [
        Figure("create a sandbox until its agent answers", "ms", found["create"], at_most=0.010),
        Figure("create one and run `true` in it, over running `true`", "ms", over, at_most=0.015),
        Figure("destroy a sandbox", "ms", found["destroy"]),
        path("iris, 1 connection: median request, engine | loopback", "us", found, "latency", at_most=1.15),
        path("iris, 16 connections: requests, engine | loopback", "/s", found, "throughput", at_least=0.95),
        path("iris, a new connection for each request", "us", found, "new connection"),
        Figure("pause a server", "ms", found["pause"]),
        Figure("resume a paused server to its answer", "ms", found["resume"], at_most=0.010),
        Figure(
            "memory of the server, paused | before" + ("" if has_swap else " (no swap here)"),
            "MB",
            found["memory while paused"],
            found["memory"],
            at_most_ratio=0.25 if has_swap else None,
        ),
        Figure(f"create and destroy, each of {CYCLES}", "ms", found["cycle"]),
        Figure(f"left over after {CYCLES}", "", found["left over"], at_most=0),
        Figure(f"descriptors more after {CYCLES}", "", found["descriptors more"], at_most=4),
    ]


def path(
    name: str,
    unit: Unit,
    found: dict[str, list[float]],
    key: str,
    at_most: float | None = None,
    at_least: float | None = None,
) -> Figure:
    figure = Figure(name, unit, found[f"engine: {key}"], found[f"loopback: {key}"])
    figure.at_most_ratio, figure.at_least_ratio = at_most, at_least
    return figure
