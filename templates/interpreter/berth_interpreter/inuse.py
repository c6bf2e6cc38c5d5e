"""Tells those who look at the processes of the sandbox whether kernels hold what code has left in them."""

import ctypes
from pathlib import Path
from typing import Any

NAME = b"kernels-in-use"
"""The name of the server's process while they do. A snapshot keeps files alone, and is refused then."""
PR_SET_NAME = 15


class KernelsInUse:
    """The kernels that have run code. Made and used by the thread that the process is known by."""

    def __init__(self) -> None:
        self._usual = Path("/proc/self/comm").read_bytes().rstrip(b"\n")
        self._kernels: set[Any] = set()

    def note(self, kernel: object, is_used: bool) -> None:
        """A kernel is about to run code, or has ended."""
        before = bool(self._kernels)
        if is_used:
            self._kernels.add(kernel)
        else:
            self._kernels.discard(kernel)
        if before != bool(self._kernels):
            ctypes.CDLL(None).prctl(PR_SET_NAME, NAME if self._kernels else self._usual)
