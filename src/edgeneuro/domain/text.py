"""Texts that people write, and the limits that they share."""

from typing import Annotated

from pydantic import AfterValidator, StringConstraints


def without_nul(text: str) -> str:
    if "\0" in text:  # SQLite ends a text at NUL, so only a part would be kept
        raise ValueError("must not hold the character U+0000; remove it")
    return text


QueryText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=8000),
    AfterValidator(without_nul),
]
Note = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=1000),
    AfterValidator(without_nul),
]
Id = Annotated[str, StringConstraints(min_length=1, max_length=128)]
