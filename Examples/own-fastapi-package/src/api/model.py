"""The classifier: three measurements in, a cultivar and its probability out."""

import json
import math
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class WineModel:
    mean: list[float]
    scale: list[float]
    weights: list[list[float]]
    bias: list[float]

    @classmethod
    def read(cls, path: Path) -> "WineModel":
        numbers = json.loads(path.read_text())
        return cls(numbers["mean"], numbers["scale"], numbers["weights"], numbers["bias"])

    def classify(self, measurements: list[float]) -> tuple[int, float]:
        scaled = [(x - mean) / scale for x, mean, scale in zip(measurements, self.mean, self.scale, strict=True)]
        scores = [
            bias + sum(w * x for w, x in zip(row, scaled, strict=True))
            for row, bias in zip(self.weights, self.bias, strict=True)
        ]
        highest = max(scores)
        shares = [math.exp(score - highest) for score in scores]
        return scores.index(highest), 1.0 / sum(shares)
