"""Sentence embeddings: an ordinary FastAPI app with its own paths and bodies."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response, status
from fastapi.responses import JSONResponse
from minilm import SentenceEncoder, model_directory
from pydantic import BaseModel, Field

MODEL = "all-MiniLM-L6-v2"


class Sentences(BaseModel):
    sentences: list[str] = Field(min_length=1, max_length=32)


class Embeddings(BaseModel):
    embeddings: list[list[float]]
    dimension: int
    model: str = MODEL


@asynccontextmanager
async def load(app: FastAPI) -> AsyncIterator[None]:
    app.state.encoder = SentenceEncoder(model_directory())
    yield


app = FastAPI(title="Sentence embeddings", lifespan=load)


@app.get("/healthz")
async def healthz(request: Request) -> Response:
    ready = hasattr(request.app.state, "encoder")
    return JSONResponse({"ready": ready}, status.HTTP_200_OK if ready else status.HTTP_503_SERVICE_UNAVAILABLE)


@app.post("/embed")
def embed(body: Sentences, request: Request) -> Embeddings:
    encoder: SentenceEncoder = request.app.state.encoder
    return Embeddings(embeddings=encoder.encode(body.sentences).tolist(), dimension=encoder.dimension)
