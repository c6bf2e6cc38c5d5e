"""Processes and terminals."""

import threading
import time

import pytest
from conftest import newest
from e2b import (
    CommandExitException,
    NotFoundException,
    PtySize,
    Sandbox,
    TimeoutException,
)
from e2b.exceptions import (
    AuthenticationException,
    InvalidArgumentException,
    SandboxException,
)


def test_output_and_exit_codes(sandbox: Sandbox) -> None:
    done = sandbox.commands.run("echo out; echo err >&2")
    assert (done.stdout, done.stderr, done.exit_code, done.error) == (
        "out\n",
        "err\n",
        0,
        None,
    )
    with pytest.raises(CommandExitException) as failure:
        sandbox.commands.run("echo gone; exit 3")
    assert failure.value.exit_code == 3 and failure.value.stdout == "gone\n"


def test_output_is_streamed(sandbox: Sandbox) -> None:
    seen: list[str] = []
    errors: list[str] = []
    sandbox.commands.run(
        "for n in 1 2 3; do echo $n; echo e$n >&2; done",
        on_stdout=seen.append,
        on_stderr=errors.append,
    )
    assert "".join(seen) == "1\n2\n3\n" and "".join(errors) == "e1\ne2\ne3\n"


def test_characters_of_several_bytes_survive(sandbox: Sandbox) -> None:
    text = "żółć 漢字 🙂" * 2000
    sandbox.files.write("text", text)
    assert sandbox.commands.run("cat text").stdout == text


def test_folder_user_and_variables(sandbox: Sandbox) -> None:
    assert sandbox.commands.run("pwd").stdout == "/home/user\n"
    assert sandbox.commands.run("pwd", cwd="/tmp").stdout == "/tmp\n"
    assert sandbox.commands.run("id -un").stdout == "user\n"
    assert sandbox.commands.run("echo $A-$B", envs={"A": "1", "B": "2 3"}).stdout == "1-2 3\n"
    with pytest.raises(InvalidArgumentException, match="does not exist"):
        sandbox.commands.run("pwd", cwd="/nowhere")
    with pytest.raises(AuthenticationException):
        sandbox.commands.run("pwd", user="stranger")


def test_root_where_the_machine_grants_ids(sandbox: Sandbox) -> None:
    try:
        assert sandbox.commands.run("id -un", user="root").stdout == "root\n"
        assert sandbox.commands.run("sudo id -u").stdout == "0\n"
    except AuthenticationException:
        pytest.skip("sandboxes have one user here")


def test_background_commands_wait_list_and_kill(sandbox: Sandbox) -> None:
    quick = sandbox.commands.run("sleep 0.1; echo done", background=True)
    assert quick.wait().stdout == "done\n"
    slow = sandbox.commands.run("sleep 1000", background=True, timeout=0)
    assert slow.pid in [process.pid for process in sandbox.commands.list()]
    assert slow.kill() is True
    with pytest.raises(CommandExitException):
        slow.wait()
    assert sandbox.commands.kill(slow.pid) is False


def test_input_reaches_a_command(sandbox: Sandbox) -> None:
    cat = sandbox.commands.run("cat", background=True, stdin=True, timeout=0)
    heard: list[str] = []
    ended = threading.Thread(target=lambda: heard.append(cat.wait().stdout))
    ended.start()
    sandbox.commands.send_stdin(cat.pid, "one\n")
    sandbox.commands.send_stdin(cat.pid, "two\n")
    if hasattr(sandbox.commands, "close_stdin"):
        sandbox.commands.close_stdin(cat.pid)
        ended.join(20)
        assert heard == ["one\ntwo\n"]
    else:
        cat.kill()
        ended.join(20)


@newest("stream_input", (2, 60, 0))
def test_input_can_be_streamed(sandbox: Sandbox) -> None:
    count = sandbox.commands.run("wc -c", background=True, stdin=True, timeout=0)
    sandbox.commands.stream_input(count.pid, (b"x" * 1000 for _ in range(100)))
    sandbox.commands.close_stdin(count.pid)
    assert count.wait().stdout.strip() == "100000"


def test_a_command_can_be_found_again(sandbox: Sandbox) -> None:
    first = sandbox.commands.run("read line; echo got $line", background=True, stdin=True, timeout=0)
    first.disconnect()
    again = sandbox.commands.connect(first.pid)
    sandbox.commands.send_stdin(first.pid, "it\n")
    assert again.wait().stdout == "got it\n"
    with pytest.raises(NotFoundException):
        sandbox.commands.send_stdin(999_999, "x")
    with pytest.raises(SandboxException):
        sandbox.commands.connect(999_999)


def test_a_command_has_its_time(sandbox: Sandbox) -> None:
    with pytest.raises(TimeoutException):
        sandbox.commands.run("sleep 1000", timeout=1)


def test_killing_the_sandbox_ends_a_command_that_runs() -> None:
    sandbox = Sandbox.create(timeout=60)
    handle = sandbox.commands.run("sleep 1000", background=True, timeout=0)
    threading.Timer(0.3, sandbox.kill).start()
    with pytest.raises(TimeoutException, match="(?i)killed|end of life|not found|not running|timeout"):
        handle.wait()


def test_a_thousand_lines_come_in_order(sandbox: Sandbox) -> None:
    assert sandbox.commands.run("seq 100000").stdout == "".join(f"{n}\n" for n in range(1, 100001))


def test_a_terminal(sandbox: Sandbox) -> None:
    output: list[bytes] = []
    terminal = sandbox.pty.create(PtySize(cols=80, rows=24), timeout=0)
    reader = threading.Thread(target=lambda: terminal.wait(on_pty=output.append), daemon=True)
    reader.start()

    def until(text: bytes) -> None:
        limit = time.monotonic() + 20
        while text not in b"".join(output):
            assert time.monotonic() < limit, b"".join(output)
            time.sleep(0.02)

    sandbox.pty.send_stdin(terminal.pid, b"stty size\n")
    until(b"24 80")
    sandbox.pty.resize(terminal.pid, PtySize(cols=100, rows=30))
    sandbox.pty.send_stdin(terminal.pid, b"stty size; echo $TERM\n")
    until(b"30 100")
    until(b"xterm-256color")
    assert sandbox.pty.kill(terminal.pid) is True
    reader.join(20)
    assert not reader.is_alive()
    assert sandbox.pty.kill(terminal.pid) is False
