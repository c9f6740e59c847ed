"""Whole numbers as JSON has them: 7.0 is 7, 7.5 and true are none."""

from typing import Any

from pydantic import BeforeValidator


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


# Goes last into an Annotated[int, Field(…), INTEGRAL], or the schema loses the field's limits.
INTEGRAL = BeforeValidator(_whole)
