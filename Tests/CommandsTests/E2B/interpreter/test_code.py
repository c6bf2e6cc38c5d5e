"""The official SDK of the code interpreter, through the whole way: control plane, gateway, sandbox, kernel."""

import asyncio
from collections.abc import Iterator

import pytest
from e2b.exceptions import SandboxException
from e2b_code_interpreter import AsyncSandbox, Sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    # The packages are installed for the first sandbox.
    made = Sandbox.create(timeout=600, request_timeout=600)
    try:
        yield made
    finally:
        made.kill()


def test_cells_share_their_state(sandbox: Sandbox) -> None:
    sandbox.run_code("x = 20")
    assert sandbox.run_code("x + 1").text == "21"
    heard: list[str] = []
    sandbox.run_code("print('said')", on_stdout=lambda message: heard.append(message.line))
    assert "".join(heard) == "said\n"


def test_errors_are_told(sandbox: Sandbox) -> None:
    error = sandbox.run_code("1 / 0").error
    assert error is not None and error.name == "ZeroDivisionError" and "1 / 0" in error.traceback


def test_contexts_are_apart(sandbox: Sandbox) -> None:
    sandbox.run_code("mine = 1")
    context = sandbox.create_code_context()
    error = sandbox.run_code("mine", context=context).error
    assert error is not None and error.name == "NameError"
    assert context.id in [one.id for one in sandbox.list_code_contexts()]
    sandbox.remove_code_context(context)


def test_tables_and_figures(sandbox: Sandbox) -> None:
    done = sandbox.run_code("import matplotlib.pyplot as plt\nplt.plot([1, 2], [3, 4]); plt.show()")
    assert done.results[0].png and done.results[0].chart is not None
    table = sandbox.run_code("import pandas as pd\npd.DataFrame({'a': [1, 2]})")
    assert table.results[0].data == {"a": [1, 2]}


def test_variables_and_shell(sandbox: Sandbox) -> None:
    assert sandbox.run_code("import os; os.environ['ONE']", envs={"ONE": "1"}).text == "1"
    assert sandbox.run_code("echo from bash", language="bash").logs.stdout == ["from bash\n"]
    assert sandbox.commands.run("echo beside").stdout == "beside\n"


def test_a_snapshot_does_not_forget_variables_silently() -> None:
    with Sandbox.create(timeout=120) as sandbox:
        unused = sandbox.create_snapshot()
        assert Sandbox.delete_snapshot(unused.snapshot_id)
        sandbox.run_code("x = 1")
        for call in (sandbox.create_snapshot, sandbox.fork):
            with pytest.raises(SandboxException, match="code interpreter"):
                call()
        assert sandbox.run_code("x").text == "1"
        snapshot = sandbox.create_snapshot(mode="filesystem")
        with Sandbox.create(snapshot.snapshot_id, timeout=60) as other:
            error = other.run_code("x").error
            assert error is not None and error.name == "NameError"
        assert Sandbox.delete_snapshot(snapshot.snapshot_id)
        for context in sandbox.list_code_contexts():
            sandbox.restart_code_context(context)
        assert Sandbox.delete_snapshot(sandbox.create_snapshot().snapshot_id)


def test_a_pause_of_files_alone_keeps_what_code_wrote_and_not_what_it_held() -> None:
    with Sandbox.create(timeout=120) as sandbox:
        sandbox.run_code("x = 1\nopen('/home/user/kept.txt', 'w').write('before')")
        sandbox.pause(mode="filesystem")
        again = Sandbox.connect(sandbox.sandbox_id, timeout=120)
        assert again.run_code("open('/home/user/kept.txt').read()").text == "before"
        error = again.run_code("x").error
        assert error is not None and error.name == "NameError"


def test_asynchronous_clients() -> None:
    async def talk() -> str | None:
        sandbox = await AsyncSandbox.create(timeout=120)
        try:
            return (await sandbox.run_code("'async'")).text
        finally:
            await sandbox.kill()

    assert asyncio.run(talk()) == "async"
