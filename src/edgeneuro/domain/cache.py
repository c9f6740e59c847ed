"""The caches of answers, as the control plane shows them."""

from typing import Literal

from pydantic import BaseModel


class CacheEpoch(BaseModel):
    """The number of the last flush, as the audit log has it."""

    epoch: int


class CacheFlushed(BaseModel):
    """`decisions` and `chats` cached answers were deleted from D1. All isolates and AI Gateway look
    under new keys within 5 seconds."""

    object: Literal["cache.flushed"] = "cache.flushed"
    epoch: int
    decisions: int
    chats: int
