"""Where in a text that is being written a JSON object ends."""

from __future__ import annotations

import json


def end_of_object(text: str) -> int | None:
    """The place behind the first whole object; None while there is none."""
    start = text.find("{")
    if start < 0 or "}" not in text:
        return None
    try:
        _, end = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    return end
