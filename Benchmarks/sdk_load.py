"""What the official SDK sees of a server that speaks E2B's protocol; run by its own interpreter, prints JSON.

The environment says where the server is. Times in seconds.
"""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from e2b import Sandbox

LIFE_SECONDS = 300


def first_command(_: int) -> float:
    """From the call that makes a sandbox to the output of its first command."""
    began = time.perf_counter()
    sandbox = Sandbox.create(timeout=LIFE_SECONDS)
    try:
        if sandbox.commands.run("echo up").stdout != "up\n":
            raise RuntimeError("the first command said something else")
        return time.perf_counter() - began
    finally:
        sandbox.kill()


def command_times(count: int) -> list[float]:
    with Sandbox.create(timeout=LIFE_SECONDS) as sandbox:
        times = []
        for number in range(count):
            began = time.perf_counter()
            if sandbox.commands.run(f"echo {number}").stdout != f"{number}\n":
                raise RuntimeError("a command said something else")
            times.append(time.perf_counter() - began)
        return times


def keep_one() -> None:
    """Makes a sandbox, says how its agent is reached, and waits for the end of the input."""
    sandbox = Sandbox.create(timeout=3600)
    told = {"id": sandbox.sandbox_id, "token": sandbox._envd_access_token}
    print(json.dumps(told), flush=True)
    sys.stdin.read()
    sandbox.kill()


def main() -> None:
    what, *numbers = sys.argv[1:]
    if what == "keep":
        return keep_one()
    found: list[float]
    if what == "create":
        count, at_once = map(int, numbers)
        with ThreadPoolExecutor(at_once) as pool:
            found = list(pool.map(first_command, range(count)))
    else:
        found = command_times(int(numbers[0]))
    print(json.dumps(found))


if __name__ == "__main__":
    os.environ.setdefault("E2B_HTTP_VERSION", "1.1")
    main()
