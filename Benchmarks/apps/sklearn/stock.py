"""The iris model in FastAPI as its tutorial writes it."""

import joblib
from fastapi import FastAPI
from pydantic import BaseModel

model = joblib.load("iris.joblib")


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
    confidence = model.predict_proba(body.input).max(axis=1).tolist()
    return Prediction(prediction=model.predict(body.input).tolist(), model_type="sklearn", confidence=confidence)
