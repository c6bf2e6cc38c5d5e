"""What kernels say, as events of the protocol."""

from datetime import datetime
from typing import Any

PIECE_LENGTH = 256 << 10
"""Characters of one `stdout` or `stderr` event; longer output comes as several."""
FORMAT_LIMIT = 32 << 20
"""Characters of one representation of a result; a longer one is left out, with a notice in its place."""

NAMES = {
    "text/plain": "text",
    "text/html": "html",
    "text/markdown": "markdown",
    "image/svg+xml": "svg",
    "image/png": "png",
    "image/jpeg": "jpeg",
    "application/pdf": "pdf",
    "text/latex": "latex",
    "application/json": "json",
    "application/javascript": "javascript",
    "e2b/data": "data",
    "e2b/chart": "chart",
}
"""Media types that have a field of their own; all others go into `extra`."""

UNEXPECTED_END = "UnexpectedEndOfExecution"
"""The error of an execution whose kernel ended."""


def unquoted(text: str) -> str:
    """A string's `repr` without its quotes."""
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return text


def result(bundle: dict[str, Any], is_main: bool) -> dict[str, Any]:
    """The event of a display or of a cell's value."""
    event: dict[str, Any] = {"type": "result", "is_main_result": is_main}
    extra: dict[str, Any] = {}
    omitted = []
    for kind, value in bundle.items():
        if isinstance(value, list) and kind != "application/json" and all(isinstance(line, str) for line in value):
            value = "".join(value)
        if value is None:
            continue
        if isinstance(value, str) and len(value) > FORMAT_LIMIT:
            omitted.append(f"{kind} ({len(value)} characters)")
        elif kind in NAMES:
            event[NAMES[kind]] = unquoted(value) if kind == "text/plain" else value
        else:
            extra[kind] = value
    if extra:
        event["extra"] = extra
    if omitted:
        event.setdefault("text", f"[left out, over the limit of {FORMAT_LIMIT}: {', '.join(omitted)}]")
    return event


def stream(name: str, text: str, date: datetime | str) -> list[dict[str, Any]]:
    """The events of output, in pieces."""
    timestamp = date.isoformat() if isinstance(date, datetime) else str(date)
    return [
        {"type": name, "text": text[start : start + PIECE_LENGTH], "timestamp": timestamp}
        for start in range(0, len(text), PIECE_LENGTH)
    ]


def error(name: str, value: str, traceback: str = "") -> dict[str, Any]:
    """The event of an error."""
    return {"type": "error", "name": name, "value": value, "traceback": traceback}


def kernel_error(content: dict[str, Any]) -> dict[str, Any]:
    """The event of an error that a kernel has told of; some give it no name."""
    traceback = "\n".join(content.get("traceback") or [])
    return error(content.get("ename") or "Error", content.get("evalue") or "", traceback)
