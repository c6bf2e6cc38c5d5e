"""Serves one model over HTTP: POST /predict, GET /health, GET /info, and the documentation under /docs.

A request is {"input": …}; other keys are ignored. An answer is {"success": true, "prediction": …, "model_type": …},
with "confidence" where the model gives probabilities. The file is yours to change: add routes and middleware to `app`.
"""

import asyncio
import contextlib
import gc
import os
import statistics
import sys
import time
import traceback
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

if TYPE_CHECKING:
    from berth_model import Model

NAME = "iris"
MODEL_TYPE = "sklearn"
# A request body whose prediction is run while loading, to warm the model up and to learn how long it takes.
GOLDEN: str | None = '{"input":[5.1,3.5,1.4,0.2]}'

FOLDER = Path(__file__).resolve().parent
ENDPOINTS = ["/health", "/predict", "/info"]
MAX_BODY_BYTES = 16 << 20
MAX_WAITING = 256  # predictions queued for the worker thread; more are told to come back
POOL_SECONDS = 0.003  # predictions slower than this leave the event loop
INLINE_SECONDS = 0.001  # predictions quicker than this run on it
INLINE_BODY_BYTES = 64 << 10  # large batches never run on the event loop
STALL_SECONDS = 0.02  # an unknown function that took this long once stays on the worker thread
WINDOW = 32  # predictions measured before the place is chosen again
NOTHING = msgspec.UNSET


class Answer(msgspec.Struct, kw_only=True):
    """What /predict answers; a list of predictions has a list of confidences."""

    success: bool = True
    prediction: Any
    model_type: str = MODEL_TYPE
    confidence: float | list[float] | msgspec.UnsetType = NOTHING


class Failure(msgspec.Struct, kw_only=True):
    """What every failed request is answered with."""

    success: bool = False
    error: str


class Input(msgspec.Struct):
    """What /predict takes, until the model has said it more exactly."""

    input: Any


class Busy(Exception):
    """Too many predictions wait for the worker thread."""


class Gone(Exception):
    """The client hung up."""


def plain(value: Any) -> Any:
    """Turns what JSON does not know, as arrays and numbers of numpy and torch, into what it does."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError(f"a prediction of type {type(value).__name__} has no JSON form")


encode = msgspec.json.Encoder(enc_hook=plain).encode


def origin(module: Any) -> str:
    """The file of a module, without waking one that loads itself when it is touched."""
    with contextlib.suppress(Exception):
        return str(object.__getattribute__(module, "__dict__").get("__file__"))
    return ""


def note_imports() -> None:
    """Leaves the names of the loaded modules to those who prepare the next start."""
    if path := os.environ.get("BERTH_IMPORTS"):
        names = [name for name, module in list(sys.modules.items()) if not origin(module).startswith(str(FOLDER))]
        with contextlib.suppress(OSError, UnicodeError):
            Path(path).write_text("\n".join(names))


class Service:
    """The model and the place where its predictions run: the event loop while they are quick, else one worker thread.

    One thread, because several would fight for the interpreter and make every other answer slow.
    """

    def __init__(self) -> None:
        self.model: Model | None = None
        self.inline = False
        self.erratic = False
        self.waiting = 0
        self.seconds: list[float] = []
        self.input_type: type[Any] = Input
        self.decode: Callable[[Any], Any] = msgspec.json.Decoder(Input).decode
        self.worker = ThreadPoolExecutor(1, "model")

    def load(self) -> None:
        """Loads the model; a model that does not load ends the process."""
        try:
            import berth_model  # here, so that /health answers while it imports

            model = berth_model.load(FOLDER)
            self.input_type = msgspec.defstruct("Input", [("input", model.input_type)])
            self.decode = msgspec.json.Decoder(self.input_type).decode
            self.warm_up(model)
            gc.freeze()  # what is loaded stays, so the collector need not look at it
            gc.enable()
            note_imports()
            self.model = model
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)  # a server without its model must not look alive

    def warm_up(self, model: "Model") -> None:
        """Runs the golden prediction twice and times the second; its answer is judged elsewhere."""
        if GOLDEN is None or not model.steady:
            return
        try:
            value = self.decode(GOLDEN).input
            model.predict(value)
            start = time.perf_counter()
            model.predict(value)
            self.inline = time.perf_counter() - start < POOL_SECONDS
        except Exception:
            print("the golden prediction failed while loading:", file=sys.stderr)
            traceback.print_exc()

    def timed(self, model: "Model", value: Any) -> Any:
        """Predicts, and moves later predictions to the place that suits their median time."""
        start = time.perf_counter()
        result = model.predict(value)
        self.seconds.append(time.perf_counter() - start)
        if not model.steady and self.seconds[-1] > STALL_SECONDS:
            self.inline, self.erratic = False, True  # it has kept others waiting once, it shall not again
        if len(self.seconds) >= WINDOW:
            limit = POOL_SECONDS if self.inline else INLINE_SECONDS
            self.inline = not self.erratic and statistics.median(self.seconds) < limit
            self.seconds = []
        return result

    async def predict(self, model: "Model", body: bytes | bytearray, receive: Receive) -> bytes:
        """The encoded answer to one request body."""
        value = self.decode(body).input
        if self.inline and len(body) <= INLINE_BODY_BYTES:
            result = self.timed(model, value)
        else:
            result = await self.in_worker(model, value, receive)
        prediction, confidence = result
        return encode(Answer(prediction=prediction, confidence=NOTHING if confidence is None else confidence))

    async def in_worker(self, model: "Model", value: Any, receive: Receive) -> Any:
        """Runs a prediction on the worker thread; one that nobody waits for any more is not begun."""
        if self.waiting >= MAX_WAITING:
            raise Busy
        self.waiting += 1
        running = asyncio.get_running_loop().run_in_executor(self.worker, self.timed, model, value)
        gone = asyncio.ensure_future(receive())  # after the body comes only the end of the connection
        try:
            await asyncio.wait((running, gone), return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                raise Gone
            return running.result()
        finally:
            self.waiting -= 1
            gone.cancel()
            running.cancel()


service = Service()


class Predict:
    """POST /predict as a plain ASGI endpoint: one decode and one encode, and nothing else made per request."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            status, body = await self.answer(receive)
        except Gone:
            return
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        if status == 503:
            headers.append((b"retry-after", b"1"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def answer(self, receive: Receive) -> tuple[int, bytes]:
        """The status and body for one request."""
        body = await self.body(receive)
        if body is None:
            return 413, encode(Failure(error=f"the body is larger than {MAX_BODY_BYTES} bytes"))
        if service.model is None:
            return 503, encode(Failure(error="the model is still loading"))
        try:
            return 200, await service.predict(service.model, body, receive)
        except msgspec.DecodeError as error:
            return 422, encode(Failure(error=str(error)))
        except UnicodeDecodeError:
            return 422, encode(Failure(error="the body is not UTF-8"))
        except Busy:
            return 503, encode(Failure(error=f"{MAX_WAITING} predictions are waiting already"))
        except Gone:
            raise
        except Exception as error:
            traceback.print_exc()
            return 500, encode(Failure(error=f"{type(error).__name__}: {error}"))

    async def body(self, receive: Receive) -> bytes | bytearray | None:
        """The whole request body; None when it is too large."""
        message = await receive()
        chunk: bytes = message.get("body", b"")
        if message["type"] == "http.request" and not message.get("more_body") and len(chunk) <= MAX_BODY_BYTES:
            return chunk
        body = bytearray(chunk)
        while message.get("more_body"):
            if len(body) > MAX_BODY_BYTES:
                return None
            message = await receive()
            body += message.get("body", b"")
        if message["type"] == "http.disconnect":
            raise Gone
        return body if len(body) <= MAX_BODY_BYTES else None


predict = Predict()


class App(FastAPI):
    """FastAPI, but POST /predict goes straight to its endpoint as long as nobody has added a middleware."""

    direct = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection."""
        if self.direct and scope["type"] == "http" and scope["path"] == "/predict" and scope["method"] == "POST":
            await predict(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, with /predict as this model takes and answers it."""
        if not self.openapi_schema or service.model is None:
            self.openapi_schema = None
            document = super().openapi()
            types = [service.input_type, Answer, Failure]
            schemas, parts = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
            bodies = [{"application/json": {"schema": schema}} for schema in schemas]
            errors = {413: "Body too large", 422: "Not a valid input", 500: "Prediction failed", 503: "Busy or loading"}
            responses = {str(code): {"description": text, "content": bodies[2]} for code, text in errors.items()}
            responses["200"] = {"description": "The prediction", "content": bodies[1]}
            document["paths"]["/predict"] = dict(
                post={
                    "summary": "Predict",
                    "operationId": "predict",
                    "requestBody": {"required": True, "content": bodies[0]},
                    "responses": responses,
                }
            )
            document.setdefault("components", {}).setdefault("schemas", {}).update(parts)
        return self.openapi_schema or {}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Starts loading, and lets /health answer meanwhile."""
    if isinstance(app, App):
        app.direct = not app.user_middleware
    service.worker.submit(service.load)
    yield
    service.worker.shutdown(wait=False, cancel_futures=True)


def reply(value: Any, status: int = 200) -> Response:
    """A JSON response."""
    return Response(encode(value), status, media_type="application/json")


async def refused(request: Request, error: Exception) -> Response:
    """Unknown paths and methods, in the shape of every other error."""
    if not isinstance(error, HTTPException):
        return reply(Failure(error=f"{type(error).__name__}: {error}"), 500)
    response = reply(Failure(error=f"{error.detail}: {request.method} {request.url.path}"), error.status_code)
    response.headers.update(error.headers or {})
    return response


app = App(
    title=NAME,
    lifespan=lifespan,
    routes=[Route("/predict", predict, methods=["POST"])],
    exception_handlers={HTTPException: refused, Exception: refused},
)


@app.get("/health")
async def health() -> Response:
    """Whether the model is loaded."""
    if service.model is None:
        note_imports()
        return reply({"status": "loading", "model_loaded": False}, 503)
    return reply({"status": "healthy", "model_loaded": True})


@app.get("/info")
async def info() -> Response:
    """What is served here."""
    return reply({"model_type": MODEL_TYPE, "model_loaded": service.model is not None, "endpoints": ENDPOINTS})
