"""Texts that people write, and the limits that they share."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, StringConstraints
from pydantic_core import CoreSchema, core_schema

from edgeneuro.domain.canonical import canonical

MAX_QUERY_CHARACTERS = 8_000


ID_RULE = (
    "must be 1 to 64 small letters, digits, hyphens and underscores, with a letter or a digit first"
)


class Matches:
    """Of a text, in Annotated: it matches `pattern` as a whole. The refusal is the `rule`, a
    sentence without its subject, where pydantic's own shows the expression."""

    def __init__(self, pattern: str, rule: str) -> None:
        self._pattern = pattern
        self._compiled = re.compile(pattern)
        self._rule = rule

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "pattern": f"^(?:{self._pattern})$"}

    def _check(self, text: str) -> str:
        if self._compiled.fullmatch(text) is None:
            raise ValueError(self._rule)
        return text


def without_nul(text: str) -> str:
    if "\0" in text:  # SQLite ends a text at NUL, so only a part would be kept
        raise ValueError("must not hold the character U+0000; remove it")
    return text


def question_text(text: str) -> str:
    """The canonical text of a question. Raises ValueError where nothing visible is left, or where
    Unicode's compatibility forms unfold to more than 8,000 characters."""
    text = canonical(text)
    if not text:
        raise ValueError("holds no visible character; send a text")
    if len(text) > MAX_QUERY_CHARACTERS:
        raise ValueError(
            f"must have at most {MAX_QUERY_CHARACTERS} characters once its Unicode form is NFKC;"
            " shorten it"
        )
    return text


QueryText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_QUERY_CHARACTERS),
    AfterValidator(without_nul),
    AfterValidator(question_text),
]
Note = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=1000),
    AfterValidator(without_nul),
]
Id = Annotated[str, StringConstraints(min_length=1, max_length=128)]
