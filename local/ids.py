"""Lowercase UUIDv7, the form of AI Gateway's log ids."""

from __future__ import annotations

import secrets
import uuid


def uuid7(now: float) -> str:
    milliseconds = int(now * 1000) & ((1 << 48) - 1)
    value = milliseconds << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))
