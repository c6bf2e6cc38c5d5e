"""The asynchronous client: every call, and what it does differently."""

import asyncio
import urllib.parse

import pytest
from conftest import newest
from e2b import AsyncSandbox, FilesystemEventType, SandboxQuery, TimeoutException
from e2b.exceptions import NotFoundException
from e2b.sandbox.commands.command_handle import PtySize
from e2b.sandbox.filesystem.filesystem import WriteEntry


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


async def test_files() -> None:
    async with await made() as sandbox:
        files = sandbox.files
        await files.write_files([WriteEntry(path=f"many/{n}", data=f"{n}") for n in range(3)])
        assert sorted(entry.name for entry in await files.list("many")) == ["0", "1", "2"]
        assert bytes(await files.read("many/1", format="bytes")) == b"1"
        assert b"".join([part async for part in await files.read("many/2", format="stream")]) == b"2"
        assert await files.exists("many/0") and not await files.exists("many/9")
        assert (await files.get_info("many/0")).size == 1
        assert await files.make_dir("one/two") is True and await files.make_dir("one/two") is False
        assert (await files.rename("many/0", "one/two/zero")).path == "/home/user/one/two/zero"
        await files.remove("one")
        assert not await files.exists("one")
        with pytest.raises(NotFoundException):
            await files.read("one/two/zero")
        url = urllib.parse.urlsplit(sandbox.download_url("many/1"))
        assert urllib.parse.parse_qs(url.query)["signature"]
        assert sandbox.get_host(8000).startswith(f"8000-{sandbox.sandbox_id}.")


async def test_input_and_finding_again() -> None:
    async with await made() as sandbox:
        commands = sandbox.commands
        first = await commands.run("read line; echo got $line", background=True, stdin=True, timeout=0)
        assert first.pid in [process.pid for process in await commands.list()]
        await first.disconnect()
        again = await commands.connect(first.pid)
        await commands.send_stdin(first.pid, "it\n")
        assert (await again.wait()).stdout == "got it\n"
        assert await commands.kill(first.pid) is False


@newest("stream_input", (2, 60, 0))
async def test_input_can_be_streamed() -> None:
    async with await made() as sandbox:
        count = await sandbox.commands.run("wc -c", background=True, stdin=True, timeout=0)
        async with sandbox.commands.stream_input(count.pid) as writing:
            for _ in range(100):
                await writing.send(b"x" * 1000)
        await sandbox.commands.close_stdin(count.pid)
        assert (await count.wait()).stdout.strip() == "100000"


async def test_a_terminal() -> None:
    output = bytearray()
    changed = asyncio.Event()

    def take(part: bytes) -> None:
        output.extend(part)
        changed.set()

    async def until(text: bytes) -> None:
        while text not in output:
            changed.clear()
            await asyncio.wait_for(changed.wait(), 20)

    async with await made() as sandbox:
        terminal = await sandbox.pty.create(PtySize(cols=80, rows=24), on_data=take, timeout=0)
        await sandbox.pty.send_stdin(terminal.pid, b"stty size\n")
        await until(b"24 80")
        await sandbox.pty.resize(terminal.pid, PtySize(cols=100, rows=30))
        await sandbox.pty.send_stdin(terminal.pid, b"stty size\n")
        await until(b"30 100")
        assert await sandbox.pty.kill(terminal.pid) is True


async def test_the_control_plane() -> None:
    async with await made(metadata={"mark": "async"}) as sandbox:
        pages = AsyncSandbox.list(query=SandboxQuery(metadata={"mark": "async"}), limit=1)
        assert [row.sandbox_id for row in await pages.next_items()] == [sandbox.sandbox_id]
        assert not pages.has_next
        await sandbox.update_network({"deny_out": ["0.0.0.0/0"]})
        assert (await sandbox.get_info()).network["deny_out"] == ["0.0.0.0/0"]
        assert isinstance(await sandbox.get_metrics(), list)
        await sandbox.files.write("kept", "content")
        snapshot = await sandbox.create_snapshot()
        try:
            (fork,) = await sandbox.fork(timeout=60)
            assert await fork.files.read("kept") == "content"
            assert await fork.kill()
            known = await AsyncSandbox.list_snapshots(sandbox_id=sandbox.sandbox_id).next_items()
            assert [one.snapshot_id for one in known] == [snapshot.snapshot_id]
        finally:
            assert await AsyncSandbox.delete_snapshot(snapshot.snapshot_id) is True


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
