"""The iris classifier as three dot products in pure Python: a model whose own cost hides nothing of the server's."""

WEIGHTS = ((0.42, 0.97, -2.52, -1.08), (0.53, -0.32, -0.21, -0.94), (-0.95, -0.65, 2.73, 2.02))
BIAS = (9.85, 2.24, -12.09)


def load() -> None:
    """Nothing to load."""


def predict(rows: list[list[float]]) -> list[int]:
    """The class of each row."""
    scores = [[b + sum(w * x for w, x in zip(ws, row)) for ws, b in zip(WEIGHTS, BIAS)] for row in rows]  # noqa: B905
    return [score.index(max(score)) for score in scores]
