"""The results of an evaluation by slice, and what they would be at other thresholds."""

import json
from collections.abc import Awaitable, Callable, Sequence

from edgeneuro.domain.agent import NO_AGENT
from edgeneuro.domain.analytics import accuracy_of
from edgeneuro.domain.evaluation import (
    DEFERRED,
    EvaluationDetails,
    ModelSlices,
    ModelSweep,
    SliceResult,
    SweepPoint,
)
from edgeneuro.domain.label import label_line, label_set_sha256
from edgeneuro.domain.slices import Slice, SlicedQuestion, slices_of
from edgeneuro.store.database import Database, Rows, statement

_STEPS = 100  # of the threshold, from 0 to 1
_ITEMS_AT_A_TIME = 1_000  # with some ten slices each they are 500 KB of a parameter


async def read_details(
    db: Database,
    evaluation_id: str,
    model_ids: Sequence[str],
    *,
    deferring: Sequence[str],
    fallback_agent: str | None,
    pause: Callable[[], Awaitable[None]],
) -> EvaluationDetails:
    """`deferring` are the classifiers, which leave unsure decisions to others. Below the threshold
    of every other model, `fallback_agent` is decided on; None: no agent. `pause` lets other
    requests have their turn."""
    return EvaluationDetails(
        slices=await _read_slices(db, evaluation_id, model_ids, pause),
        sweep=await _read_sweep(
            db, evaluation_id, model_ids, deferring=deferring, fallback_agent=fallback_agent
        ),
    )


async def read_label_set(db: Database, evaluation_id: str) -> str:
    """The hash of the labels that an evaluation has (domain/label.py)."""
    rows = await db.run(
        statement(
            "SELECT query_hash, agent_id FROM evaluation_items WHERE evaluation_id = ?1",
            evaluation_id,
        )
    )
    return label_set_sha256(label_line(row["query_hash"], row["agent_id"]) for row in rows)


async def _read_slices(
    db: Database,
    evaluation_id: str,
    model_ids: Sequence[str],
    pause: Callable[[], Awaitable[None]],
) -> list[ModelSlices]:
    rows = await db.run(
        statement(
            "SELECT query_hash, query, turn, metadata FROM evaluation_items"
            " WHERE evaluation_id = ?1 ORDER BY query_hash",
            evaluation_id,
        )
    )
    await pause()
    found = slices_of(
        [
            SlicedQuestion(row["query"], row["turn"], json.loads(row["metadata"] or "{}"))
            for row in rows
        ]
    )
    names = sorted({each for slices in found for each in slices})
    places = {each: place for place, each in enumerate(names)}
    sums: dict[tuple[str, int], list[int]] = {}
    for at in range(0, len(rows), _ITEMS_AT_A_TIME):
        part = zip(rows[at : at + _ITEMS_AT_A_TIME], found[at : at + _ITEMS_AT_A_TIME], strict=True)
        pairs = [[row["query_hash"], places[each]] for row, slices in part for each in slices]
        for row in await db.run(
            statement(_SLICE_COUNTS, evaluation_id, json.dumps(pairs), json.dumps(list(model_ids)))
        ):
            of_slice = sums.setdefault((row["model_id"], row["place"]), [0, 0, 0])
            for index, name in enumerate(("n", "right", "deferred")):
                of_slice[index] += row[name]
        await pause()
    return [
        ModelSlices(
            model_id=model_id,
            slices=[
                _slice_result(each, *sums[model_id, place])
                for place, each in enumerate(names)
                if (model_id, place) in sums
            ],
        )
        for model_id in model_ids
    ]


_SLICE_COUNTS = (
    "SELECT answer.model_id, pair.value ->> 1 AS place, count(*) AS n, sum(is_right) AS right,"
    f" sum(coalesce(reason = '{DEFERRED}', 0)) AS deferred"
    " FROM json_each(?2) AS pair CROSS JOIN json_each(?3) AS name"
    " CROSS JOIN evaluation_answers AS answer ON answer.evaluation_id = ?1"
    " AND answer.model_id = name.value AND answer.query_hash = pair.value ->> 0 GROUP BY 1, 2"
)


def _slice_result(each: Slice, n: int, right: int, deferred: int) -> SliceResult:
    return SliceResult(
        by=each.by,
        value=each.value,
        n=n,
        right=right,
        deferred=deferred,
        accuracy=accuracy_of(right, n),
        precision=accuracy_of(right, n - deferred),
    )


# Each answer by the highest step that its confidence reaches, exactly: k / 100 is the very number
# that a threshold of k hundredths is.
_HUNDREDTHS = "CAST(confidence * 100 AS INTEGER)"
_STEP = (
    f"{_HUNDREDTHS} + (confidence >= ({_HUNDREDTHS} + 1) / 100.0)"
    f" - (confidence < {_HUNDREDTHS} / 100.0)"
)
_LABEL = f"coalesce(item.agent_id, '{NO_AGENT}')"
_SWEEP = (
    "SELECT model_id, CASE WHEN failed OR named_agent IS NULL THEN -1"
    # The threshold does not apply to a confidence that is unknown.
    f" WHEN confidence IS NULL THEN {_STEPS} ELSE {_STEP} END AS step,"
    " count(*) AS n, sum(layer IS NULL AND NOT failed) AS unknown,"
    f" sum(NOT failed AND named_agent IS item.agent_id) AS right,"
    f" sum(NOT failed AND {_LABEL} = ?2) AS right_below"
    " FROM evaluation_answers AS answer JOIN evaluation_items AS item"
    " USING (evaluation_id, query_hash) WHERE evaluation_id = ?1 GROUP BY 1, 2"
)


async def _read_sweep(
    db: Database,
    evaluation_id: str,
    model_ids: Sequence[str],
    *,
    deferring: Sequence[str],
    fallback_agent: str | None,
) -> list[ModelSweep]:
    rows = await db.run(statement(_SWEEP, evaluation_id, fallback_agent or NO_AGENT))
    by_model = {each: [row for row in rows if row["model_id"] == each] for each in model_ids}
    return [
        ModelSweep(model_id=each, points=_points(found, defers=each in deferring))
        for each, found in by_model.items()
        # What was answered before confidences were stored has none.
        if found and not any(row["unknown"] for row in found)
    ]


def _points(rows: Rows, *, defers: bool) -> list[SweepPoint]:
    n = sum(row["n"] for row in rows)
    # Where no stage named an agent, or none answered, the threshold changes nothing.
    always_right = sum(row["right"] for row in rows if row["step"] < 0)
    points = []
    for step in range(_STEPS + 1):
        above = [row for row in rows if row["step"] >= step]
        answered, right = (sum(row[name] for row in above) for name in ("n", "right"))
        below = sum(row["right_below"] for row in rows if 0 <= row["step"] < step)
        all_right = right + always_right + (0 if defers else below)
        points.append(
            SweepPoint(
                threshold=step / _STEPS,
                answered=answered,
                right=right,
                accuracy=all_right / n,
                coverage=answered / n,
                precision=right / answered if answered else None,
            )
        )
    return points
