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
