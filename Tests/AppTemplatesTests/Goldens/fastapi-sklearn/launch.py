"""Starts the app on 127.0.0.1:$PORT: `python launch.py`.

Quicker to its first answer than `uvicorn app:app`, which serves the same app just as well.
"""

import errno
import gc
import os
import signal
import socket
import sys

DEFAULT_PORT = 49999
KEEP_ALIVE_SECONDS = 75  # longer than clients keep idle connections, so that they close first
SHUTDOWN_SECONDS = 25  # what requests in flight are given at the end
BACKLOG = 2048


def listen(port: int) -> socket.socket:
    """A listening socket; connections wait in its backlog until the app answers them."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(BACKLOG)
    return listener


def import_fastapi_quickly() -> None:
    """Imports FastAPI without building the models of its documentation, which are built when first asked for."""
    try:
        from pydantic import BaseModel

        BaseModel.model_config["defer_build"] = True
        try:
            import fastapi  # noqa: F401
        finally:
            BaseModel.model_config.pop("defer_build", None)
    except ImportError:
        raise
    except Exception as error:
        print(f"starting without deferred models: {error}", file=sys.stderr)


def main() -> int:
    """Serves until SIGTERM and gives the exit code."""
    gc.disable()  # nothing made while starting is garbage; the app turns it on when the model is loaded
    port = int(os.environ.get("PORT") or DEFAULT_PORT)
    try:
        listener = listen(port)
    except OSError as error:
        print(f"cannot listen on 127.0.0.1:{port}: {error.strerror}", file=sys.stderr)
        return 98 if error.errno == errno.EADDRINUSE else 1
    # uvicorn repeats the signal that ended it, after its orderly shutdown
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, lambda *_: None)
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import_fastapi_quickly()
    import uvicorn

    from app import app

    revision = os.environ.get("BERTH_REVISION")
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        headers=[("X-Berth-Revision", revision)] if revision else [],
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    server = uvicorn.Server(config)
    server.run(sockets=[listener])
    return 0 if server.started else 1


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a prediction or a load that still runs must not hold the end up
