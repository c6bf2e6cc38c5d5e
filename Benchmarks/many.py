"""(h) Many deployments alive at once on one machine: all healthy, and what memory each one takes."""

import http.client
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from berth import Berth, berth
from measure import Figure, request
from standby import FUNCTION_BODY, copied_function

DEPLOYMENTS = 200
AT_ONCE = 4


def memory(marker: bytes) -> float:
    """The proportional share of all processes whose environment has `marker`, in bytes."""
    kibibytes = 0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if marker in (entry / "environ").read_bytes():
                rows = (entry / "smaps_rollup").read_text().splitlines()
                kibibytes += sum(int(row.split()[1]) for row in rows if row.startswith("Pss:"))
        except OSError:
            continue  # it ended meanwhile, or has no memory of its own
    return kibibytes * 1024.0


def is_well(one: Berth, name: str) -> bool:
    """Whether it is healthy and predicts."""
    try:
        healthy, _, _ = request(one.gateway_port, f"/{name}/health")
        predicted, _, _ = request(one.gateway_port, f"/{name}/predict", FUNCTION_BODY)
        return (healthy, predicted) == (200, 200)
    except (OSError, http.client.HTTPException):
        return False


def many(executable: Path, folder: Path, rounds: int) -> list[Figure]:
    del rounds  # two hundred of them are rounds enough
    deploying = Figure("deploy one more, four at a time", "ms")
    failing = Figure(f"not well, of {DEPLOYMENTS} alive at once", "", at_most=0)
    replica = Figure("memory of a replica, its walls and agent included", "MB")
    server = Figure("memory of the control plane", "MB")
    names = [f"language-{number:03}" for number in range(DEPLOYMENTS)]
    manifest = copied_function(folder)
    with berth(executable, folder, *names, BERTH_STANDBYS="0") as one:

        def deploy(name: str) -> float:
            began = time.perf_counter()
            one.run("deploy", manifest, "--quiet", "--set", f"name={name}")
            return time.perf_counter() - began

        one.run("lock", manifest)
        deploy(names[0])
        with ThreadPoolExecutor(AT_ONCE) as pool:
            deploying.ours = list(pool.map(deploy, names[1:]))
            failing.add(float(sum(not well for well in pool.map(lambda name: is_well(one, name), names))))
        replica.add(memory(b"BERTH_SANDBOX=") / DEPLOYMENTS)
        server.add(memory(f"BERTH_HOME={one.home}".encode()))
    return [deploying, failing, replica, server]
