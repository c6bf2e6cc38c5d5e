"""Fits a logistic regression on three measurements of scikit-learn's wine data; its numbers become `wine.json`."""

import json
from pathlib import Path

from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

TARGET = Path(__file__).with_name("wine.json")
FEATURES = ["alcohol", "flavanoids", "proline"]
DIGITS = 6


def main() -> None:
    data = load_wine()
    measurements = data.data[:, [data.feature_names.index(name) for name in FEATURES]]
    split = train_test_split(measurements, data.target, random_state=0, stratify=data.target)
    seen, unseen, seen_wines, unseen_wines = split
    scaler = StandardScaler().fit(seen)
    model = LogisticRegression().fit(scaler.transform(seen), seen_wines)
    accuracy = model.score(scaler.transform(unseen), unseen_wines)
    numbers = {
        "features": FEATURES,
        "mean": scaler.mean_.round(DIGITS).tolist(),
        "scale": scaler.scale_.round(DIGITS).tolist(),
        "weights": model.coef_.round(DIGITS).tolist(),
        "bias": model.intercept_.round(DIGITS).tolist(),
    }
    TARGET.write_text(json.dumps(numbers, indent=2) + "\n")
    print(f"{TARGET.name}: accuracy on unseen wines {accuracy:.3f}")


if __name__ == "__main__":
    main()
