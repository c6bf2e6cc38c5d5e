"""Trains a small neural network on scikit-learn's handwritten digits and writes it as `digits.onnx`.

The data set comes with scikit-learn, so nothing is downloaded. Serving needs onnxruntime only.
"""

from pathlib import Path

from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

TARGET = Path(__file__).with_name("digits.onnx")
PIXELS = 64
OPSET = 17


def main() -> None:
    """Fits on three quarters of the images, reports on the rest, and converts that model."""
    images, digits = load_digits(return_X_y=True)
    seen, unseen, seen_digits, unseen_digits = train_test_split(images, digits, random_state=0, stratify=digits)
    model = make_pipeline(MinMaxScaler(), MLPClassifier(hidden_layer_sizes=(32,), max_iter=1000, random_state=0))
    accuracy = model.fit(seen, seen_digits).score(unseen, unseen_digits)
    # zipmap off: the second output is then a plain matrix of probabilities, one column per digit.
    converted = to_onnx(
        model,
        initial_types=[("input", FloatTensorType([None, PIXELS]))],
        options={"zipmap": False},
        target_opset={"": OPSET, "ai.onnx.ml": 3},
    )
    TARGET.write_bytes(converted.SerializeToString())
    print(f"{TARGET.name}: {TARGET.stat().st_size} bytes, accuracy on unseen images {accuracy:.3f}")


if __name__ == "__main__":
    main()
