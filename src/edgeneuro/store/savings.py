"""What decisions took by the stage that made them: the sums that savings are computed from. They
are written with the log rows (store/usage.py, table `decision_hours`)."""

from edgeneuro.store.database import Statement, statement
from edgeneuro.store.usage import DAY


def select_decisions(start: int, stop: int) -> Statement:
    """A row for each day (its start, unix milliseconds) and stage in the hours of the range."""
    return statement(
        f"SELECT hour - hour % {DAY} AS day, stage, sum(decisions) AS decisions,"
        " sum(priced) AS priced, sum(cost_usd) AS cost_usd, sum(ms) AS ms,"
        " sum(emulated) AS emulated FROM decision_hours WHERE hour >= ?1 AND hour < ?2"
        " GROUP BY 1, 2 ORDER BY 1, 2",
        start,
        stop,
    )


_NEWEST_ROWS = 5_000  # bounds what is read; a busy installation has these within minutes


def mean_tokens_of_models() -> Statement:
    """One row: the mean `prompt_tokens` and `completion_tokens` of the newest decisions that called
    a model, null if there are none. A chat's tokens are those of its answer too, so chats are not
    in it, nor decisions that a cache of AI Gateway gave, which count none."""
    return statement(
        "SELECT avg(prompt_tokens) AS prompt_tokens, avg(completion_tokens) AS completion_tokens"
        " FROM (SELECT kind, other_kind, prompt_tokens, completion_tokens FROM logs"
        " ORDER BY id DESC LIMIT ?1)"
        " WHERE kind = 'route' AND other_kind IS NULL AND prompt_tokens > 0",
        _NEWEST_ROWS,
    )
