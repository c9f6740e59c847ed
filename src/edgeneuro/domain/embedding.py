"""The second classifier: trained from the labels of a classifier, it also sees the vector that an
embedding model makes of a query, and is asked where the first one is not sure."""

import hashlib
from typing import Any, Literal

from pydantic import BaseModel

from edgeneuro.domain.job import JobState

ID_PREFIX = "emb"
# A training without vectors of so many of its examples would learn another model.
MIN_SHARE_OF_VECTORS = 0.95
MAX_VECTOR_BYTES = 20_000_000  # of all examples of a training


class EmbeddingProgress(BaseModel):
    """`stage`: "vectors" are made of the labels' texts, up to the example `prepared`; then it is
    trained. `made` vectors were made by this training, `missing` labels have none, and `cost_usd`
    is what the embedding model took (null: its price is not known)."""

    stage: Literal["vectors", "training", "finished"] = "vectors"
    slices: int = 0
    prepared: int = 0
    made: int = 0
    missing: int = 0
    cost_usd: float | None = 0.0


class EmbeddingGainState(BaseModel):
    """Of the last `queries` that the stage was asked, the share `hit_share` was decided. `saved_ms`
    and `saved_usd` are what it saves a query on average, below 0 if it costs more: then the stage
    is not `on`, and every 20th query goes on measuring it. Null: not known."""

    on: bool
    queries: int
    hit_share: float | None
    saved_ms: float | None
    saved_usd: float | None


class EmbeddingClassifier(BaseModel):
    """`id` is the job's resource. `model_id` is the embedding model and `width` the numbers of its
    vectors. `metrics` are of held-out labels, `refusal` says why it answers nothing. `gain` is what
    the stage saves, as the isolate that answers has seen it; null if it is not asked."""

    id: str
    classifier_id: str
    model_id: str
    identity: str
    width: int | None = None
    state: JobState
    progress: EmbeddingProgress
    metrics: dict[str, Any] | None = None
    refusal: str | None = None
    size: int | None = None
    version: str | None = None
    error: str | None = None
    gain: EmbeddingGainState | None = None


class SelectedEmbedding(BaseModel):
    """What the routing configuration knows of one that can answer."""

    id: str
    identity: str
    width: int


def vector_key(identity: str, text: str) -> str:
    """Of the caches: of this isolate and of AI Gateway."""
    return hashlib.sha256(f"embedding\n{identity}\n{text}".encode()).hexdigest()
