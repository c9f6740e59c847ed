"""The table `discovered_models`: Workers AI's own catalogue, as last seen."""

import json
from collections.abc import Sequence
from dataclasses import asdict, fields

from edgeneuro.domain.catalogue import BaseModelFacts
from edgeneuro.store.database import Row, Statement, statement

_FIELDS = {field.name for field in fields(BaseModelFacts)}


def select_discovered() -> Statement:
    return statement("SELECT facts FROM discovered_models ORDER BY id")


def replace_discovered(facts: Sequence[BaseModelFacts], *, now_ms: int) -> list[Statement]:
    return [
        statement("DELETE FROM discovered_models"),
        statement(
            "INSERT INTO discovered_models (id, facts, seen_at)"
            " SELECT value ->> 'id', value, ?2 FROM json_each(?1) WHERE true"
            " ON CONFLICT (id) DO UPDATE SET facts = excluded.facts",
            json.dumps([asdict(each) for each in facts]),
            now_ms,
        ),
    ]


def facts_from_row(row: Row) -> BaseModelFacts:
    facts = json.loads(row["facts"])
    return BaseModelFacts(**{name: value for name, value in facts.items() if name in _FIELDS})
