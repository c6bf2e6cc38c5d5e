"""Runs rendered apps for real and asks them over HTTP.

The first argument is a folder with one app folder per `<framework>-<template>`, and `own` for launchers of own apps.
"""

import concurrent.futures
import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import unittest
from collections.abc import Iterator
from typing import Any

APPS = pathlib.Path(sys.argv.pop(1)).resolve()
START_SECONDS = 120
ONE = {"input": [5.1, 3.5, 1.4, 0.2], "ignored": True}
TWO = {"input": [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]}
PREDICT = """
import threading, time

def load(folder):
    return {"folder": folder.name, "thread": threading.get_ident()}

def predict(model, value):
    if value == "fail":
        raise RuntimeError("no luck")
    if value == "slow":
        time.sleep(0.02)
    if value == "thread":
        return model["thread"] == threading.get_ident()
    if value == "sure":
        return {"prediction": {"a": 1}, "confidence": 0.75}
    return [value]
"""
COROUTINE = """
import asyncio

async def load():
    return 2

async def predict(model, value):
    await asyncio.sleep(0)
    return model * value
"""
NET = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 3)

    def forward(self, rows):
        rows = self.layer(rows).softmax(-1)
        return {"prediction": rows.argmax(-1), "confidence": rows.max(-1).values}
"""


def make_models() -> None:
    """Trains and saves one model for every app."""
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    data = load_iris()
    labels = data.target_names[data.target]
    for folder in APPS.iterdir():
        kind = folder.name.partition("-")[2]
        if kind in ("sklearn", "guarded"):
            import joblib

            (folder / "model").mkdir(exist_ok=True)
            joblib.dump(LogisticRegression(max_iter=500).fit(data.data, labels), folder / "model" / "iris.joblib")
        elif kind == "onnx":
            from skl2onnx import to_onnx

            rows = data.data.astype("float32")
            model = LogisticRegression(max_iter=500).fit(rows, data.target)
            (folder / "iris.onnx").write_bytes(to_onnx(model, rows[:1]).SerializeToString())
        elif kind == "python":
            (folder / "predict.py").write_text(PREDICT)
        elif kind == "slow":
            (folder / "predict.py").write_text("import time\n\ntime.sleep(1.5)\n" + PREDICT)
        elif kind == "coroutine":
            (folder / "predict.py").write_text(COROUTINE)
        elif kind == "torch" and os.environ.get("BERTH_TEST_TORCH") == "1":
            (folder / "net.py").write_text(NET)
            code = "import torch, net; torch.save(net.Net().state_dict(), 'net.pt')"
            subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)


class App:
    """One running app."""

    def __init__(self, name: str, launcher: str = "launch.py", **env: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        environment = {**os.environ, "PORT": str(self.port), "BERTH_REVISION": "r-1", "OMP_NUM_THREADS": "1", **env}
        command = [sys.executable, launcher]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, cwd=APPS / name, env=environment, stderr=pipe, stdout=pipe, text=True)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, dict[str, str]]:
        """The status, the JSON body and the headers of one answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            data = body if isinstance(body, bytes) or body is None or hasattr(body, "__next__") else json.dumps(body)
            chunked = hasattr(body, "__next__")
            connection.request(method, path, data, headers, encode_chunked=chunked)
            response = connection.getresponse()
            text = response.read()
            fields = {key.lower(): value for key, value in response.getheaders()}
            return response.status, json.loads(text) if "json" in fields["content-type"] else text, fields
        finally:
            connection.close()

    def predict(self, body: Any, **headers: str) -> tuple[int, Any]:
        """The status and the body of one prediction."""
        status, answer, _ = self.ask("POST", "/predict", body, **headers)
        return status, answer

    def wait(self) -> list[tuple[int, Any]]:
        """Asks /health until it is 200; gives every answer."""
        answers = []
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                status, body, _ = self.ask("GET", "/health")
                answers.append((status, body))
                if status == 200:
                    return answers
            time.sleep(0.02)
        raise AssertionError(f"not healthy: {self.end()}")

    def end(self) -> tuple[int, str]:
        """Stops the app; its exit code and what it wrote to stderr."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            _, errors = self.process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            _, errors = self.process.communicate()
            raise AssertionError(f"did not end on SIGTERM: {errors}") from None
        return self.process.returncode, errors


@contextlib.contextmanager
def running(name: str, launcher: str = "launch.py", **env: str) -> Iterator[App]:
    """A healthy app, which must end cleanly on SIGTERM."""
    app = App(name, launcher, **env)
    try:
        app.wait()
        yield app
    finally:
        code, errors = app.end()
    assert code == 0, (code, errors)


FRAMEWORKS = ("fastapi", "flask")


class Contract(unittest.TestCase):
    """What every rendered app does."""

    def test_answers(self) -> None:
        """/health, /info, single and batched predictions."""
        for framework in FRAMEWORKS:
            with self.subTest(framework), running(f"{framework}-sklearn") as app:
                status, body, headers = app.ask("GET", "/health")
                self.assertEqual((status, body), (200, {"status": "healthy", "model_loaded": True}))
                self.assertEqual(headers["x-berth-revision"], "r-1")
                _, body, _ = app.ask("GET", "/info")
                endpoints = ["/health", "/predict", "/info"]
                self.assertEqual(body, {"model_type": "sklearn", "model_loaded": True, "endpoints": endpoints})
                status, body = app.predict(ONE)
                self.assertEqual((status, body["success"], body["model_type"]), (200, True, "sklearn"))
                self.assertEqual(body["prediction"], ["setosa"])
                self.assertGreater(body["confidence"], 0.9)
                status, body = app.predict(iter([json.dumps(TWO).encode()[:9], json.dumps(TWO).encode()[9:]]))
                self.assertEqual((status, body["prediction"]), (200, ["setosa", "virginica"]))
                self.assertEqual(len(body["confidence"]), 2)

    def test_errors(self) -> None:
        """Every error is JSON with success false and the revision."""
        cases = [
            ("GET", "/nope", None, 404, "/nope"),
            ("GET", "/predict", None, 405, "Not Allowed"),
            ("POST", "/predict", b"{", 422, "truncated"),
            ("POST", "/predict", b"", 422, "truncated"),
            ("POST", "/predict", b'{"input":"\xff"}', 422, ""),
            ("POST", "/predict", {"inputs": []}, 422, "`input`"),
            ("POST", "/predict", {"input": [1, "a"]}, 422, "$.input[1]"),
            ("POST", "/predict", {"input": [1, 2, 3]}, 422, "Expected 4 features, got 3"),
            ("POST", "/predict", {"input": [[1, 2, 3, 4], [1]]}, 422, "$.input[1]"),
            ("POST", "/predict", {"input": [[1, 2, 3, 4], 5]}, 422, "$.input[1]"),
            ("POST", "/predict", {"input": []}, 422, "at least one"),
            ("POST", "/predict", b" " * ((16 << 20) + 1), 413, "larger"),
            ("POST", "/predict", iter([b" " * (1 << 20)] * 17), 413, "larger"),
        ]
        for framework in FRAMEWORKS:
            with running(f"{framework}-sklearn") as app:
                for method, path, body, wanted, text in cases:
                    if hasattr(body, "__next__"):
                        body = iter([b" " * (1 << 20)] * 17)
                    with self.subTest(framework=framework, wanted=wanted, text=text):
                        status, answer, headers = app.ask(method, path, body)
                        self.assertEqual((status, answer["success"]), (wanted, False))
                        self.assertIn(text, answer["error"])
                        self.assertEqual(headers["x-berth-revision"], "r-1")
                self.assertEqual(app.predict(ONE)[0], 200)

    def test_failing_prediction(self) -> None:
        """An exception is a 500 with its message; the traceback goes to stderr."""
        for framework in FRAMEWORKS:
            app = App(f"{framework}-python")
            with self.subTest(framework):
                app.wait()
                status, body = app.predict({"input": "fail"})
                self.assertEqual((status, body), (500, {"success": False, "error": "RuntimeError: no luck"}))
                self.assertEqual(app.predict({"input": 1})[1]["prediction"], [1])
                sure = app.predict({"input": "sure"})[1]
                self.assertEqual((sure["prediction"], sure["confidence"]), ({"a": 1}, 0.75))
                self.assertNotIn("confidence", app.predict({"input": 1})[1])
                self.assertIn("Traceback", app.end()[1])
            app.end()

    def test_coroutines(self) -> None:
        """`async def load` and `async def predict` are awaited."""
        for framework in FRAMEWORKS:
            with self.subTest(framework), running(f"{framework}-coroutine") as app:
                self.assertEqual(app.predict({"input": 21})[1]["prediction"], 42)

    def test_onnx(self) -> None:
        """Labels and probabilities of a converted classifier."""
        for framework in FRAMEWORKS:
            with self.subTest(framework), running(f"{framework}-onnx") as app:
                body = app.predict(ONE)[1]
                self.assertEqual(body["prediction"], [0])
                self.assertGreater(body["confidence"], 0.9)
                self.assertEqual(app.predict(TWO)[1]["prediction"], [0, 2])
                status, body = app.predict({"input": [[1, 2, 3]]})
                self.assertEqual((status, body["error"]), (422, "Expected the shape n×4, got 1×3 - at `$.input`"))

    @unittest.skipUnless(os.environ.get("BERTH_TEST_TORCH") == "1", "set BERTH_TEST_TORCH=1: torch is a large download")
    def test_torch(self) -> None:
        """A state dict with its module."""
        for framework in FRAMEWORKS:
            with self.subTest(framework), running(f"{framework}-torch") as app:
                self.assertIsInstance(app.predict(ONE)[1]["confidence"], float)
                self.assertEqual(len(app.predict(TWO)[1]["prediction"]), 2)

    def test_failed_load(self) -> None:
        """A model that does not load ends the process with its traceback."""
        for framework in FRAMEWORKS:
            with self.subTest(framework):
                app = App(f"{framework}-broken")
                _, errors = app.process.communicate(timeout=60)
                self.assertEqual(app.process.returncode, 1)
                self.assertIn("FileNotFoundError", errors)

    def test_port_in_use(self) -> None:
        """A taken port is one line and exit code 98."""
        for framework in FRAMEWORKS:
            with self.subTest(framework), socket.socket() as taken:
                taken.bind(("127.0.0.1", 0))
                taken.listen()
                port = taken.getsockname()[1]
                app = App(f"{framework}-sklearn", PORT=str(port))
                _, errors = app.process.communicate(timeout=60)
                self.assertEqual(app.process.returncode, 98)
                self.assertEqual(errors, f"cannot listen on 127.0.0.1:{port}: Address already in use\n")


class FastAPIOnly(unittest.TestCase):
    """What only the FastAPI app has."""

    def test_documentation(self) -> None:
        """/docs and an OpenAPI document that has /predict."""
        with running("fastapi-sklearn") as app:
            status, body, headers = app.ask("GET", "/docs")
            self.assertEqual((status, headers["x-berth-revision"]), (200, "r-1"))
            self.assertIn(b"swagger", body)
            _, document, _ = app.ask("GET", "/openapi.json")
            self.assertEqual(document["info"]["title"], "iris")
            self.assertEqual(set(document["paths"]), {"/health", "/info", "/predict"})
            items = document["components"]["schemas"]["Input"]["properties"]["input"]["items"]
            self.assertEqual([item["type"] for item in items["anyOf"]], ["number", "array"])

    def test_loading_is_told(self) -> None:
        """The server answers while the model loads."""
        app = App("fastapi-slow")
        try:
            status, body = app.wait()[0]
            self.assertEqual((status, body), (503, {"status": "loading", "model_loaded": False}))
        finally:
            app.end()

    def test_slow_predictions_leave_the_loop(self) -> None:
        """/health is quick beside 16 clients whose predictions take 20 ms each; all run on the loading thread."""
        with running("fastapi-python") as app, concurrent.futures.ThreadPoolExecutor(16) as clients:
            self.assertTrue(app.predict({"input": "thread"})[1]["prediction"])
            futures = [clients.submit(app.predict, {"input": "slow"}) for _ in range(48)]
            times = []
            while not all(future.done() for future in futures):
                start = time.perf_counter()
                app.ask("GET", "/health")
                times.append(time.perf_counter() - start)
            self.assertEqual({future.result()[0] for future in futures}, {200})
            self.assertLess(sorted(times)[len(times) // 2], 0.2)

    def test_clients_that_hang_up(self) -> None:
        """Predictions that nobody waits for are not begun."""
        with running("fastapi-python") as app:
            body = json.dumps({"input": "slow"})
            for _ in range(100):
                connection = http.client.HTTPConnection("127.0.0.1", app.port)
                connection.request("POST", "/predict", body)
                connection.close()
            start = time.perf_counter()
            self.assertEqual(app.predict({"input": 1})[0], 200)
            self.assertLess(time.perf_counter() - start, 1.5)

    def test_middleware_is_not_bypassed(self) -> None:
        """The shortcut of /predict ends when a middleware is added."""
        with running("fastapi-guarded") as app:
            self.assertEqual(app.ask("POST", "/predict", ONE)[0], 401)
            self.assertEqual(app.ask("POST", "/predict", ONE, authorization="yes")[1]["prediction"], ["setosa"])


class FlaskOnly(unittest.TestCase):
    """What only the Flask app has."""

    def test_hooks_are_not_bypassed(self) -> None:
        """The front of /predict steps aside when a hook is added."""
        with running("flask-guarded") as app:
            self.assertEqual(app.ask("POST", "/predict", ONE)[0], 401)
            status, body, headers = app.ask("POST", "/predict", ONE, authorization="yes")
            self.assertEqual((status, body["prediction"]), (200, ["setosa"]))
            self.assertEqual(headers["x-berth-revision"], "r-1")


class OwnApps(unittest.TestCase):
    """Apps of the user's own, started by the launcher."""

    def test_layouts(self) -> None:
        """Files, modules, `src/` layouts and factories of both interfaces."""
        for folder in sorted(APPS.glob("own-*")):
            with self.subTest(folder.name), running(folder.name, "berth_launch.py") as app:
                status, body, headers = app.ask("GET", "/health")
                self.assertEqual((status, body["ok"], headers["x-berth-revision"]), (200, True, "r-1"))

    def test_nothing_to_serve(self) -> None:
        """A module without an app is told in one line."""
        app = App("empty", "berth_launch.py")
        _, errors = app.process.communicate(timeout=60)
        self.assertEqual(app.process.returncode, 1)
        self.assertIn("cannot start the app: app.py has no ASGI or WSGI app", errors)


if __name__ == "__main__":
    # Foundation starts programs with the signal mask of its thread, in which SIGTERM may be blocked.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    make_models()
    unittest.main(verbosity=2)
