"""Serves the code interpreter: `python serve.py [PORT]`, 49999 unless told otherwise, on the loopback.

It listens from the first moment and answers once code can be run, so that whoever connects need not try again.
"""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

PORT = 49999
"""The port that E2B's SDKs ask for."""
BACKLOG = 256
"""Connections that may wait before it answers."""
STOP_GRACE = 2
"""Seconds that requests have when it is told to stop."""
IDLE_LIMIT = 120
"""Seconds after which an unused connection is closed; longer than those who keep them do."""


def load() -> tuple[Any, Any]:
    """Imports what answers requests."""
    import uvicorn

    from berth_interpreter.app import application

    return uvicorn, application


async def serve(listener: socket.socket) -> None:
    """Serves until it is told to stop."""
    from berth_interpreter.contexts import Contexts

    contexts = Contexts(Path(os.environ.get("HOME") or "/home/user"))
    try:
        # While the first kernel starts.
        starting = asyncio.create_task(contexts.start())
        uvicorn, application = await asyncio.to_thread(load)
        app = application(contexts)
        await starting
        configuration = uvicorn.Config(
            app,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            access_log=False,
            log_level="warning",
            server_header=False,
            timeout_keep_alive=IDLE_LIMIT,
            timeout_graceful_shutdown=STOP_GRACE,
        )
        await uvicorn.Server(configuration).serve(sockets=[listener])
    finally:
        await contexts.close()


def main() -> None:
    """Listens, says where, and serves."""
    # Kernels inherit it, and are interrupted by signals.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    port = int(sys.argv[1]) if len(sys.argv) > 1 else PORT
    listener = socket.create_server(("127.0.0.1", port), backlog=BACKLOG)
    # Its connections inherit it: small events are not to wait for one another's acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(f"listening on {listener.getsockname()[1]}", flush=True)
    # Until the server takes it over; kernels end with us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    asyncio.run(serve(listener))


if __name__ == "__main__":
    main()
