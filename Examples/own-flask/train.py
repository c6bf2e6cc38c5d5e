"""Writes `digits.json` (the mean image of every digit) and the sample images, from scikit-learn's own data."""

import json
from pathlib import Path

from sklearn.datasets import load_digits

FOLDER = Path(__file__).parent
SIDE, WHITE = 8, 16
SAMPLES = {"seven": 7, "zero": 0}


def main() -> None:
    images, digits = load_digits(return_X_y=True)
    # Every fourth image is left out of the means; the samples come from those.
    held_out = [index % 4 == 0 for index in range(len(digits))]
    seen = [not left for left in held_out]
    means = [images[seen & (digits == digit)].mean(axis=0).round(4).tolist() for digit in range(10)]
    (FOLDER / "digits.json").write_text(json.dumps({"side": SIDE, "white": WHITE, "means": means}))
    for name, digit in SAMPLES.items():
        pixels = images[held_out & (digits == digit)][0].astype(int).reshape(SIDE, SIDE).tolist()
        rows = "\n".join(" ".join(map(str, row)) for row in pixels)
        (FOLDER / "samples" / f"{name}.pgm").write_text(f"P2\n{SIDE} {SIDE}\n{WHITE}\n{rows}\n")


if __name__ == "__main__":
    main()
