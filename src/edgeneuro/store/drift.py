"""What drift is seen by: what one classifier was asked, in windows of whole hours up to a moment,
and what came before each of them."""

import json
from collections import Counter
from dataclasses import dataclass, field

from edgeneuro.store.database import Database, statement
from edgeneuro.store.usage import HOUR, add_new_logs

# Hours of each window, without the current hour.
WINDOWS = {"1h": 1, "24h": 24, "7d": 168}
_BEFORE = 168  # hours that come before each window
# The hours fall into parts, each of which lies in a window, or before it, as a whole.
_EDGES = sorted({1 + hours + more for hours in WINDOWS.values() for more in (0, _BEFORE)})


@dataclass
class WindowRead:
    """`asked`, `answered` and `out_of_scope` are the classifier's own. `agents` and `agents_before`
    count by the agent that was decided for ("": none), whatever the classifier. Of `compared`
    answers the model gave another one to `differing`."""

    start: int
    asked: int = 0
    answered: int = 0
    out_of_scope: int = 0
    compared: int = 0
    differing: int = 0
    agents: Counter[str] = field(default_factory=Counter)
    agents_before: Counter[str] = field(default_factory=Counter)


async def read_windows(db: Database, classifier_id: str, *, stop: int) -> dict[str, WindowRead]:
    """`stop` is the end of the present hour, unix milliseconds."""
    await add_new_logs(db)
    edges = json.dumps([stop - hours * HOUR for hours in _EDGES])
    first = stop - _EDGES[-1] * HOUR
    # The part of a moment: how many of the edges are later.
    part = "(SELECT count(*) FROM json_each(?1) WHERE value > {moment})"
    asked, compared = await db.batch(
        [
            statement(
                f"SELECT {part.format(moment='hour')} AS part, classifier = ?4 AS own, agent_id,"
                " sum(asked) AS asked, sum(answered) AS answered, sum(out_of_scope) AS out_of_scope"
                " FROM classifier_hours WHERE hour >= ?2 AND hour < ?3 GROUP BY 1, 2, 3",
                edges,
                first,
                stop,
                classifier_id,
            ),
            # The log row knows which classifier gave the answer.
            statement(
                f"SELECT {part.format(moment='sample.created_at')} AS part, count(*) AS compared,"
                " sum(agrees = 0) AS differing FROM audit_samples AS sample"
                " CROSS JOIN logs ON logs.id = sample.log_id WHERE sample.created_at >= ?2"
                " AND sample.created_at < ?3 AND sample.layer = 'llm' AND logs.model = ?4"
                " AND logs.router IS NULL GROUP BY 1",
                edges,
                first,
                stop,
                classifier_id,
            ),
        ]
    )
    found = {}
    for name, hours in WINDOWS.items():
        last, before = _EDGES.index(1 + hours), _EDGES.index(1 + hours + _BEFORE)
        found[name] = read = WindowRead(start=stop - (1 + hours) * HOUR)
        for row in asked:
            if row["part"] <= last:
                read.agents[row["agent_id"]] += row["asked"]
                if row["own"]:
                    read.asked += row["asked"]
                    read.answered += row["answered"]
                    read.out_of_scope += row["out_of_scope"]
            elif row["part"] <= before:
                read.agents_before[row["agent_id"]] += row["asked"]
        for row in compared:
            if row["part"] <= last:
                read.compared += row["compared"]
                read.differing += row["differing"]
    return found
