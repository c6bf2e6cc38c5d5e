"""The control plane: every call about sandboxes, sync."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from conftest import VERSION, newest
from e2b import ConnectionConfig, NotFoundException, Sandbox, SandboxQuery, SandboxState
from e2b.api.client_sync import get_api_client
from e2b.exceptions import AuthenticationException, RateLimitException, SandboxException


def everything(**options: object) -> list[object]:
    paginator = Sandbox.list(**options)
    found = []
    while paginator.has_next:
        found += paginator.next_items()
    return found


def test_a_new_sandbox_is_running_and_knows_itself(sandbox: Sandbox) -> None:
    assert sandbox.is_running()
    info = sandbox.get_info()
    assert info.sandbox_id == sandbox.sandbox_id
    assert sandbox.sandbox_id.isalnum() and sandbox.sandbox_id == sandbox.sandbox_id.lower()
    assert info.state == SandboxState.RUNNING
    assert info.template_id
    assert timedelta(seconds=100) < info.end_at - datetime.now(UTC) <= timedelta(seconds=121)
    assert info.cpu_count >= 1 and info.memory_mb >= 1


def test_metadata_and_variables_are_kept() -> None:
    sandbox = Sandbox.create(timeout=60, metadata={"k y": "v/1 &="}, envs={"COLOUR": "blue sea"})
    try:
        assert sandbox.get_info().metadata == {"k y": "v/1 &="}
        assert sandbox.commands.run("echo $COLOUR").stdout == "blue sea\n"
        assert sandbox.commands.run("echo $COLOUR", envs={"COLOUR": "red"}).stdout == "red\n"
        assert sandbox.commands.run("echo $E2B_SANDBOX_ID").stdout.strip() == sandbox.sandbox_id
        assert sandbox.commands.run("echo $E2B_SANDBOX").stdout.strip() == "true"
    finally:
        sandbox.kill()


def test_kill_is_true_once_and_false_afterwards(sandbox: Sandbox) -> None:
    assert sandbox.kill() is True
    assert sandbox.kill() is False
    assert Sandbox.kill(sandbox.sandbox_id) is False
    assert not sandbox.is_running()
    with pytest.raises(NotFoundException):
        sandbox.get_info()


def test_the_end_can_be_moved_both_ways(sandbox: Sandbox) -> None:
    sandbox.set_timeout(300)
    assert sandbox.get_info().end_at - datetime.now(UTC) > timedelta(seconds=290)
    sandbox.set_timeout(30)
    assert sandbox.get_info().end_at - datetime.now(UTC) <= timedelta(seconds=31)


def test_connecting_only_extends(sandbox: Sandbox) -> None:
    before = sandbox.get_info().end_at
    again = Sandbox.connect(sandbox.sandbox_id, timeout=10)
    assert again.sandbox_id == sandbox.sandbox_id
    assert again.get_info().end_at == before
    assert again.commands.run("echo hello").stdout == "hello\n"
    Sandbox.connect(sandbox.sandbox_id, timeout=600)
    assert sandbox.get_info().end_at > before + timedelta(seconds=400)


def test_a_sandbox_ends_when_its_time_is_over() -> None:
    sandbox = Sandbox.create(timeout=1)
    limit = time.monotonic() + 20
    while sandbox.is_running():
        assert time.monotonic() < limit
    with pytest.raises(NotFoundException):
        sandbox.get_info()


def test_lists_are_filtered_and_paged() -> None:
    mark = f"mark-{time.monotonic_ns()}"
    made = [Sandbox.create(timeout=120, metadata={"mark": mark, "n u": f"v {n}"}) for n in range(3)]
    try:
        found = everything(query=SandboxQuery(metadata={"mark": mark}))
        assert [one.sandbox_id for one in found] == [one.sandbox_id for one in reversed(made)]
        one = everything(query=SandboxQuery(metadata={"mark": mark, "n u": "v 1"}))
        assert [row.sandbox_id for row in one] == [made[1].sandbox_id]
        pages = Sandbox.list(query=SandboxQuery(metadata={"mark": mark}), limit=1)
        seen = []
        while pages.has_next:
            page = pages.next_items()
            assert len(page) <= 1
            seen += [row.sandbox_id for row in page]
        assert seen == [one.sandbox_id for one in reversed(made)]
        made[0].pause() if hasattr(made[0], "pause") else made[0].beta_pause()
        paused = everything(query=SandboxQuery(metadata={"mark": mark}, state=[SandboxState.PAUSED]))
        assert [row.sandbox_id for row in paused] == [made[0].sandbox_id]
        running = everything(query=SandboxQuery(metadata={"mark": mark}, state=[SandboxState.RUNNING]))
        assert len(running) == 2
        assert everything(query=SandboxQuery(metadata={"mark": "nobody"})) == []
    finally:
        for one in made:
            one.kill()


def test_pause_keeps_processes_and_files_and_connect_resumes(sandbox: Sandbox) -> None:
    sandbox.files.write("kept.txt", "before")
    counting = sandbox.commands.run("sleep 1000", background=True, timeout=0)
    boot = sandbox.files.read("/proc/sys/kernel/random/boot_id")
    sandbox.pause()
    assert sandbox.get_info().state == SandboxState.PAUSED
    assert not sandbox.is_running()
    again = Sandbox.connect(sandbox.sandbox_id, timeout=120)
    assert again.is_running()
    assert again.files.read("kept.txt") == "before"
    assert again.files.read("/proc/sys/kernel/random/boot_id") == boot
    assert counting.pid in [process.pid for process in again.commands.list()]
    assert again.commands.kill(counting.pid)


def pause_mode(sandbox: Sandbox) -> object:
    """What the control plane says of a pause, which the SDK's own class does not tell."""
    from e2b.api.client.api.sandboxes import get_sandboxes_sandbox_id

    client = get_api_client(ConnectionConfig())
    detail = get_sandboxes_sandbox_id.sync(sandbox.sandbox_id, client=client)
    return detail.to_dict().get("pauseMode")


# What the newest SDK calls a mode.
FILES_ALONE = {"mode": "filesystem"} if VERSION >= (2, 63, 0) else {"keep_memory": False}


def test_a_pause_of_files_alone_starts_anew() -> None:
    sandbox = Sandbox.create(timeout=120, metadata={"who": "me"}, envs={"COLOUR": "blue"})
    try:
        sandbox.files.write("kept.txt", "before")
        counting = sandbox.commands.run("sleep 1000", background=True, timeout=0)
        assert pause_mode(sandbox) is None
        sandbox.pause(**FILES_ALONE)
        assert sandbox.get_info().state == SandboxState.PAUSED
        assert pause_mode(sandbox) == "filesystem"
        assert not sandbox.is_running()
        for call in (sandbox.create_snapshot, sandbox.fork):
            with pytest.raises(SandboxException, match="paused"):
                call()
        again = Sandbox.connect(sandbox.sandbox_id, timeout=120)
        assert again.is_running()
        assert again.files.read("kept.txt") == "before"
        assert counting.pid not in [process.pid for process in again.commands.list()]
        assert again.commands.run("pgrep -c sleep; echo $COLOUR").stdout == "0\nblue\n"
        assert again.get_info().metadata == {"who": "me"}
        assert pause_mode(again) is None
        # The first object is as good as before: neither id nor token has changed.
        assert sandbox.files.read("kept.txt") == "before"
    finally:
        Sandbox.kill(sandbox.sandbox_id)


@newest("resumption from the files", (2, 63, 0))
def test_a_full_pause_can_be_resumed_from_its_files(sandbox: Sandbox) -> None:
    sandbox.files.write("kept.txt", "before")
    counting = sandbox.commands.run("sleep 1000", background=True, timeout=0)
    sandbox.pause()
    assert pause_mode(sandbox) == "full"
    anew = Sandbox.connect(sandbox.sandbox_id, timeout=120, on_resume="reboot")
    assert anew.files.read("kept.txt") == "before"
    assert counting.pid not in [process.pid for process in anew.commands.list()]


def test_a_sandbox_can_keep_its_files_alone_at_its_end() -> None:
    sandbox = Sandbox.create(timeout=60, lifecycle={"on_timeout": {"action": "pause"} | FILES_ALONE})
    try:
        sandbox.files.write("kept.txt", "before")
        sandbox.set_timeout(1)
        limit = time.monotonic() + 20
        while pause_mode(sandbox) != "filesystem":
            assert time.monotonic() < limit
        assert not sandbox.is_running()
        assert sandbox.get_info().state == SandboxState.PAUSED
        assert Sandbox.connect(sandbox.sandbox_id, timeout=60).files.read("kept.txt") == "before"
    finally:
        Sandbox.kill(sandbox.sandbox_id)


def test_pausing_twice_is_no_error(sandbox: Sandbox) -> None:
    sandbox.pause()
    sandbox.pause()
    assert sandbox.kill() is True


def test_a_sandbox_can_pause_at_its_end() -> None:
    sandbox = Sandbox.create(timeout=1, lifecycle={"on_timeout": "pause"})
    try:
        limit = time.monotonic() + 20
        while sandbox.get_info().state != SandboxState.PAUSED:
            assert time.monotonic() < limit
        assert Sandbox.connect(sandbox.sandbox_id, timeout=60).commands.run("echo back").stdout == "back\n"
    finally:
        Sandbox.kill(sandbox.sandbox_id)


def test_traffic_resumes_where_that_is_wanted() -> None:
    sandbox = Sandbox.create(timeout=60, lifecycle={"on_timeout": "pause", "auto_resume": True})
    try:
        sandbox.pause()
        assert sandbox.commands.run("echo awake").stdout == "awake\n"
        assert sandbox.get_info().state == SandboxState.RUNNING
    finally:
        sandbox.kill()


def test_metrics_come_with_time(sandbox: Sandbox) -> None:
    limit = time.monotonic() + 30
    while not (metrics := sandbox.get_metrics()):
        assert time.monotonic() < limit
        time.sleep(0.2)
    assert metrics[0].cpu_count >= 1
    assert metrics[0].mem_total > 0 and metrics[0].disk_total > 0
    assert sandbox.get_metrics(start=datetime.now(UTC) + timedelta(hours=1)) == []


def test_unknown_sandboxes_are_not_found() -> None:
    nobody = "i" + "0" * 20
    for call in (
        lambda: Sandbox.connect(nobody),
        lambda: Sandbox.get_info(nobody),
        lambda: Sandbox.set_timeout(nobody, 10),
        lambda: Sandbox.get_metrics(nobody),
    ):
        with pytest.raises(NotFoundException):
            call()
    assert Sandbox.kill(nobody) is False


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(SandboxException, match="(?i)timeout"):
        Sandbox.create(timeout=-1)
    with pytest.raises(SandboxException, match="(?i)not found|exist"):
        Sandbox.create("no-such-template")
    with pytest.raises(SandboxException, match="(?i)timeout"):
        Sandbox.create(timeout=10_000_000)


def test_the_network_can_be_closed_and_opened(sandbox: Sandbox) -> None:
    sandbox.update_network({"deny_out": ["0.0.0.0/0"]})
    assert sandbox.get_info().network["deny_out"] == ["0.0.0.0/0"]
    sandbox.update_network({})
    assert not (sandbox.get_info().network or {}).get("deny_out")


def test_a_wrong_key_is_told_apart_from_everything_else() -> None:
    with pytest.raises(AuthenticationException):
        Sandbox.create(api_key="e2b_" + "0" * 40)


def test_fifty_sandboxes_at_once_and_not_one_more() -> None:
    with ThreadPoolExecutor(50) as pool:
        made = list(pool.map(lambda _: Sandbox.create(timeout=120), range(50)))
        try:
            assert len({one.sandbox_id for one in made}) == 50
            said = list(
                pool.map(
                    lambda one: one.commands.run("echo $E2B_SANDBOX_ID").stdout.strip(),
                    made,
                )
            )
            assert said == [one.sandbox_id for one in made]
            # The server was told to run no more than these.
            with pytest.raises(RateLimitException, match="maximum number"):
                Sandbox.create(timeout=120)
        finally:
            assert all(pool.map(lambda one: one.kill(), made))
