"""Labels: what people say is the right agent for a question. The history is kept, the latest
wins."""

from dataclasses import dataclass
from typing import Literal

LabelSource = Literal["hand", "bulk", "import", "feedback"]


@dataclass(frozen=True, kw_only=True)
class LabelEvent:
    """One entry of the history. `agent_id` None means that no agent fits; `removed` takes the
    label of the question away. `id` and `created_ms` are the logic's, so that order and time are
    its own."""

    id: str
    query: str
    agent_id: str | None
    labeler: str
    source: LabelSource
    created_ms: int
    log_id: str | None = None
    note: str | None = None
    removed: bool = False
