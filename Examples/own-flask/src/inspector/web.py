"""Recognises a digit in an uploaded image: an app that knows nothing of the tool that deploys it."""

import hmac
import json
import math
import os
from pathlib import Path

from flask import Flask, Response, jsonify, request

from inspector import greymap

API_KEY = os.environ["API_KEY"]
MODEL = json.loads((Path(__file__).parents[2] / "digits.json").read_text())

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 1 << 20


def refuse(status: int, reason: str) -> tuple[Response, int]:
    return jsonify(error=reason), status


@app.post("/v1/recognise")
def recognise() -> Response | tuple[Response, int]:
    if not hmac.compare_digest(request.headers.get("X-Api-Key", "").encode(), API_KEY.encode()):
        return refuse(401, "missing or wrong X-Api-Key")
    upload = request.files.get("image")
    if upload is None:
        return refuse(400, "field 'image' is missing")
    try:
        pixels = greymap.parse(upload.read(), MODEL["side"], MODEL["white"])
    except greymap.GreymapError as error:
        return refuse(422, str(error))
    distances = [math.dist(pixels, mean) for mean in MODEL["means"]]
    digit = distances.index(min(distances))
    return jsonify(digit=digit, distance=round(distances[digit], 3), file=upload.filename)
