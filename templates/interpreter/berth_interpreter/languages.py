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

    def exports(self, variables: dict[str, str]) -> str | None:
        """Code that sets variables for good; None where the kernel takes settings."""
        return None if self.takes_settings else self._table().exports(variables)

    def borrowing(self, variables: dict[str, str]) -> tuple[str, str]:
        """Code that sets variables, and code that brings back what was there before."""
        return self._table().borrowing(variables)

    def _table(self) -> "Variables":
        if self.name == "bash":
            return BashVariables()
        if self.name in ("javascript", "typescript"):
            return ScriptVariables()
        raise Refused(f"Variables for one execution are not supported for {self.name}")


class Variables:
    """How a language's variables of the environment are set."""

    def exports(self, variables: dict[str, str]) -> str:
        """Code that sets them."""
        raise NotImplementedError

    def borrowing(self, variables: dict[str, str]) -> tuple[str, str]:
        """Code that sets them, and code that undoes it."""
        raise NotImplementedError


class BashVariables(Variables):
    """Those of a shell."""

    def exports(self, variables: dict[str, str]) -> str:
        return "; ".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())

    def borrowing(self, variables: dict[str, str]) -> tuple[str, str]:
        before, after = [], []
        for name, value in variables.items():
            kept = f"__berth_{name}"
            before.append(f'if [ -n "${{{name}+x}}" ]; then {kept}="${name}"; else unset {kept}; fi')
            before.append(f"export {name}={shlex.quote(value)}")
            after.append(f'if [ -n "${{{kept}+x}}" ]; then export {name}="${kept}"; else unset {name}; fi')
            after.append(f"unset {kept}")
        return "; ".join(before), "; ".join(after)


class ScriptVariables(Variables):
    """Those of JavaScript, in Deno and in Node."""

    SET = "(globalThis.Deno ? Deno.env.set({0}, {1}) : void (process.env[{0}] = {1}));"
    KEEP = "(globalThis.__berth ??= {{}})[{0}] = globalThis.Deno ? Deno.env.get({0}) : process.env[{0}];"
    RESTORE = (
        "if (globalThis.__berth[{0}] === undefined) {{ globalThis.Deno ? Deno.env.delete({0}) : delete "
        "process.env[{0}]; }} else {{ globalThis.Deno ? Deno.env.set({0}, globalThis.__berth[{0}]) : "
        "void (process.env[{0}] = globalThis.__berth[{0}]); }}"
    )

    def exports(self, variables: dict[str, str]) -> str:
        return "\n".join(self.SET.format(*map(quoted, item)) for item in variables.items())

    def borrowing(self, variables: dict[str, str]) -> tuple[str, str]:
        names = [quoted(name) for name in variables]
        before = "\n".join(self.KEEP.format(name) for name in names) + "\n" + self.exports(variables)
        return before, "\n".join(self.RESTORE.format(name) for name in names)


def quoted(text: str) -> str:
    """The text as a literal of JavaScript."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\u2028": "\\u2028", "\u2029": "\\u2029"}
    return '"' + "".join(escapes.get(character, character) for character in text) + '"'


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
