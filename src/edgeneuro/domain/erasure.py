"""Erasures: the texts of one question, or of one person, deleted wherever they are stored."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints, model_validator

from edgeneuro.domain.fields import without_nul

MAX_GATEWAY_LOGS_SHOWN = 100
_Field = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class ErasureTarget(BaseModel):
    """What is erased. A question is found by its hash, where nothing was decided by its
    `near_hashes`, and in the context of the message after it by `previous_hashes`; a user by the
    ids of the user and of the user's keys, `key_ids`; a caller's own `user` or `session` by its
    value. `until` is the last log row that existed at the beginning."""

    query_hash: str | None = None
    near_hashes: list[str] = []
    previous_hashes: list[str] = []
    key_ids: list[str] = []
    user: str | None = None
    session: str | None = None
    until: int = 0


class ErasureCheckpoint(BaseModel):
    """`position` is the last log row that was looked at."""

    target: ErasureTarget
    position: int = 0


class ErasureCounts(BaseModel):
    """Rows that were deleted; `contexts` are log rows that stay without the texts of the turn
    before their message, because it was erased; `gateway_logs` are entries of AI Gateway's log that
    may still hold the texts, `gateway_log_ids` the first 100 of them."""

    logs: int = 0
    labels: int = 0
    feedback: int = 0
    contexts: int = 0
    gateway_logs: int = 0
    gateway_log_ids: list[str] = []

    def add(self, more: "ErasureCounts") -> None:
        self.logs += more.logs
        self.labels += more.labels
        self.feedback += more.feedback
        self.contexts += more.contexts
        self.gateway_logs += more.gateway_logs
        room = MAX_GATEWAY_LOGS_SHOWN - len(self.gateway_log_ids)
        self.gateway_log_ids += more.gateway_log_ids[:room]


class Erasure(ErasureCounts):
    """`done` false: there is more than one request may delete; the cron continues every minute."""

    object: Literal["erasure"] = "erasure"
    id: str
    done: bool


class LogsEraseQuery(BaseModel):
    """The log rows whose caller sent this `user`, or this `session`."""

    model_config = ConfigDict(extra="forbid")

    user: _Field | None = None
    session: _Field | None = None

    @model_validator(mode="after")
    def _one_field(self) -> "LogsEraseQuery":
        if (self.user is None) == (self.session is None):
            raise ValueError("needs either user or session, not both")
        without_nul(self.user or self.session or "")
        return self
