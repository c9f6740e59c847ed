"""The table `classifier_examples`: the labels that may stand as examples beside an agent in a
shorter question to a model. It holds no texts: these are read from the labels in force."""

import json
from collections.abc import Mapping, Sequence

from edgeneuro.store.database import Database, Row, Statement, statement

MAX_CHARACTERS = 200  # of a text that is shown


def write_examples(classifier_id: str, chosen: Mapping[str, Sequence[str]]) -> Statement:
    """`chosen` are query hashes by agent."""
    pairs = [[key, agent] for agent, keys in chosen.items() for key in keys]
    return statement(
        "INSERT OR IGNORE INTO classifier_examples (classifier_id, query_hash, agent_id)"
        " SELECT ?1, value ->> 0, value ->> 1 FROM json_each(?2)",
        classifier_id,
        json.dumps(pairs),
    )


async def read_examples(db: Database, classifier_id: str) -> Sequence[Row]:
    """`agent_id` and `query` of those whose label is still in force, in an order that is always the
    same."""
    return await db.run(
        statement(
            "SELECT examples.agent_id, current_labels.query FROM classifier_examples AS examples"
            " CROSS JOIN current_labels USING (query_hash)"
            " WHERE examples.classifier_id = ?1 AND current_labels.agent_id = examples.agent_id"
            " AND current_labels.context IS NULL AND length(current_labels.query) <= ?2"
            " ORDER BY examples.query_hash",
            classifier_id,
            MAX_CHARACTERS,
        )
    )


def erase_examples(hashes: str) -> Statement:
    """`hashes` is a JSON list of query hashes."""
    return statement(
        "DELETE FROM classifier_examples WHERE query_hash IN (SELECT value FROM json_each(?1))",
        hashes,
    )
