"""What every test of the official SDK begins with. The environment says where the server is; nothing else does."""

import importlib.metadata
from collections.abc import Iterator

import pytest
from e2b import Sandbox

VERSION = tuple(int(part) for part in importlib.metadata.version("e2b").split(".")[:3])


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox of its own, killed afterwards, whatever the test left of it."""
    made = Sandbox.create(timeout=120)
    try:
        yield made
    finally:
        Sandbox.kill(made.sandbox_id)


def newest(reason: str, since: tuple[int, int, int]) -> pytest.MarkDecorator:
    """Skips a test on an SDK that does not have the call yet."""
    return pytest.mark.skipif(since > VERSION, reason=f"this SDK has no {reason}")
