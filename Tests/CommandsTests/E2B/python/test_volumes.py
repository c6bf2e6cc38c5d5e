"""Volumes: made, mounted by several sandboxes, read and written from outside."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2b import AsyncSandbox, AsyncVolume, Sandbox, Volume
from e2b.exceptions import NotFoundException


@pytest.fixture
def volume() -> Iterator[Volume]:
    """A volume of its own, destroyed afterwards."""
    made = Volume.create(f"v-{time.monotonic_ns()}")
    try:
        yield made
    finally:
        Volume.destroy(made.volume_id)


def test_a_volume_is_made_found_listed_and_destroyed() -> None:
    name = f"v-{time.monotonic_ns()}"
    made = Volume.create(name)
    with pytest.raises(Exception, match="already exists"):
        Volume.create(name)
    with pytest.raises(Exception, match="name"):
        Volume.create("not/a name")
    assert Volume.connect(made.volume_id).token == made.token
    assert Volume.get_info(made.volume_id).name == name
    assert (made.volume_id, name) in [(one.volume_id, one.name) for one in Volume.list()]
    assert Volume.destroy(made.volume_id) is True
    assert Volume.destroy(made.volume_id) is False
    with pytest.raises(NotFoundException):
        Volume.get_info(made.volume_id)


def test_contents_are_written_read_listed_changed_and_removed(volume: Volume, tmp_path: Path) -> None:
    written = volume.write_file("/a/b.txt", "good day", force=True, mode=0o640)
    assert (written.path, written.size, written.mode & 0o777) == ("/a/b.txt", 8, 0o640)
    assert volume.read_file("/a/b.txt") == "good day"
    assert volume.read_file("a/b.txt", format="bytes") == b"good day"
    assert volume.make_dir("/d/e", force=True).type.value == "directory"
    assert [entry.path for entry in volume.list("/", depth=2)] == ["/a", "/a/b.txt", "/d", "/d/e"]
    assert [entry.name for entry in volume.list("/a")] == ["b.txt"]
    changed = volume.update_metadata("/a/b.txt", uid=0, gid=0, mode=0o600)
    assert (changed.uid, changed.gid, changed.mode & 0o777) == (0, 0, 0o600)
    assert volume.exists("/a/b.txt") is True
    assert abs(volume.get_info("/a/b.txt").mtime.timestamp() - time.time()) < 300
    volume.remove("/a")
    assert volume.exists("/a/b.txt") is False
    for call in (volume.read_file, volume.list, volume.remove, volume.get_info):
        with pytest.raises(NotFoundException):
            call("/a/b.txt")
    large = tmp_path / "large"
    large.write_bytes(bytes(range(256)) * (32 << 10))
    with large.open("rb") as file:
        assert volume.write_file("/large", file).size == 8 << 20
    with large.open("rb") as file, pytest.raises(Exception, match="exists already"):
        volume.write_file("/large", file)
    assert b"".join(volume.read_file("/large", format="stream")) == large.read_bytes()


def test_sandboxes_share_a_volume_that_outlives_them(volume: Volume) -> None:
    volume.write_file("/greeting", "hello")
    with (
        Sandbox.create(timeout=60, volume_mounts={"/mnt/data": volume}) as one,
        Sandbox.create(timeout=60, volume_mounts={"/home/user/data": volume.name}) as two,
    ):
        assert one.get_info().volume_mounts == [{"name": volume.name, "path": "/mnt/data"}]
        assert one.files.read("/mnt/data/greeting") == "hello"
        one.commands.run("echo from one >/mnt/data/one")
        assert two.files.read("/home/user/data/one") == "from one\n"
        with pytest.raises(Exception, match=f"{one.sandbox_id}|{two.sandbox_id}"):
            Volume.destroy(volume.volume_id)
        (fork,) = one.fork(timeout=60)
        try:
            fork.commands.run("echo from fork >/mnt/data/fork")
        finally:
            fork.kill()
        one.pause()
        two.files.write("/home/user/data/two", "while the other sleeps")
        again = Sandbox.connect(one.sandbox_id, timeout=60)
        assert again.files.read("/mnt/data/two") == "while the other sleeps"
    assert sorted(entry.name for entry in volume.list("/")) == ["fork", "greeting", "one", "two"]
    assert volume.read_file("/fork") == "from fork\n"


def test_snapshots_have_nothing_of_a_volume_and_leave_nothing_in_it(volume: Volume, sandbox: Sandbox) -> None:
    volume.write_file("/theirs", "x")
    sandbox.files.write("/home/user/data/mine", "y")
    own = sandbox.create_snapshot()
    try:
        mounts = {"/home/user/data": volume}
        with Sandbox.create(own.snapshot_id, timeout=60, volume_mounts=mounts) as other:
            assert [entry.name for entry in other.files.list("/home/user/data")] == ["theirs"]
            shared = other.create_snapshot()
        assert [entry.name for entry in volume.list("/")] == ["theirs"]
        with Sandbox.create(shared.snapshot_id, timeout=60) as later:
            assert later.files.exists("/home/user/data/theirs") is False
        Sandbox.delete_snapshot(shared.snapshot_id)
    finally:
        Sandbox.delete_snapshot(own.snapshot_id)


def test_mounts_that_cannot_be_are_refused(volume: Volume) -> None:
    with pytest.raises(Exception, match="no volume"):
        Sandbox.create(timeout=60, volume_mounts={"/mnt/data": "there-is-none"})
    for path in ("/", "/proc", "/etc/x", "relative", "/home/user"):
        with pytest.raises(Exception, match="mount"):
            Sandbox.create(timeout=60, volume_mounts={path: volume})


async def test_the_same_without_waiting() -> None:
    volume = await AsyncVolume.create(f"v-{time.monotonic_ns()}")
    try:
        sandbox = await AsyncSandbox.create(timeout=60, volume_mounts={"/mnt/data": volume})
        try:
            await sandbox.files.write("/mnt/data/file", "content")
            assert await volume.read_file("/file") == "content"
            await volume.write_file("/other", "more")
            assert await sandbox.files.read("/mnt/data/other") == "more"
        finally:
            await sandbox.kill()
        assert [entry.name for entry in await volume.list("/")] == ["file", "other"]
    finally:
        assert await AsyncVolume.destroy(volume.volume_id) is True
