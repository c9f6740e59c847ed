"""Dead letters: answers whose log rows D1 refused."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from edgeneuro.domain.fields import PageQuery


class DeadLettersQuery(PageQuery):
    """A page of dead letters."""


class DeadLetter(BaseModel):
    """`row` is the log row that was to be written, by its columns; null if what came through the
    queue is not readable. `id` is that of the log row then. `error` is the database's own text."""

    object: Literal["dead_letter"] = "dead_letter"
    id: str
    failed_at: str
    error: str
    row: dict[str, Any] | None


class DeadLettersRetried(BaseModel):
    """`written` are in the logs now, `failed` were refused again; `left` counts all that are still
    dead letters."""

    object: Literal["dead_letters.retried"] = "dead_letters.retried"
    written: int
    failed: int
    left: int


class DeadLettersDeleted(BaseModel):
    object: Literal["dead_letters.deleted"] = "dead_letters.deleted"
    deleted: int = Field(ge=0)
