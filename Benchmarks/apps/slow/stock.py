"""The slow model in FastAPI as its tutorial writes it."""

from fastapi import FastAPI
from predict import predict
from pydantic import BaseModel


class Input(BaseModel):
    input: list[list[float]]


class Prediction(BaseModel):
    success: bool = True
    prediction: list[int]
    model_type: str


app = FastAPI()


@app.get("/health")
async def health() -> dict[str, object]:
    return {"status": "healthy", "model_loaded": True}


@app.post("/predict", response_model=Prediction)
async def answer(body: Input) -> Prediction:
    return Prediction(prediction=predict(body.input), model_type="python")
