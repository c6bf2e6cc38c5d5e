"""Where users' packages go: their interpreter is a virtual environment of their own above the read-only one."""

import os
import sys
import sysconfig
from pathlib import Path

FOLDER = ".interpreter"
"""Its name in the home folder."""


def make_home(home: Path) -> str:
    """Makes the environment where it is not there, and gives its interpreter; where nothing can be written, ours."""
    place = home / FOLDER
    python = place / "bin" / "python"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = place / "lib" / version / "site-packages"
    base = Path(os.path.realpath(sys.executable))
    try:
        python.parent.mkdir(parents=True, exist_ok=True)
        packages.mkdir(parents=True, exist_ok=True)
        # The packages that are there already; those of the user come first.
        (packages / "interpreter.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
        (place / "pyvenv.cfg").write_text(f"home = {base.parent}\ninclude-system-site-packages = false\n")
        for name in ("python", "python3"):
            link = python.with_name(name)
            if not link.is_symlink():
                link.symlink_to(base)
        for name in ("pip", "pip3"):
            script = python.with_name(name)
            script.write_text(f'#!/bin/sh\nexec "{python}" -m pip "$@"\n')
            script.chmod(0o755)
    except OSError as error:
        print(f"packages cannot be added, {place} cannot be made: {error}", file=sys.stderr)
        return sys.executable
    return str(python)


def kernel_environment(python: str) -> dict[str, str]:
    """The variables of kernels: ours, with the user's interpreter before others."""
    environment = dict(os.environ)
    folder = Path(python).parent
    environment["PATH"] = f"{folder}:{environment.get('PATH', '/usr/bin:/bin')}"
    environment["VIRTUAL_ENV"] = str(folder.parent)
    environment.setdefault("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    environment.setdefault("PIP_ROOT_USER_ACTION", "ignore")
    environment.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    return environment
