"""Loads the user's own Python file and predicts with it.

It has `predict(input)`, or `predict(model, input)` with a `load()` or `load(folder)` that returns the model; both may
be `async`. The result is any value with a JSON form, or a dict with "prediction" and perhaps "confidence". To refuse an
input, raise `msgspec.ValidationError`.
"""

import asyncio
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

MODEL_FILE = "predict.py"


def parameters(function: Callable[..., Any]) -> int:
    """How many positional arguments a function must be given."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    given = inspect.signature(function).parameters.values()
    return sum(item.kind in kinds and item.default is inspect.Parameter.empty for item in given)


def split(result: Any) -> tuple[Any, Any]:
    """The prediction and the confidence, if any."""
    if isinstance(result, dict) and "prediction" in result:
        return result["prediction"], result.get("confidence")
    return result, None


async def finish(result: Any) -> tuple[Any, Any]:
    """Waits for the result of an `async def predict`."""
    return split(await result)


class Model:
    """The user's code."""

    steady = False  # nothing is known about the time it takes, so it is watched
    input_type = Any

    def __init__(self, code: ModuleType, folder: Path) -> None:
        self.code = code
        self.before: tuple[Any, ...] = ()
        loaded = None
        if hasattr(code, "load"):
            loaded = code.load(folder) if parameters(code.load) else code.load()
            if inspect.iscoroutine(loaded):
                loaded = asyncio.run(loaded)
        if parameters(code.predict) > 1:
            self.before = (loaded,)

    def predict(self, value: Any) -> Any:
        """The prediction and the confidence, or a coroutine that gives them."""
        result = self.code.predict(*self.before, value)
        return finish(result) if inspect.iscoroutine(result) else split(result)


def load(folder: Path) -> Model:
    """Imports the user's file; a folder stands for the `predict.py` in it."""
    path = folder / MODEL_FILE
    if path.is_dir():
        path = path / "predict.py"
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    code = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = code
    spec.loader.exec_module(code)
    if not callable(getattr(code, "predict", None)):
        raise AttributeError(f"{path.name} has no function predict")
    return Model(code, folder)
