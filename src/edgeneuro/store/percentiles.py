"""Percentiles of single values, computed in SQL: an array of all values would pass the 2 MB that a
value of D1 may have. Those of histograms are in usage.py."""


def exact_percentiles(value: str, source: str, *, group: str = "''") -> str:
    """A query for `p50` and `p95` of each `place`: the smallest value that at least so many percent
    of the values do not exceed (nearest rank). `value` and `group` are expressions over `source`;
    nulls do not count, and a group without values has no row."""
    ranked = (
        f"SELECT {group} AS place, {value} AS value,"
        f" row_number() OVER (PARTITION BY {group} ORDER BY {value}) AS rank,"
        f" count(*) OVER (PARTITION BY {group}) AS n"
        f" FROM {source} WHERE {value} IS NOT NULL"
    )
    at = "min(value) FILTER (WHERE 100 * rank >= {} * n) AS p{}"
    return f"SELECT place, {at.format(50, 50)}, {at.format(95, 95)} FROM ({ranked}) GROUP BY place"
