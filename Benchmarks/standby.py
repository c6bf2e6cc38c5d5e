"""(f) What a standby saves: a redeploy, a restart and a wake-up from zero, against starting the same app by hand."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from berth import Berth, berth, copied_iris
from measure import BODY, JSON_HEADERS, REPOSITORY, BenchError, Figure, free_port, in_turn, running, uvicorn
from redeploy import cutover

READY_LIMIT_SECONDS = 60.0
CALM_SECONDS = 0.5  # what is left of the preparations must not run beside the measurement
RETRY_SECONDS = 0.0005
FUNCTION_BODY = json.dumps({"input": "El perro duerme en el sofá y la casa es de Juan"}).encode()


def status(one: Berth, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(one.run("status", name, "--output", "json"))
    return found


def wait_for_standby(one: Berth, name: str) -> None:
    """Waits until the next replica is prepared."""
    limit = time.monotonic() + READY_LIMIT_SECONDS
    while not status(one, name)["standbys"]:
        if time.monotonic() > limit:
            raise BenchError(f"{name} has no standby after {READY_LIMIT_SECONDS:.0f} s")
    time.sleep(CALM_SECONDS)


def app_process(sandbox: str) -> int:
    """The Python process of a sandbox."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            known = f"BERTH_SANDBOX={sandbox}".encode() in (entry / "environ").read_bytes().split(b"\0")
            if known and b"python" in (entry / "cmdline").read_bytes().split(b"\0")[0]:
                return int(entry.name)
    raise BenchError(f"no Python process in sandbox {sandbox}")


def answers(port: int, path: str, body: bytes) -> bool:
    """Whether a prediction is answered well, on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", path, body, JSON_HEADERS)
        response = connection.getresponse()
        response.read()
        return response.status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def until_answered(port: int, path: str, body: bytes) -> float:
    """Seconds until the next good answer, as a client sees it that tries again and again."""
    began = time.perf_counter()
    while not answers(port, path, body):
        if time.perf_counter() - began > READY_LIMIT_SECONDS:
            raise BenchError(f"{path} did not come back")
        time.sleep(RETRY_SECONDS)
    return time.perf_counter() - began


def recovery(one: Berth, name: str, body: bytes) -> float:
    """Seconds from the death of the app to the next good answer."""
    os.kill(app_process(str(status(one, name)["sandbox"])), signal.SIGKILL)
    return until_answered(one.gateway_port, f"/{name}/predict", body)


def wake_up(one: Berth, name: str, body: bytes) -> float:
    """Seconds that a request takes which finds the deployment asleep."""
    limit = time.monotonic() + READY_LIMIT_SECONDS
    while not ((found := status(one, name))["state"] == "asleep" and found["standbys"]):
        if time.monotonic() > limit:
            raise BenchError(f"{name} is {found['state']} after {READY_LIMIT_SECONDS:.0f} s")
        time.sleep(CALM_SECONDS)
    time.sleep(CALM_SECONDS)
    began = time.perf_counter()
    if not answers(one.gateway_port, f"/{name}/predict", body):
        raise BenchError(f"{name} did not wake up")
    return time.perf_counter() - began


def copied_function(folder: Path) -> Path:
    """The plain function's manifest in a folder of its own."""
    (folder / ".git").mkdir(exist_ok=True)
    shutil.copytree(REPOSITORY / "Examples/python-function", folder / "Examples/python-function", dirs_exist_ok=True)
    (folder / "manifests").mkdir(exist_ok=True)
    return Path(shutil.copy(REPOSITORY / "manifests/function.yaml", folder / "manifests/function.yaml"))


def starts_by_hand(one: Berth, manifest: Path, folder: Path, model: Path, body: bytes) -> Callable[[], float]:
    """Deploys, and gives what starts the rendered app by hand until its first answer."""
    one.deploy(manifest)
    app, python = folder / "rendered", one.interpreter()
    one.run("render", manifest, "-o", app)
    if not (app / model.name).exists():
        shutil.copy(model, app)

    def by_hand() -> float:
        port = free_port()
        with running(uvicorn(python, port, "app:app"), app, port) as server:
            return server.first_answer(body=body)

    by_hand()  # writes the byte code of the rendered files, as Berth has done for its copy
    return by_hand


@dataclass
class Case:
    """A deployment, and how many times the start by hand its starts may take."""

    name: str
    manifest: Callable[[Path], Path]
    model: Path
    body: bytes
    redeploy_bar: float
    restart_bar: float

    def figures(self, executable: Path, folder: Path, rounds: int) -> list[Figure]:
        folder.mkdir()
        redeploy = Figure(f"{self.name}: redeploy with a standby | uvicorn by hand", "ms")
        restart = Figure(f"{self.name}: back after a crash, for a client | the same", "ms")
        wake = Figure(f"{self.name}: woken from zero, for a client | the same", "ms")
        redeploy.at_most_ratio, restart.at_most_ratio = self.redeploy_bar, self.restart_bar
        wake.at_most_ratio = self.restart_bar
        manifest = self.manifest(folder)
        with berth(executable, folder, self.name) as one:
            by_hand = starts_by_hand(one, manifest, folder, self.model, self.body)

            def ours() -> None:
                wait_for_standby(one, self.name)
                redeploy.ours.append(cutover(one, manifest, f"/{self.name}/predict", None, self.body))
                wait_for_standby(one, self.name)
                restart.ours.append(recovery(one, self.name, self.body))

            def reference() -> None:
                seconds = by_hand()
                redeploy.reference.append(seconds)
                restart.reference.append(seconds)
                wake.reference.append(seconds)

            ours()  # the first one finds cold files
            redeploy.ours.clear()
            restart.ours.clear()
            in_turn(rounds, ours, reference)
            one.deploy(manifest, "--set", "idle.stop_after=1s")
            wake_up(one, self.name, self.body)
            wake.ours.extend(wake_up(one, self.name, self.body) for _ in range(rounds))
        return [redeploy, restart, wake]


def standby(executable: Path, folder: Path, rounds: int) -> list[Figure]:
    examples = REPOSITORY / "Examples"
    cases = [
        Case("iris", copied_iris, examples / "iris/iris.joblib", BODY, 0.2, 0.06),
        Case("language", copied_function, examples / "python-function/predict.py", FUNCTION_BODY, 0.5, 0.2),
    ]
    return [figure for case in cases for figure in case.figures(executable, folder / case.name, rounds)]
