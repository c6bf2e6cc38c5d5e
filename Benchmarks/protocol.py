"""(j) The server of E2B's protocol, as its official Python SDK and curl see it."""

import contextlib
import json
import os
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from berth import Berth, berth
from measure import HERE, BenchError, Figure, clean_environment, free_port, in_turn, request

SDK = "e2b==2.63.0"
CREATIONS = {1: 100, 20: 200}
COMMANDS = 1000
TRANSFER_BYTES = 1 << 30
LIMIT_SECONDS = 900.0
READY_LIMIT_SECONDS = 10.0
# What takes and gives files as they are, which is the least that a server can do.
CONFIGURATION = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log stderr crit;
events {{ worker_connections 64; }}
http {{
  access_log off; sendfile on; client_max_body_size 0;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; root {folder}/files; location / {{ dav_methods PUT; }} }}
}}
"""


@contextlib.contextmanager
def nginx(folder: Path) -> Iterator[int]:
    """nginx with files that can be put and got; gives its port."""
    port = free_port()
    (folder / "files").mkdir()
    file = folder / "nginx.conf"
    file.write_text(CONFIGURATION.format(folder=folder, port=port))
    os.chmod(folder, 0o755)
    process = subprocess.Popen(["nginx", "-g", f"user {os.environ.get('USER', 'root')};", "-c", file])
    try:
        until = time.perf_counter() + READY_LIMIT_SECONDS
        while time.perf_counter() < until:
            with contextlib.suppress(OSError):
                if request(port, "/none")[0] == 404:
                    break
            time.sleep(0.01)
        else:
            raise BenchError("nginx does not answer")
        yield port
    finally:
        process.terminate()
        process.wait()


def sdk(folder: Path) -> Path:
    """An interpreter with the official SDK."""
    subprocess.run(["uv", "venv", "-q", folder / "sdk"], check=True)
    python = folder / "sdk/bin/python"
    subprocess.run(["uv", "pip", "install", "-q", "--python", python, SDK], check=True)
    return python


def run(python: Path, environment: dict[str, str], *words: object) -> list[float]:
    command = [str(word) for word in (python, HERE / "sdk_load.py", *words)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT_SECONDS)
    if done.returncode != 0:
        raise BenchError(f"the SDK ended with {done.returncode}:\n{done.stderr[-2000:]}")
    found: list[float] = json.loads(done.stdout)
    return found


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def curl(*words: object) -> float:
    """Seconds that one transfer takes; raises `BenchError` for an answer that is no success."""
    command = ["curl", "-sS", "--fail", "-o", "/dev/null", "-w", "%{time_total}", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS)
    if done.returncode != 0:
        raise BenchError(f"curl ended with {done.returncode}: {done.stderr[-500:]}")
    return float(done.stdout)


@contextlib.contextmanager
def one_sandbox(python: Path, environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """A sandbox that lives as long as the block."""
    process = subprocess.Popen(
        [python, HERE / "sdk_load.py", "keep"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise BenchError("the SDK made no sandbox")
        yield json.loads(line)
    finally:
        process.communicate(timeout=60)


def transfers(python: Path, environment: dict[str, str], folder: Path, rounds: int) -> list[Figure]:
    up, down = (Figure(f"{way} 1 GiB | curl to nginx", "s") for way in ("upload", "download"))
    content = folder / "content"
    with content.open("wb") as file:
        for _ in range(TRANSFER_BYTES >> 20):
            file.write(os.urandom(1 << 20))
    with nginx(folder) as port, one_sandbox(python, environment) as sandbox:
        fields = {"E2b-Sandbox-Id": sandbox["id"], "E2b-Sandbox-Port": "49983", "X-Access-Token": sandbox["token"]}
        headers = [word for name, value in fields.items() for word in ("-H", f"{name}: {value}")]
        ours = f"{environment['E2B_SANDBOX_URL']}/files?path=content"
        plain = ["-H", "Content-Type: application/octet-stream", "-H", "Expect:", "-T", content]

        def to_us() -> None:
            up.ours.append(curl(*headers, *plain, "-X", "POST", ours))
            down.ours.append(curl(*headers, ours))

        def to_nginx() -> None:
            up.reference.append(curl(*plain, f"http://127.0.0.1:{port}/content"))
            down.reference.append(curl(f"http://127.0.0.1:{port}/content"))

        in_turn(min(rounds, 5), to_us, to_nginx)
    return [up, down]


def environment_of(one: Berth, port: int) -> dict[str, str]:
    """What the SDK needs to find the server."""
    key = (one.home / "e2b.key").read_text().strip()
    base = f"http://127.0.0.1:{port}"
    return clean_environment(E2B_API_KEY=key, E2B_API_URL=base, E2B_SANDBOX_URL=base)


def protocol(executable: Path, folder: Path, rounds: int) -> list[Figure]:
    python, port = sdk(folder), free_port()
    figures = []
    with berth(executable, folder, BERTH_E2B_PORT=str(port), BERTH_MAX_SANDBOXES="100") as one:
        one.run("e2b")
        environment = environment_of(one, port)
        run(python, environment, "create", 3, 1)
        for at_once, count in CREATIONS.items():
            times = run(python, environment, "create", count, at_once)
            for name, share in (("p50", 0.5), ("p99", 0.99)):
                title = f"SDK: create to first command, {at_once} at once, {name}"
                figures.append(Figure(title, "ms", [percentile(times, share)]))
        times = run(python, environment, "commands", COMMANDS)
        figures.append(Figure("SDK: 1,000 short commands, each", "ms", [statistics.fmean(times)]))
        figures.append(Figure("SDK: 1,000 short commands, p99", "ms", [percentile(times, 0.99)]))
        figures += transfers(python, environment, folder, rounds)
    return figures
