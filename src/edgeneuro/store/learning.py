"""What learning by itself keeps in D1: `observed_hours`, what a classifier that is not selected
would have answered, and `audit_blocks`, the audit samples of the selected one. Both are added to in
the batch of what they count, so each query and each sample counts once. Also how the rules enable
and disable a classifier: only while what they decided from is still so."""

from dataclasses import astuple, dataclass

from edgeneuro.domain.agreement_test import BLOCK_SAMPLES
from edgeneuro.domain.learning import LearnedState
from edgeneuro.store.additions import NEW_ANSWERS, Addition, added
from edgeneuro.store.database import Database, Rows, Statement, statement
from edgeneuro.store.usage import HOUR, add_new_logs

# When the selected classifier was selected.
_SELECTED_AT = "(SELECT updated_at FROM config WHERE key = 'classifier')"
_IS_SELECTED = "EXISTS (SELECT 1 FROM config WHERE key = 'classifier' AND value = json_quote(?1))"


@dataclass(frozen=True)
class Observed:
    """Of `compared` queries that a model decided, the classifier was sure of an agent in
    `answered`, of the model's in `agreed`. The same of those that the selected classifier
    decided: `beside`, `beside_answered`, `beside_agreed`."""

    compared: int = 0
    answered: int = 0
    agreed: int = 0
    beside: int = 0
    beside_answered: int = 0
    beside_agreed: int = 0


_COUNTS = tuple(Observed.__dataclass_fields__)
COUNT_OBSERVED = (
    f"INSERT INTO observed_hours (classifier, hour, {', '.join(_COUNTS)})"
    f" SELECT {added(1)}, {added(2)}, {', '.join(f'sum({added(3 + n)})' for n in range(6))}"
    f" FROM {NEW_ANSWERS} WHERE true GROUP BY 1, 2 ON CONFLICT (classifier, hour)"
    f" DO UPDATE SET {', '.join(f'{name} = {name} + excluded.{name}' for name in _COUNTS)}"
)


def count_observed(classifier_id: str, at_ms: int, seen: Observed) -> Addition:
    values = (int(each) for each in astuple(seen))
    return Addition("observed", (classifier_id, at_ms - at_ms % HOUR, *values))


async def read_observed(db: Database, classifier_id: str) -> tuple[Observed, int | None]:
    """All sums of a classifier, and the hour in which they begin; None: there are none."""
    names = list(Observed.__dataclass_fields__)
    sums = ", ".join(f"coalesce(sum({name}), 0) AS {name}" for name in names)
    [row] = await db.run(
        statement(
            f"SELECT {sums}, min(hour) AS first FROM observed_hours WHERE classifier = ?1",
            classifier_id,
        )
    )
    return Observed(*(row[name] for name in names)), row["first"]


def count_audit_sample(classifier_id: str, log_id: str, *, agrees: bool) -> Statement:
    """Goes right before the audit sample, so that a sample which is there already does not count
    again. It counts only while the classifier is selected in the default router."""
    return statement(
        "INSERT INTO audit_blocks (classifier, since, block, samples, agreed)"
        f" SELECT ?1, {_SELECTED_AT}, (SELECT coalesce(sum(samples), 0) / {BLOCK_SAMPLES}"
        f" FROM audit_blocks WHERE classifier = ?1 AND since = {_SELECTED_AT}), 1, ?3"
        f" WHERE {_IS_SELECTED} AND NOT EXISTS (SELECT 1 FROM audit_samples WHERE log_id = ?2)"
        " ON CONFLICT (classifier, since, block)"
        " DO UPDATE SET samples = samples + 1, agreed = agreed + excluded.agreed",
        classifier_id,
        log_id,
        int(agrees),
    )


def select_audit_blocks(classifier_id: str) -> Statement:
    """Since the classifier was selected, in their order."""
    return statement(
        "SELECT samples, agreed FROM audit_blocks WHERE classifier = ?1"
        f" AND since = {_SELECTED_AT} AND {_IS_SELECTED} ORDER BY block",
        classifier_id,
    )


def blocks_from_rows(rows: Rows) -> list[tuple[int, int]]:
    return [(row["samples"], row["agreed"]) for row in rows]


def enable_classifier(
    classifier_id: str, learned: LearnedState, *, previous: str | None, now_ms: int
) -> list[Statement]:
    """Selects a classifier that has succeeded, only while `previous` is the selected one and
    `learning` is on. The last statement is the change; `learned` is stored with it."""
    ready = (
        "coalesce((SELECT value FROM config WHERE key = 'classifier'), 'null') = json_quote(?2)"
        " AND (SELECT value FROM config WHERE key = 'learning') = json_quote('on')"
        " AND EXISTS (SELECT 1 FROM classifiers WHERE id = ?1 AND checksum IS NOT NULL)"
    )
    return [
        _store_learned(learned, ready, classifier_id, previous, now_ms),
        statement(
            "INSERT INTO config (key, value, updated_at)"
            f" SELECT 'classifier', json_quote(?1), ?3 WHERE {ready} ON CONFLICT (key)"
            " DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at RETURNING key",
            classifier_id,
            previous,
            now_ms,
        ),
    ]


def disable_classifier(
    classifier_id: str, learned: LearnedState, *, now_ms: int
) -> list[Statement]:
    """Deselects the classifier, only while it is selected. The last statement is the change."""
    return [
        _store_learned(learned, f"{_IS_SELECTED} AND ?2 IS NULL", classifier_id, None, now_ms),
        statement(
            "DELETE FROM config WHERE key = 'classifier' AND value = json_quote(?1) RETURNING key",
            classifier_id,
        ),
    ]


def settle(classifier_id: str, learned: LearnedState, *, now_ms: int) -> Statement:
    """Notes that the classifier has enough audit samples after the change."""
    where = f"{_IS_SELECTED} AND ?2 IS NULL"
    return _store_learned(learned, where, classifier_id, None, now_ms)


def _store_learned(
    learned: LearnedState, where: str, classifier_id: str, previous: str | None, now_ms: int
) -> Statement:
    return statement(
        "INSERT INTO config (key, value, updated_at)"
        f" SELECT 'learned', json(?4), ?3 WHERE {where} ON CONFLICT (key)"
        " DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
        classifier_id,
        previous,
        now_ms,
        learned.model_dump_json(),
    )


async def delete_observed_before(db: Database, moment_ms: int) -> None:
    await db.run(statement("DELETE FROM observed_hours WHERE hour < ?1", moment_ms))


@dataclass(frozen=True)
class ModelDecisions:
    """Of the hours since a moment: decisions `by_model` and `by_classifier`, the `cost_usd` of the
    `priced` ones of models, and the `first` hour that has any (unix milliseconds)."""

    by_model: int
    by_classifier: int
    priced: int
    cost_usd: float
    first: int | None


async def read_model_decisions(db: Database, *, since_ms: int) -> ModelDecisions:
    await add_new_logs(db)
    [row] = await db.run(
        statement(
            "SELECT coalesce(sum(iif(stage = 'model', decisions, 0)), 0) AS by_model,"
            " coalesce(sum(iif(stage = 'classifier', decisions, 0)), 0) AS by_classifier,"
            " coalesce(sum(iif(stage = 'model', priced, 0)), 0) AS priced,"
            " total(iif(stage = 'model', cost_usd, 0)) AS cost_usd, min(hour) AS first"
            " FROM decision_hours WHERE hour >= ?1",
            since_ms,
        )
    )
    return ModelDecisions(**row)


async def count_model_decisions(db: Database, *, after_ms: int, most: int) -> int:
    """How many decisions of models with their texts there were after that moment in the default
    router, counted up to `most`."""
    [row] = await db.run(
        statement(
            "SELECT count(*) AS decisions FROM (SELECT 1 FROM logs WHERE created_at > ?1"
            " AND query <> '' AND layer IN ('llm', 'decision_model') AND router IS NULL LIMIT ?2)",
            after_ms,
            most,
        )
    )
    return int(row["decisions"])
