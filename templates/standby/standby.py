"""Imports ahead what an app imports, waits for the app, and becomes it: `python standby.py NAMES`.

NAMES is a file with a module's name on each line, left by another run. Once they are imported, one line of JSON is
written to standard output: {"berth_standby": <modules>, "threads": <count>}. More names may come as lines of JSON on
standard input: {"imports": [name, …]}; each is answered like that once it is done, an empty one is not. The app is the
last line: {"command": ["launch.py", …], "folder": …, "environment": {…}, "links": {place: target}}.

The process itself becomes the server. A forked one would pay for copied page tables, and lose threads and locks.
"""

import gc
import importlib
import json
import os
import sys
import types
from pathlib import Path
from typing import Any

SEARCHED = ("", "src")  # where below the app's folder its own modules lie


def import_ahead(names: list[str]) -> None:
    """Imports what can be imported here and says how much; the app meets the errors of the others itself."""
    gc.disable()
    count = 0
    for name in names:
        try:
            importlib.import_module(name)
            count += 1
        except BaseException:
            continue
    gc.collect()
    gc.freeze()  # what is imported stays, so the collector need not look at it
    gc.enable()
    print(json.dumps({"berth_standby": count, "threads": len(os.listdir("/proc/self/task"))}), flush=True)


def forget_shadowed(folder: Path) -> None:
    """Forgets modules that would have been the app's own, had its folder been there from the start."""
    own = {path.stem for place in SEARCHED if (folder / place).is_dir() for path in (folder / place).iterdir()}
    own -= set(sys.builtin_module_names) | {"encodings", "importlib"}
    for name in [name for name in sys.modules if name.partition(".")[0] in own]:
        del sys.modules[name]


def become(app: dict[str, Any]) -> None:
    """Runs the app's script as `__main__`; does not come back."""
    script, folder = app["command"][0], Path(app["folder"])
    for place, target in app["links"].items():
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        os.symlink(target, place)
    os.environ.update(app["environment"])
    os.chdir(folder)
    sys.argv = list(app["command"])
    sys.path[0] = str((folder / script).parent)
    importlib.invalidate_caches()
    forget_shadowed(folder)
    main = types.ModuleType("__main__")
    main.__dict__.update(__file__=str(folder / script), __builtins__=__builtins__)
    sys.modules["__main__"] = main
    report = sys.excepthook

    def without_us(kind: Any, error: Any, trace: Any) -> None:
        while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
            trace = trace.tb_next
        report(kind, error.with_traceback(trace), trace)

    sys.excepthook = without_us
    exec(compile((folder / script).read_bytes(), str(folder / script), "exec"), main.__dict__)  # noqa: S102


def wait() -> dict[str, Any]:
    """The app, once it comes; the sandbox ends with its host's word, so does the process."""
    while (line := sys.stdin.buffer.readline()).endswith(b"\n"):
        message: dict[str, Any] = json.loads(line)
        if names := message.get("imports"):
            import_ahead(names)
        if "imports" in message:
            continue
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        return message
    os._exit(0)


if __name__ == "__main__":
    import_ahead(Path(sys.argv[1]).read_text().split())
    become(wait())
