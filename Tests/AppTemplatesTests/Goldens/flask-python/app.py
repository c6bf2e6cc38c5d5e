"""Serves one model over HTTP: POST /predict, GET /health and GET /info.

A request is {"input": …}; other keys are ignored. An answer is {"success": true, "prediction": …, "model_type": …},
with "confidence" where the model gives probabilities. The file is yours to change: add routes and hooks to `app`.
"""

import asyncio
import contextlib
import gc
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

if TYPE_CHECKING:
    from berth_model import Model

NAME = "iris"
MODEL_TYPE = "python"
# A request body whose prediction is run while loading, to warm the model up.
GOLDEN: str | None = '{"input":[5.1,3.5,1.4,0.2]}'

FOLDER = Path(__file__).resolve().parent
ENDPOINTS = ["/health", "/predict", "/info"]
REVISION = os.environ.get("BERTH_REVISION")
MAX_BODY_BYTES = 16 << 20
NOTHING = msgspec.UNSET
REASONS = {
    200: "200 OK",
    413: "413 Content Too Large",
    422: "422 Unprocessable Content",
    500: "500 Internal Server Error",
    503: "503 Service Unavailable",
}

Environ = dict[str, Any]
StartResponse = Callable[..., Any]


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
    """The model, which predicts for one request at a time whatever the server's threads."""

    def __init__(self) -> None:
        self.model: Model | None = None
        self.lock = threading.Lock()
        self.decode: Callable[[Any], Any] = msgspec.json.Decoder(Input).decode
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.load, name="load", daemon=True).start()

    def load(self) -> None:
        """Loads the model; a model that does not load ends the process."""
        try:
            import berth_model  # here, so that /health answers while it imports

            model = berth_model.load(FOLDER)
            self.decode = msgspec.json.Decoder(msgspec.defstruct("Input", [("input", model.input_type)])).decode
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
        """Runs the golden prediction; its answer is judged elsewhere."""
        if GOLDEN is None or not model.steady:
            return
        try:
            model.predict(self.decode(GOLDEN).input)
        except Exception:
            print("the golden prediction failed while loading:", file=sys.stderr)
            traceback.print_exc()

    def answer(self, environ: Environ) -> tuple[int, bytes]:
        """The status and the body for one prediction."""
        body = read_body(environ)
        if body is None:
            return 413, encode(Failure(error=f"the body is larger than {MAX_BODY_BYTES} bytes"))
        if self.model is None:
            return 503, encode(Failure(error="the model is still loading"))
        try:
            value = self.decode(body).input
            with self.lock:
                result = self.model.predict(value)
                if asyncio.iscoroutine(result):
                    result = self.loop.run_until_complete(result)
            prediction, confidence = result
            return 200, encode(Answer(prediction=prediction, confidence=NOTHING if confidence is None else confidence))
        except msgspec.DecodeError as error:
            return 422, encode(Failure(error=str(error)))
        except UnicodeDecodeError:
            return 422, encode(Failure(error="the body is not UTF-8"))
        except Exception as error:
            traceback.print_exc()
            return 500, encode(Failure(error=f"{type(error).__name__}: {error}"))


def read_body(environ: Environ) -> bytes | None:
    """The whole request body, chunked or not; None when it is too large."""
    length = environ.get("CONTENT_LENGTH")
    if not length and not environ.get("wsgi.input_terminated"):
        return b""
    limit = min(int(length), MAX_BODY_BYTES + 1) if length else MAX_BODY_BYTES + 1
    body = bytearray()
    while len(body) < limit:
        chunk = environ["wsgi.input"].read(limit - len(body))
        if not chunk:
            break
        body += chunk
    return bytes(body) if len(body) <= MAX_BODY_BYTES else None


class Front:
    """Answers POST /predict before Flask builds its contexts, as long as nobody has added a hook to the app."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.flask = app.wsgi_app
        self.hooks = (app.before_request_funcs, app.after_request_funcs, app.teardown_request_funcs)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serves one request; every answer names the revision that gave it."""
        if environ["PATH_INFO"] == "/predict" and environ["REQUEST_METHOD"] == "POST" and not any(self.hooks):
            status, body = service.answer(environ)
            headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
            if status == 503:
                headers.append(("Retry-After", "1"))
            if REVISION:
                headers.append(("X-Berth-Revision", REVISION))
            start_response(REASONS[status], headers)
            return [body]
        if not REVISION:
            return self.flask(environ, start_response)
        own = [("X-Berth-Revision", REVISION)]
        return self.flask(environ, lambda status, headers, *rest: start_response(status, [*headers, *own], *rest))


service = Service()
app = Flask(NAME, root_path=str(FOLDER))
app.wsgi_app = Front(app)  # type: ignore[method-assign]


def reply(value: Any, status: int = 200) -> Response:
    """A JSON response."""
    return Response(encode(value), status, mimetype="application/json")


@app.post("/predict")
def predict() -> Response:
    """A prediction for an app that has hooks."""
    status, body = service.answer(request.environ)
    return Response(body, status, mimetype="application/json")


@app.get("/health")
def health() -> Response:
    """Whether the model is loaded."""
    if service.model is None:
        note_imports()
        return reply({"status": "loading", "model_loaded": False}, 503)
    return reply({"status": "healthy", "model_loaded": True})


@app.get("/info")
def info() -> Response:
    """What is served here."""
    return reply({"model_type": MODEL_TYPE, "model_loaded": service.model is not None, "endpoints": ENDPOINTS})


@app.errorhandler(Exception)
def refused(error: Exception) -> Response:
    """Unknown paths and methods, and failures, in the shape of every other error."""
    if not isinstance(error, HTTPException):
        traceback.print_exc()
        return reply(Failure(error=f"{type(error).__name__}: {error}"), 500)
    response = reply(Failure(error=f"{error.name}: {request.method} {request.path}"), error.code or 500)
    response.headers.extend((key, text) for key, text in error.get_headers() if key == "Allow")
    return response
