"""What waits to be sent to a client."""

import asyncio
import collections
import json
import math
from collections.abc import Callable
from typing import Any

HIGH_WATER = 8 << 20
"""Bytes that wait before the producer is stopped."""
LOW_WATER = 1 << 20
"""Bytes that wait when it goes on."""
SEND_SIZE = 256 << 10
"""Bytes that are sent at once, unless a single line is longer."""


def finite(value: Any) -> Any:
    """The value without numbers that JSON does not know, and with keys that are text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def encode(event: dict[str, Any]) -> bytes:
    """An event as its line."""
    try:
        text = json.dumps(event, allow_nan=False, separators=(",", ":"))
    except ValueError:
        text = json.dumps(finite(event), allow_nan=False, separators=(",", ":"))
    return text.encode() + b"\n"


class Outbox:
    """Lines for one client, who may be slower than the kernel: its producer is stopped then, so that nothing is lost
    and memory stays bounded."""

    def __init__(self) -> None:
        self._lines: collections.deque[bytes] = collections.deque()
        self._size = 0
        self._changed = asyncio.Event()
        self._closed = False
        self._throttle: Callable[[bool], None] | None = None
        self._stopped = False

    def feed_from(self, throttle: Callable[[bool], None] | None) -> None:
        """Names the producer, which is told to stop (True) and to go on (False); None when it has finished."""
        if self._stopped and self._throttle is not None:
            self._throttle(False)
        self._stopped = False
        self._throttle = throttle

    def put(self, event: dict[str, Any]) -> None:
        """Adds an event; nothing happens once the client is gone."""
        if self._closed:
            return
        line = encode(event)
        self._lines.append(line)
        self._size += len(line)
        self._changed.set()
        if self._size > HIGH_WATER and not self._stopped and self._throttle is not None:
            self._stopped = True
            self._throttle(True)

    def close(self, discarding: bool = False) -> None:
        """No more is added; what waits is still sent, unless nobody is there to read it."""
        self._closed = True
        if discarding:
            self._lines.clear()
            self._size = 0
            self._go_on()
        self._changed.set()

    async def take(self, patience: float) -> bytes | None:
        """What to send next, empty after that many seconds of silence, or None at the end."""
        if not self._lines and not self._closed:
            self._changed.clear()
            try:
                async with asyncio.timeout(patience):
                    await self._changed.wait()
            except TimeoutError:
                return b""
        if not self._lines:
            return None
        taken = [self._lines.popleft()]
        size = len(taken[0])
        while self._lines and size + len(self._lines[0]) <= SEND_SIZE:
            taken.append(self._lines.popleft())
            size += len(taken[-1])
        self._size -= size
        if self._size <= LOW_WATER:
            self._go_on()
        return b"".join(taken)

    def _go_on(self) -> None:
        if self._stopped and self._throttle is not None:
            self._stopped = False
            self._throttle(False)
