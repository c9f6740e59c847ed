"""Which decisions are in a sample."""

import hashlib


def sampled(decision_id: str, share: float) -> bool:
    """Depends on the decision's id alone, so it gives the same answer for a decision every time."""
    drawn = int.from_bytes(hashlib.sha256(decision_id.encode()).digest()[:8])
    return drawn < share * 2**64
