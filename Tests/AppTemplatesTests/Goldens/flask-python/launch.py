"""Starts the app on 127.0.0.1:$PORT: `python launch.py`.

Several times quicker per request than `flask run`, which serves the same app just as well.
"""

import errno
import gc
import os
import socket
import sys
from pathlib import Path

DEFAULT_PORT = 49999
BACKLOG = 2048
SHUTDOWN_SECONDS = 25  # what requests in flight are given at the end


def check_port(port: int) -> None:
    """Raises OSError when something else listens on the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))


def main() -> int:
    """Serves until SIGTERM and gives the exit code."""
    gc.disable()  # nothing made while starting is garbage; the app turns it on when the model is loaded
    port = int(os.environ.get("PORT") or DEFAULT_PORT)
    try:
        check_port(port)
    except OSError as error:
        print(f"cannot listen on 127.0.0.1:{port}: {error.strerror}", file=sys.stderr)
        return 98 if error.errno == errno.EADDRINUSE else 1
    from granian import Granian
    from granian.constants import HTTPModes, Interfaces
    from granian.log import LogLevels

    # One worker that is not started again: its end ends this process, so that it is seen. One thread, because several
    # would fight for the interpreter.
    server = Granian(
        "app:app",
        address="127.0.0.1",
        port=port,
        interface=Interfaces.WSGI,
        blocking_threads=1,
        http=HTTPModes.http1,
        websockets=False,
        backlog=BACKLOG,
        log_level=LogLevels.warning,
        working_dir=Path(__file__).resolve().parent,
        workers_kill_timeout=SHUTDOWN_SECONDS,
    )
    server.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
