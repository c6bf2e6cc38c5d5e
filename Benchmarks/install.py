"""(c) The first install of iris' environment, with empty caches on both sides."""

import shutil
import subprocess
import time
from pathlib import Path

from berth import berth, copied_iris, remove, stage_seconds
from measure import BenchError, Figure, clean_environment, in_turn


def uv_sync(lock: Path, interpreter: str, folder: Path, *, byte_code: bool) -> float:
    """Seconds that uv takes for the lock, from an empty cache into a new environment."""
    place = folder / f"uv-{time.monotonic_ns()}"
    place.mkdir()
    environment = clean_environment(UV_CACHE_DIR=str(place / "cache"))
    target = place / "environment"
    command = ["uv", "pip", "sync", "--quiet", "--require-hashes", "--python", target / "bin/python", lock]
    began = time.perf_counter()
    try:
        for step in (
            ["uv", "venv", "--quiet", "--python", interpreter, target],
            [*command, *(["--compile-bytecode"] if byte_code else [])],
        ):
            subprocess.run([str(word) for word in step], env=environment, check=True, capture_output=True)
        return time.perf_counter() - began
    except subprocess.CalledProcessError as error:
        raise BenchError(f"uv failed: {error.stderr.decode()[-1000:]}") from error
    finally:
        remove(place)


def find_lock(manifest: Path) -> Path:
    locks = sorted(manifest.parent.glob("*.lock"))
    if not locks:
        raise BenchError(f"no lock beside {manifest}")
    return locks[0]


def install(executable: Path, folder: Path, rounds: int) -> list[Figure]:
    if shutil.which("uv") is None:
        raise BenchError("uv is not installed")
    figure = Figure("first install of iris, empty caches | uv pip sync --compile-bytecode", "s", at_most_ratio=1.2)
    plain = Figure("the same by uv pip sync without byte code", "s")
    manifest = copied_iris(folder)

    def cold() -> float:
        with berth(executable, folder, "iris", UV_CACHE_DIR=str(folder / f"cache-{time.monotonic_ns()}")) as one:
            seconds = stage_seconds(one.deploy(manifest), "environment")
            base[:] = [base_interpreter(one.interpreter())]
            remove(Path(one.extra["UV_CACHE_DIR"]))
            return seconds

    base: list[str] = []
    cold()  # writes the lock beside the manifest; later rounds install from it
    lock = find_lock(manifest)

    def reference() -> None:
        figure.reference.append(uv_sync(lock, base[0], folder, byte_code=True))
        plain.add(uv_sync(lock, base[0], folder, byte_code=False))

    in_turn(rounds, lambda: figure.ours.append(cold()), reference)
    return [figure, plain]


def base_interpreter(python: Path) -> str:
    """The Python that an environment was made from."""
    code = "import sys; print(sys._base_executable)"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, env=clean_environment())
    return done.stdout.strip()
