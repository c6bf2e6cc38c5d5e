"""(e) What the gateway adds to a prediction, beside nginx and beside nothing. Measured, not judged."""

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from berth import berth, copied_iris
from measure import BODY, BenchError, Figure, Load, Unit, free_port, request, running, wrk
from redeploy import rendered_iris

LOAD_SECONDS = 2
CONNECTIONS = (1, 16)
READY_LIMIT_SECONDS = 10.0
CONFIGURATION = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  upstream app {{ server 127.0.0.1:{upstream}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port};
    location /iris/ {{ proxy_pass http://app/; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""


@contextlib.contextmanager
def nginx(folder: Path, upstream: int) -> Iterator[int]:
    """nginx in front of the app on port `upstream`, with kept-alive connections; gives its port."""
    if shutil.which("nginx") is None:
        raise BenchError("nginx is not installed")
    port = free_port()
    file = folder / "nginx.conf"
    file.write_text(CONFIGURATION.format(folder=folder, upstream=upstream, port=port))
    process = subprocess.Popen(["nginx", "-c", file], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.perf_counter() + READY_LIMIT_SECONDS
        while time.perf_counter() < until:
            with contextlib.suppress(OSError):
                if request(port, "/iris/predict", BODY)[0] == 200:
                    break
            time.sleep(0.01)
        else:
            raise BenchError("nginx does not answer")
        yield port
    finally:
        process.terminate()
        process.wait()


def add_round(figures: dict[str, Figure], connections: int, loads: dict[str, Load]) -> None:
    """One round of the three ways in: what the two proxies add to the direct way, and what gets through."""
    direct, ours, reference = loads["direct"], loads["berth"], loads["nginx"]
    at = f"{connections} connection{'s' if connections > 1 else ''}"

    def figure(what: str, unit: Unit) -> Figure:
        name = f"gateway, {at}, {what}"
        return figures.setdefault(name, Figure(name, unit, has_ratio=unit == "/s"))

    figure("requests per second | nginx", "/s").add(ours.rate, reference.rate)
    figure("requests per second | no proxy", "/s").add(ours.rate, direct.rate)
    figure("added p50 | nginx", "us").add((ours.p50 - direct.p50) / 1e3, (reference.p50 - direct.p50) / 1e3)
    figure("added p99 | nginx", "us").add((ours.p99 - direct.p99) / 1e3, (reference.p99 - direct.p99) / 1e3)


def gateway(executable: Path, folder: Path, rounds: int) -> list[Figure]:
    figures: dict[str, Figure] = {}
    manifest = copied_iris(folder)
    with berth(executable, folder, "iris") as one:
        one.deploy(manifest)
        app, python = rendered_iris(one, manifest, folder), one.interpreter()
        port = free_port()
        # The deployed app is in a network of its own, so its twin on a port of the host is what nginx and wrk reach.
        with running([python, "launch.py"], app, port) as server:
            server.first_answer()
            with nginx(folder, port) as proxy:
                ways = {"direct": (port, "/predict"), "berth": (one.gateway_port, "/iris/predict"),
                        "nginx": (proxy, "/iris/predict")}  # fmt: skip
                for way in ways.values():
                    wrk(*way, 16, 1)
                for index in range(rounds):
                    order = list(ways) if index % 2 == 0 else list(reversed(ways))
                    for connections in CONNECTIONS:
                        loads = {name: wrk(*ways[name], connections, LOAD_SECONDS) for name in order}
                        add_round(figures, connections, loads)
    return list(figures.values())
