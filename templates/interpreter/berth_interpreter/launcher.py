"""A kernel of ours: `python launcher.py LANGUAGE CONNECTION_FILE`. Runs in the interpreter of the user's code."""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

OURS = os.path.dirname(os.path.abspath(__file__))
# Our modules are none of the user's business.
if sys.path[:1] == [OURS]:
    del sys.path[0]
PR_SET_PDEATHSIG = 1
FLUSH_SIZE = 256 << 10
"""Characters that are written at most before they are sent, whatever the time."""
OUTPUT_LIMIT = 32
"""Messages of output that wait here, and as many at the server."""


def end_with_parent(parent: int) -> None:
    """Ends this process when the server does, however that ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


@contextlib.contextmanager
def variables(changes: dict[str, str]) -> Iterator[None]:
    """Sets variables of the environment for a while."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def bound(stream: Any) -> None:
    """Makes the writer of a stream wait for what it has written, once that is much."""
    waiting = 0
    write = stream.write

    def write_and_flush(text: str) -> Any:
        nonlocal waiting
        written = write(text)
        waiting += len(text)
        if waiting >= FLUSH_SIZE:
            waiting = 0
            stream.flush()
        return written

    stream.write = write_and_flush


def launch(language: str, connection_file: str) -> None:
    """Runs the kernel to its end."""
    import zmq
    from ipykernel.ipkernel import IPythonKernel
    from ipykernel.kernelapp import IPKernelApp
    from IPython.core.error import StdinNotImplementedError

    class PythonKernel(IPythonKernel):
        """Python, with what the server says about an execution beside its code."""

        async def do_execute(
            self,
            code: str,
            silent: bool,
            store_history: bool = True,
            user_expressions: dict[str, Any] | None = None,
            allow_stdin: bool = False,
            *,
            cell_meta: dict[str, Any] | None = None,
            cell_id: str | None = None,
        ) -> Any:
            settings = (cell_meta or {}).get("berth", {})
            os.environ.update(settings.get("shared", {}))
            if folder := settings.get("cwd"):
                with contextlib.suppress(OSError):
                    os.chdir(folder)
            with variables(settings.get("variables", {})):
                return await super().do_execute(
                    code, silent, store_history, user_expressions, allow_stdin, cell_meta=cell_meta, cell_id=cell_id
                )

        def raw_input(self, prompt: str = "") -> str:
            raise StdinNotImplementedError("input() is not supported: nobody is there to answer")

        def getpass(self, prompt: str = "", stream: Any = None, **_: Any) -> str:
            raise StdinNotImplementedError("getpass() is not supported: nobody is there to answer")

    class Application(IPKernelApp):
        """A kernel that rather waits than drops output that is not read as fast as it is written."""

        def init_iopub(self, context: Any) -> None:
            context.setsockopt(zmq.XPUB_NODROP, 1)
            context.setsockopt(zmq.SNDHWM, OUTPUT_LIMIT)
            super().init_iopub(context)

        def init_io(self) -> None:
            super().init_io()
            for stream in (sys.stdout, sys.stderr):
                bound(stream)

    Application.name = "interpreter"
    application = Application.instance(connection_file=connection_file)
    if language == "bash":
        from bash_kernel.kernel import BashKernel

        application.kernel_class = BashKernel
    else:
        application.kernel_class = PythonKernel
        application.config.InteractiveShell.colors = "nocolor"
        # What was typed is the client's to keep.
        application.config.HistoryManager.enabled = False
    application.initialize([])
    if language == "python":
        sys.path.append(os.path.dirname(OURS))
        try:
            from berth_interpreter.display import install
        finally:
            sys.path.pop()
        if application.shell is not None:
            install(application.shell)
        for name in ("berth_interpreter", "berth_interpreter.display"):
            sys.modules.pop(name, None)
    application.start()


if __name__ == "__main__":
    end_with_parent(os.getppid())
    arguments, sys.argv = sys.argv[1:3], sys.argv[:1]
    launch(*arguments)
