"""The HTTP side: E2B's protocol of the code interpreter."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from .context import Busy, Context, Execution
from .contexts import Contexts, Unknown
from .kernel import KernelFailed
from .languages import Refused

BODY_LIMIT = 16 << 20
"""Bytes of a request."""
KEEPALIVE_INTERVAL = 5.0
"""Seconds of silence after which the client is told that there is nothing to tell."""
KEEPALIVE = b'{"type":"keepalive"}\n'
STATUS = {Refused: 400, Unknown: 404, Busy: 429, KernelFailed: 500}
"""How failures are answered."""


class Events(Response):
    """The events of an execution, one line each, as they come."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        super().__init__(media_type="application/x-ndjson", headers={"Cache-Control": "no-store"})
        # It is not known ahead.
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        watch = asyncio.create_task(self._wait_for_end(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            while (lines := await self._execution.outbox.take(KEEPALIVE_INTERVAL)) is not None:
                await send({"type": "http.response.body", "body": lines or KEEPALIVE, "more_body": True})
                # Neither waits while there is something to send, and it has to be heard that the client is gone.
                await asyncio.sleep(0)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except OSError:
            pass  # the client is gone
        finally:
            # Without effect when it has ended.
            self._execution.abandon()
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    async def _wait_for_end(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._execution.abandon()


def application(contexts: Contexts) -> Starlette:
    """The server of these contexts, which have been started."""

    def answering(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except tuple(STATUS) as error:
                return PlainTextResponse(str(error), status_code=STATUS[type(error)])
            except ClientDisconnect:
                return Response(status_code=400)

        return answer

    async def health(_: Request) -> Response:
        return JSONResponse("OK")

    async def execute(request: Request) -> Response:
        body = await read_object(request)
        code, identifier, language = body.get("code"), text(body, "context_id"), text(body, "language")
        if not isinstance(code, str):
            raise Refused("The field 'code' has to be text")
        if identifier is not None and language is not None:
            raise Refused("Only one of context_id or language can be provided")
        execution = Execution(code, variables(body), request.headers.get("X-Access-Token"))
        await contexts.execute(execution, identifier, language)
        return Events(execution)

    async def create(request: Request) -> Response:
        body = await read_object(request)
        name = contexts.languages.normalized(text(body, "language"))
        return JSONResponse(described(await contexts.create(name, text(body, "cwd"))))

    async def listing(_: Request) -> Response:
        return JSONResponse([described(context) for context in contexts.all()])

    async def restart(request: Request) -> Response:
        await contexts.find(request.path_params["identifier"]).restart()
        return JSONResponse(None)

    async def remove(request: Request) -> Response:
        await contexts.remove(request.path_params["identifier"])
        return JSONResponse(None)

    routes = [
        Route("/health", answering(health), methods=["GET"]),
        Route("/execute", answering(execute), methods=["POST"]),
        Route("/contexts", answering(create), methods=["POST"]),
        Route("/contexts", answering(listing), methods=["GET"]),
        Route("/contexts/{identifier}/restart", answering(restart), methods=["POST"]),
        Route("/contexts/{identifier}", answering(remove), methods=["DELETE"]),
    ]
    return Starlette(routes=routes)


def described(context: Context) -> dict[str, str]:
    """A context as clients see it."""
    return {"id": context.id, "language": context.language.name, "cwd": context.cwd}


async def read_object(request: Request) -> dict[str, Any]:
    """The body as an object; none is an empty one."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > BODY_LIMIT:
            raise Refused(f"The request has more than {BODY_LIMIT} bytes")
    try:
        value = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise Refused(f"The body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Refused("The body is not a JSON object")
    return value


def text(body: dict[str, Any], name: str) -> str | None:
    """A field that may be absent, null or empty."""
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise Refused(f"The field {name!r} has to be text")
    return value or None


def variables(body: dict[str, Any]) -> dict[str, str]:
    """The variables for one execution."""
    value = body.get("env_vars") or {}
    if not isinstance(value, dict) or not all(isinstance(item, str) and "\0" not in item for item in value.values()):
        raise Refused("The field 'env_vars' has to be an object of text")
    return {str(name): item for name, item in value.items()}
