"""The asynchronous client: what it does differently."""

import asyncio

import pytest
from e2b import AsyncSandbox, FilesystemEventType, TimeoutException
from e2b.exceptions import NotFoundException


async def made(**options: object) -> AsyncSandbox:
    return await AsyncSandbox.create(timeout=120, **options)


async def test_the_round_trip() -> None:
    sandbox = await made(metadata={"kind": "async"})
    try:
        assert await sandbox.is_running()
        assert (await sandbox.get_info()).metadata == {"kind": "async"}
        await sandbox.files.write("a", "b")
        assert await sandbox.files.read("a") == "b"
        assert (await sandbox.commands.run("cat a")).stdout == "b"
        handle = await sandbox.commands.run("sleep 1000", background=True, timeout=0)
        assert await sandbox.commands.kill(handle.pid)
        await sandbox.set_timeout(60)
        await sandbox.pause()
        again = await AsyncSandbox.connect(sandbox.sandbox_id)
        assert await again.files.read("a") == "b"
    finally:
        assert await sandbox.kill()
    with pytest.raises(NotFoundException):
        await sandbox.get_info()


async def test_watching_streams_events() -> None:
    sandbox = await made()
    try:
        await sandbox.files.make_dir("w")
        seen: asyncio.Queue[object] = asyncio.Queue()
        handle = await sandbox.files.watch_dir("w", on_event=seen.put_nowait)
        await sandbox.files.write("w/x", "y")
        types = [(await asyncio.wait_for(seen.get(), 20)).type for _ in range(3)]
        assert types == [
            FilesystemEventType.CREATE,
            FilesystemEventType.CHMOD,
            FilesystemEventType.WRITE,
        ]
        await handle.stop()
    finally:
        await sandbox.kill()


async def test_many_commands_at_once() -> None:
    sandbox = await made()
    try:
        done = await asyncio.gather(*[sandbox.commands.run(f"echo {n}") for n in range(50)])
        assert [one.stdout for one in done] == [f"{n}\n" for n in range(50)]
    finally:
        await sandbox.kill()


async def test_killing_the_sandbox_ends_a_command_that_runs() -> None:
    sandbox = await made()
    handle = await sandbox.commands.run("sleep 1000", background=True, timeout=0)
    waiting = asyncio.create_task(handle.wait())
    await asyncio.sleep(0)
    await sandbox.kill()
    with pytest.raises(TimeoutException):
        await asyncio.wait_for(waiting, 30)
