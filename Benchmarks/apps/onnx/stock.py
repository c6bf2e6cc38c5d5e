"""The iris model as ONNX in FastAPI as its tutorial writes it."""

import numpy as np
import onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession("iris.onnx", options, providers=["CPUExecutionProvider"])


class Input(BaseModel):
    input: list[list[float]]


class Prediction(BaseModel):
    success: bool = True
    prediction: list[int]
    model_type: str
    confidence: list[float]


app = FastAPI()


@app.get("/health")
async def health() -> dict[str, object]:
    return {"status": "healthy", "model_loaded": True}


@app.post("/predict", response_model=Prediction)
async def answer(body: Input) -> Prediction:
    labels, probabilities = session.run(None, {"input": np.asarray(body.input, dtype=np.float32)})
    confidence = probabilities.max(axis=1).tolist()
    return Prediction(prediction=labels.tolist(), model_type="onnx", confidence=confidence)
