"""Which cultivar is this wine? An app in a package, which finds its model relative to where it is started."""

from pathlib import Path

from fastapi import FastAPI
from pydantic import BaseModel

from api.model import WineModel

MODEL = WineModel.read(Path("models/wine.json"))

app = FastAPI(title="Wine")


class Wine(BaseModel):
    alcohol: float
    flavanoids: float
    proline: float


class Verdict(BaseModel):
    cultivar: int
    probability: float


@app.get("/api/v1/status")
async def status() -> dict[str, bool]:
    return {"ok": True}


@app.post("/api/v1/classify")
async def classify(wine: Wine) -> Verdict:
    cultivar, probability = MODEL.classify([wine.alcohol, wine.flavanoids, wine.proline])
    return Verdict(cultivar=cultivar, probability=probability)
