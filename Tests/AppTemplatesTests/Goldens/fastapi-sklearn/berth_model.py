"""Loads a scikit-learn model and predicts with it.

Takes one row of features, which gives one prediction in a list and one confidence, or a list of rows. A model that
takes texts, as a pipeline with a vectorizer does, takes one text or a list of them.
"""

import pickle
from pathlib import Path
from typing import Any

import joblib
import msgspec
import numpy as np

MODEL_FILE = "model/iris.joblib"
SUFFIXES = (".joblib", ".pkl", ".pickle")
# Estimators that predict the most probable class, so that one pass gives the label and its confidence. Others, as
# SVC, take their labels from elsewhere.
MOST_PROBABLE = {
    "BernoulliNB",
    "DecisionTreeClassifier",
    "ExtraTreesClassifier",
    "GaussianNB",
    "HistGradientBoostingClassifier",
    "LogisticRegression",
    "MultinomialNB",
    "RandomForestClassifier",
}


class Model:
    """A fitted estimator or pipeline."""

    steady = True  # the time of a prediction depends on nothing but the size of its input

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator
        self.features: int | None = getattr(estimator, "n_features_in_", None)
        self.probabilities = getattr(estimator, "predict_proba", None)
        self.input_type: Any = str | list[str] if self.features is None else list[float | list[float]]
        final = estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
        by_probability = self.probabilities is not None and type(final).__name__ in MOST_PROBABLE
        self.classes: Any = np.asarray(estimator.classes_) if by_probability else None
        self.names: list[str] | None = None
        if hasattr(estimator, "feature_names_in_"):
            try:
                import pandas  # noqa: F401

                self.names = list(estimator.feature_names_in_)
                scalar = float | bool | str | None
                self.input_type = list[scalar | list[scalar]]
            except ImportError:
                pass  # without pandas the columns are taken by position

    def predict(self, value: Any) -> tuple[Any, Any]:
        """The predictions as a list, and the probability of each; one number for one row."""
        rows, single = self.rows(value)
        if self.probabilities is None:
            return np.asarray(self.estimator.predict(rows)).tolist(), None
        probabilities = self.probabilities(rows)
        if isinstance(probabilities, list):  # several outputs; their probabilities have no common confidence
            return np.asarray(self.estimator.predict(rows)).tolist(), None
        labels = self.estimator.predict(rows) if self.classes is None else self.classes[probabilities.argmax(axis=1)]
        prediction = np.asarray(labels).tolist()
        confidence = probabilities.max(axis=1).tolist()
        return prediction, confidence[0] if single else confidence

    def rows(self, value: Any) -> tuple[Any, bool]:
        """The input as the estimator takes it, and whether it was a single row."""
        if isinstance(value, str):
            return [value], True
        if not value:
            raise msgspec.ValidationError("Expected at least one value - at `$.input`")
        if self.features is None:
            return value, False
        single = not isinstance(value[0], list)
        rows = [value] if single else value
        for index, row in enumerate(rows):
            place = "$.input" if single else f"$.input[{index}]"
            if not isinstance(row, list) or (single and any(isinstance(item, list) for item in row)):
                raise msgspec.ValidationError(f"Expected one row or a list of rows - at `{place}`")
            if len(row) != self.features:
                raise msgspec.ValidationError(f"Expected {self.features} features, got {len(row)} - at `{place}`")
        if self.names is None:
            return np.asarray(rows, dtype=float), single
        from pandas import DataFrame

        return DataFrame(rows, columns=self.names), single


def load(folder: Path) -> Model:
    """Reads the model file; a folder stands for the first file in it that has a known suffix."""
    path = folder / MODEL_FILE
    if path.is_dir():
        path = next((file for file in sorted(path.rglob("*")) if file.suffix in SUFFIXES), path)
    if path.suffix == ".joblib":
        return Model(joblib.load(path))
    with path.open("rb") as file:
        return Model(pickle.load(file))
