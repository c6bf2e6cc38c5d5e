#!/usr/bin/env python3
"""Measures deploying and serving side by side with what it stands in for; see README.md in this folder."""

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from berth import remove
from gateway import gateway
from install import install
from many import many
from measure import REPOSITORY, BenchError, Figure, conditions, table, version
from neighbours import neighbours
from protocol import protocol
from redeploy import crash, redeploy
from sandboxes import sandboxes
from standby import standby
from template import template

ROUNDS = 10


Measure = Callable[[Path, Path, int], list[Figure]]
PARTS: dict[str, tuple[str, Measure]] = {
    "a": ("redeploy with a cached environment", redeploy),
    "b": ("an app that crashes on import", crash),
    "c": ("first install with empty caches", install),
    "e": ("the gateway", gateway),
    "f": ("what a standby saves", standby),
    "g": ("what a sandbox costs", sandboxes),
    "h": ("many deployments at once", many),
    "i": ("neighbours that misbehave", neighbours),
    "j": ("the E2B server", protocol),
}
TEMPLATE = "d"
TITLES = {TEMPLATE: "the FastAPI template", **{key: title for key, (title, _) in PARTS.items()}}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--berth", type=Path, default=REPOSITORY / ".build/release/berth", help="a release build")
    parser.add_argument("--only", default="abcde", help="parts to run, as in `--only ad`; `a` to `e` by default")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--results", type=Path, default=REPOSITORY / "results", help="where the JSON goes")
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it behind; its environment is reused")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a figure falls short or is missing")
    return parser.parse_args()


def measured(keys: str, executable: Path | None, folder: Path, rounds: int) -> tuple[list[Figure], list[str]]:
    """The figures of the parts asked for, and why any is missing."""
    figures: list[Figure] = []
    missing: list[str] = []
    for key in sorted(keys):
        print(f"-- {key}: {TITLES[key]}", file=sys.stderr, flush=True)
        place = folder / key
        remove(place) if key != TEMPLATE else clear_apps(place)
        place.mkdir(parents=True, exist_ok=True)
        try:
            if key == TEMPLATE:
                figures += template(executable, place, rounds)
            elif executable is None:
                raise BenchError("there is no berth to measure; see --berth")
            else:
                figures += PARTS[key][1](executable, place, rounds)
        except (BenchError, OSError) as error:
            missing.append(f"{key}: {error}")
            print(f"   not measured: {error}", file=sys.stderr)
    return figures, missing


def clear_apps(place: Path) -> None:
    """Forgets earlier apps but not the environment, which takes longest to make."""
    for folder in (*place.glob("ours-*"), *place.glob("stock-*")):
        shutil.rmtree(folder)


def main() -> int:
    options = arguments()
    # Being ended is an exit like any other: what was started and made is taken down.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    unknown = set(options.only) - set(TITLES)
    if unknown or options.rounds < 1:
        print(f"unknown part {', '.join(sorted(unknown))}" if unknown else "--rounds starts at 1", file=sys.stderr)
        return 2
    executable: Path | None = options.berth.resolve() if options.berth.exists() else None
    folder = (options.keep or Path(tempfile.mkdtemp(prefix="berth-bench-"))).resolve()
    header = {
        "rounds": str(options.rounds),
        "berth": version(str(executable), "--version") if executable else "none: templates are rendered by hand",
        **conditions(),
    }
    try:
        figures, missing = measured(options.only, executable, folder, options.rounds)
    finally:
        if options.keep is None:
            remove(folder)
    header["load at the end"] = conditions()["load"]
    print("\n".join(f"{key}: {value}" for key, value in header.items()), "\n")
    print(table(figures))
    print("\n".join(["", *missing]) if missing else "")
    options.results.mkdir(parents=True, exist_ok=True)
    file = options.results / f"deploy-{time.strftime('%Y%m%d-%H%M%S')}.json"
    report = {"conditions": header, "figures": [figure.record() for figure in figures], "missing": missing}
    file.write_text(json.dumps(report, indent=2) + "\n")
    print(f"written to {file}")
    good = not missing and all(figure.verdict not in ("falls short", "not measured") for figure in figures)
    return 0 if good or not options.strict else 1


if __name__ == "__main__":
    sys.exit(main())
