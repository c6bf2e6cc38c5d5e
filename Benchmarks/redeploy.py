"""(a) Redeploy with a cached environment, and (b) how soon an app that crashes is reported."""

import http.client
import re
import shutil
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from berth import Berth, berth, copied_iris
from measure import BODY, HERE, JSON_HEADERS, BenchError, Figure, free_port, in_turn, running, uvicorn

POLL_SECONDS = 0.002
CUTOVER_LIMIT_SECONDS = 120.0
CRASHED = re.compile(rb"crashed-at (\d+)")
REPORT = re.compile(rb"(?i)\xe2\x9c\x97|\b(error|exited|crashed|ended|failed|rolled back|did not start)\b")
START_FAILED = 13


@dataclass
class Watch:
    """Asks the gateway without a pause, and notes when another revision gives its first 200."""

    port: int
    path: str
    body: bytes = BODY
    before: str | None = None
    seen_at: float | None = None
    failures: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)

    def revision(self, connection: http.client.HTTPConnection) -> str | None:
        connection.request("POST", self.path, self.body, JSON_HEADERS)
        response = connection.getresponse()
        response.read()
        return response.headers["X-Berth-Revision"] if response.status == 200 else None

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        while not self.stopped.is_set():
            try:
                revision = self.revision(connection)
            except (OSError, http.client.HTTPException):
                connection.close()
                revision = None
            if revision is None:
                self.failures += 1
            elif self.before is None:
                self.before = revision
            elif revision != self.before:
                self.seen_at = time.perf_counter()
                break
            time.sleep(POLL_SECONDS)
        connection.close()


def cutover(one: Berth, manifest: Path, path: str, tag: str | None, body: bytes = BODY) -> float:
    """Seconds from the start of the CLI to the first 200 of the new revision, through the gateway.

    With a tag its variables differ from those of every earlier revision, so that no standby fits.
    """
    watch = Watch(one.gateway_port, path, body)
    thread = threading.Thread(target=watch.run)
    thread.start()
    try:
        while watch.before is None and watch.failures < 1000:
            time.sleep(POLL_SECONDS)
        began = time.perf_counter()
        one.run("deploy", manifest, *(() if tag is None else ("--env", f"BENCH_ROUND={tag}")))
        thread.join(CUTOVER_LIMIT_SECONDS)
    finally:
        watch.stopped.set()
        thread.join()
    if watch.seen_at is None:
        raise BenchError(f"{path} never answered from a new revision")
    return watch.seen_at - began


def rendered_iris(one: Berth, manifest: Path, folder: Path) -> Path:
    """The app as Berth renders it, with its model, ready to be started by hand."""
    target = folder / "rendered"
    one.run("render", manifest, "-o", target)
    if not (target / "iris.joblib").exists():
        shutil.copy(manifest.parent / "../Examples/iris/iris.joblib", target)
    return target


def redeploy(executable: Path, folder: Path, rounds: int) -> list[Figure]:
    figure = Figure("redeploy, start of the CLI to first 200 | uvicorn by hand", "ms", at_most_ratio=1.25)
    through_launcher = Figure("the same app by hand with its own launcher", "ms")
    manifest = copied_iris(folder)
    with berth(executable, folder, "iris", BERTH_STANDBYS="0") as one:
        one.deploy(manifest)
        app, python = rendered_iris(one, manifest, folder), one.interpreter()

        def by_hand() -> None:
            port = free_port()
            with running(uvicorn(python, port, "app:app"), app, port) as server:
                figure.reference.append(server.first_answer())
            port = free_port()
            with running([python, "launch.py"], app, port) as server:
                through_launcher.add(server.first_answer())

        by_hand()  # writes the byte code of the rendered files, as Berth has done for its copy
        figure.reference.clear()
        through_launcher.ours.clear()
        tags = iter(range(rounds))
        in_turn(
            rounds,
            lambda: figure.ours.append(cutover(one, manifest, "/iris/predict", str(next(tags)))),
            by_hand,
        )
    return [figure, through_launcher]


def crash_times(one: Berth, manifest: Path) -> tuple[float, float]:
    """Seconds from the end of the app to the CLI's first word of it, and to the CLI's own end."""
    process = one.start("deploy", manifest, merged=True)
    lines: list[tuple[int, bytes]] = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append((time.time_ns(), line))
    code = process.wait()
    ended = time.time_ns()
    text = b"".join(line for _, line in lines)
    stamps = CRASHED.findall(text) or CRASHED.findall(logs(one))
    if code != START_FAILED or not stamps:
        raise BenchError(f"expected exit code {START_FAILED} and the app's last words, got {code}:\n{text.decode()}")
    crashed = int(stamps[-1])
    reported = next((at for at, line in lines if at >= crashed and REPORT.search(line)), None)
    if reported is None:
        raise BenchError(f"no line reports the crash:\n{text.decode()}")
    return (reported - crashed) / 1e9, (ended - crashed) / 1e9


def logs(one: Berth) -> bytes:
    try:
        return one.run("logs", "crash").encode()
    except BenchError:
        return b""


def crash(executable: Path, folder: Path, rounds: int) -> list[Figure]:
    report = Figure("crash on import, end of the app to the CLI's report", "ms", at_most=0.150)
    leave = Figure("crash on import, end of the app to the end of the CLI", "ms")
    manifest = Path(shutil.copytree(HERE / "apps/crash", folder / "crash")) / "berth.yaml"
    with berth(executable, folder, "crash") as one:
        crash_times(one, manifest)  # builds the environment and starts the control plane
        for _ in range(rounds):
            reported, left = crash_times(one, manifest)
            report.add(reported)
            leave.add(left)
    return [report, leave]
