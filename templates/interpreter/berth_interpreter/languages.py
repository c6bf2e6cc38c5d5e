"""The languages that code is run in, and how their kernels are started."""

import contextlib
import os
import re
import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager

ALIASES = {"js": "javascript", "ts": "typescript", "py": "python", "python3": "python", "sh": "bash", "shell": "bash"}
"""Other names of languages."""
INSTALLED = {
    "javascript": ("javascript", "deno", "jslab"),
    "typescript": ("javascript", "deno", "tslab"),
    "r": ("r", "ir"),
    "java": ("java", "ijava"),
}
"""Languages whose kernels are not ours, by the names under which Jupyter may know those."""
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""What a variable may be called."""


class Refused(Exception):
    """What cannot be done as it was asked; the text is for the client."""


@dataclass(frozen=True)
class Language:
    """How one language is run."""

    name: str
    command: tuple[str, ...]
    """The kernel's program, with `{connection_file}` where it finds its client."""
    environment: tuple[tuple[str, str], ...] = ()
    """Variables of the kernel beyond the server's own."""
    transport: str = "ipc"
    """`ipc` keeps kernels off the network, which others may reach; not every kernel knows it."""
    interrupted_by_message: bool = False

    @property
    def takes_settings(self) -> bool:
        """Whether its kernel is ours, and takes variables and a folder along with the code."""
        return self.name == "python"

    @property
    def takes_exports(self) -> bool:
        """Whether variables are set by code in it."""
        return self.name == "bash"


def exports(variables: dict[str, str]) -> str:
    """Code for a shell that sets variables for good."""
    return "; ".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())


def loan(variables: dict[str, str]) -> tuple[str, str]:
    """Code for a shell that sets variables, and code that brings back what was there before."""
    before, after = [], []
    for name, value in variables.items():
        kept = f"__berth_{name}"
        before.append(f'if [ -n "${{{name}+x}}" ]; then {kept}="${name}"; else unset {kept}; fi')
        before.append(f"export {name}={shlex.quote(value)}")
        after.append(f'if [ -n "${{{kept}+x}}" ]; then export {name}="${kept}"; else unset {name}; fi')
        after.append(f"unset {kept}")
    return "; ".join(before), "; ".join(after)


def check_names(variables: Iterable[str]) -> None:
    """Refuses what would be more than a name in code that sets it."""
    for name in variables:
        if not NAME.fullmatch(name):
            raise Refused(f"{name!r} is no name of an environment variable")


class Languages:
    """The languages that can be run here."""

    def __init__(self, python: str) -> None:
        """`python` is the interpreter that code runs in; the kernels' own programs run in ours."""
        launcher = str(Path(__file__).with_name("launcher.py"))
        self._own = {
            "python": Language("python", (python, launcher, "python", "{connection_file}")),
            "bash": Language("bash", (sys.executable, launcher, "bash", "{connection_file}")),
        }

    def normalized(self, name: str | None) -> str:
        """The usual name of a language."""
        name = (name or "python").strip().lower()
        return ALIASES.get(name, name)

    def language(self, name: str) -> Language:
        """How a language is run; refused when it cannot be."""
        if (own := self._own.get(name)) is not None:
            return own
        for candidate in INSTALLED.get(name, ()):
            with contextlib.suppress(KeyError, OSError, ValueError):
                return self._from_specification(name, KernelSpecManager().get_kernel_spec(candidate))
        raise Refused(
            f"Language {name!r} is not available in this sandbox: it has {', '.join(self.available())}. "
            "Others need a Jupyter kernel that is installed in the template"
        )

    def available(self) -> list[str]:
        """The names of all that can be run."""
        installed = KernelSpecManager().find_kernel_specs()
        return list(self._own) + [
            name for name, candidates in INSTALLED.items() if any(candidate in installed for candidate in candidates)
        ]

    @staticmethod
    def _from_specification(name: str, found: KernelSpec) -> Language:
        environment = tuple((key, os.path.expandvars(value)) for key, value in found.env.items())
        by_message = found.interrupt_mode == "message"
        return Language(name, tuple(found.argv), environment, "tcp", by_message)
