"""(i) What the clients of one deployment feel while another one tries to take the machine for itself."""

import contextlib
import time
from pathlib import Path

from berth import Berth, berth
from measure import BenchError, Figure, wrk
from standby import FUNCTION_BODY, copied_function

SECONDS = 3
PAUSE_SECONDS = 0.001  # a client that never rests would be a bomb itself: it takes a whole processor
DELAY_SECONDS = 1  # of the bomb behind the start of its app, which is to become ready
HEAD_START_SECONDS = 2.0  # who runs into a limit is first held back for a while
VICTIM, NEIGHBOUR = "language", "neighbour"
LIMITS = {"cpu": "0.5", "memory": "256Mi", "processes": "64", "disk": "64Mi", "open_files": "1024"}
BOMBS = {
    "processor": "while :; do :; done & while :; do :; done & while :; do :; done & wait",
    "memory": """while :; do "$PYTHON" -c 'b = []
while True: b.append(bytearray(1 << 20))'; done""",
    "fork": "b() { b | b & }; b; wait; sleep 60",
    "disk": "while :; do dd if=/dev/zero of=fill bs=1M count=1024; done",
    # Into what the app prints, which the control plane reads.
    "output": "yes",
}
# What an app begins with that is a bomb: one that is killed for it comes back, and so does the bomb.
BOMB = """import os, subprocess, sys
subprocess.Popen(["/bin/sh", "-c", {script!r}], env=dict(os.environ, PYTHON=sys.executable))
"""


def bomb(folder: Path, script: str) -> Path:
    """The manifest of an app that runs `script` beside its work."""
    folder.mkdir(parents=True)
    manifest = copied_function(folder)
    model = folder / "Examples/python-function/predict.py"
    model.write_text(BOMB.format(script=f"sleep {DELAY_SECONDS}; {script}") + model.read_text())
    return manifest


def disturbed(one: Berth, manifest: Path) -> float:
    """The 99th percentile, in seconds, of the victim's predictions while the neighbour does its worst."""
    one.run("deploy", manifest, "--quiet", "--set", f"name={NEIGHBOUR}", *limits())
    try:
        time.sleep(HEAD_START_SECONDS)
        return calm(one)
    finally:
        with contextlib.suppress(BenchError):
            one.run("destroy", NEIGHBOUR, "--yes")


def limits() -> list[str]:
    return [word for key, value in LIMITS.items() for word in ("--set", f"resources.{key}={value}")]


def calm(one: Berth) -> float:
    """The same without a neighbour."""
    return wrk(one.gateway_port, f"/{VICTIM}/predict", 1, SECONDS, FUNCTION_BODY, PAUSE_SECONDS).p99 / 1e3


def neighbours(executable: Path, folder: Path, rounds: int) -> list[Figure]:
    figures = []
    manifest = copied_function(folder)
    with berth(executable, folder, VICTIM, NEIGHBOUR, BERTH_STANDBYS="0") as one:
        one.deploy(manifest)
        calm(one)
        for name, script in BOMBS.items():
            figure = Figure(f"p99 beside a neighbour's {name} bomb | alone", "us", at_most_ratio=2)
            neighbour = bomb(folder / name, script)
            for _ in range(rounds):
                time.sleep(HEAD_START_SECONDS)  # what the neighbour before left to do is not "alone"
                alone = calm(one)
                figure.add(disturbed(one, neighbour), alone)
            figures.append(figure)
    return figures
