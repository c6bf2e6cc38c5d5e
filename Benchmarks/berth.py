"""A Berth of its own for the bench: its own home, ports and caches, and nothing left behind."""

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from measure import REPOSITORY, BenchError, clean_environment, free_port

COMMAND_LIMIT_SECONDS = 600.0


@dataclass
class Berth:
    """One control plane with its data in `home`; the CLI starts it when it is first needed."""

    executable: Path
    home: Path
    gateway_port: int = field(default_factory=free_port)
    api_port: int = field(default_factory=free_port)
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return clean_environment(
            BERTH_HOME=str(self.home),
            BERTH_API_PORT=str(self.api_port),
            BERTH_GATEWAY_PORT=str(self.gateway_port),
            **self.extra,
        )

    def start(self, *arguments: str | Path, merged: bool = False) -> subprocess.Popen[bytes]:
        """Starts a command and leaves the reading to the caller."""
        return subprocess.Popen(
            [str(self.executable), *map(str, arguments)],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merged else subprocess.PIPE,
        )

    def run(self, *arguments: str | Path) -> str:
        """Runs a command to its end and gives its standard output."""
        process = self.start(*arguments)
        try:
            output, errors = process.communicate(timeout=COMMAND_LIMIT_SECONDS)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise BenchError(f"berth {arguments[0]} took more than {COMMAND_LIMIT_SECONDS:.0f} s") from error
        if process.returncode != 0:
            text = (errors + output).decode(errors="replace")[-3000:]
            raise BenchError(f"berth {' '.join(map(str, arguments))} ended with {process.returncode}:\n{text}")
        return output.decode()

    def deploy(self, manifest: Path, *options: str) -> dict[str, Any]:
        """Deploys and gives the rollout as the CLI's JSON has it."""
        rollout: dict[str, Any] = json.loads(self.run("deploy", manifest, "--output", "json", *options))
        return rollout

    def interpreter(self) -> Path:
        """The Python of the newest environment in this home."""
        found = [path for path in self.home.rglob("pyvenv.cfg") if (path.parent / "bin/python").exists()]
        if not found:
            raise BenchError(f"no environment below {self.home}")
        return max(found, key=lambda path: path.stat().st_mtime).parent / "bin/python"

    def close(self, *names: str) -> None:
        """Takes the named deployments away and ends the control plane."""
        for command in (*(("destroy", name, "--yes") for name in names), ("down",)):
            with contextlib.suppress(BenchError):
                self.run(*command)


@contextlib.contextmanager
def berth(executable: Path, folder: Path, *names: str, **extra: str) -> Iterator[Berth]:
    """A Berth whose home is made in `folder` and removed again, with the deployments `names`."""
    home = folder / f"home-{time.monotonic_ns()}"
    home.mkdir(parents=True)
    one = Berth(executable, home, extra=extra)
    try:
        yield one
    finally:
        one.close(*names)
        remove(home)


def remove(folder: Path) -> None:
    """Removes a tree, read-only folders included."""
    for path, _, _ in os.walk(folder):
        with contextlib.suppress(OSError):
            os.chmod(path, 0o700)
    shutil.rmtree(folder, ignore_errors=True)


def copied_iris(folder: Path) -> Path:
    """The iris manifest and its model in a folder of their own, so that no lock is written into the work tree."""
    (folder / ".git").mkdir()  # the mark of a project, inside which a manifest may name models
    model = folder / "Examples/iris"
    model.mkdir(parents=True, exist_ok=True)
    shutil.copy(REPOSITORY / "Examples/iris/iris.joblib", model)
    (folder / "manifests").mkdir(exist_ok=True)
    return Path(shutil.copy(REPOSITORY / "manifests/iris.yaml", folder / "manifests/iris.yaml"))


def stage_seconds(rollout: dict[str, Any], stage: str) -> float:
    """How long one stage of a rollout took."""
    for report in rollout.get("stages", []):
        if report.get("stage") == stage and report.get("milliseconds") is not None:
            return float(report["milliseconds"]) / 1e3
    raise BenchError(f"the rollout reports no duration of its stage {stage}")
