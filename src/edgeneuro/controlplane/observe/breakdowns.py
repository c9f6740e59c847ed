"""Analytics of single questions: what a range comes to, how long each layer takes, and which agents
are confused."""

from edgeneuro.call import Call
from edgeneuro.controlplane.observe.analytics import (
    NOTHING,
    figures_of,
    latency_of,
    range_of,
    savings_in,
)
from edgeneuro.domain.analytics import (
    Confusion,
    ConfusionReport,
    LatencyCount,
    LatencyReport,
    LayerLatency,
    RangeQuery,
    RangeTotals,
    UsageFigures,
)
from edgeneuro.domain.statistics import FIRST_POWER, LAST_BUCKET, LAST_POWER, STEPS
from edgeneuro.store.analytics import by_place, read_confusions, read_latencies, read_totals
from edgeneuro.store.sql import rfc3339


async def show_totals(call: Call, query: RangeQuery) -> RangeTotals:
    """The sums of a range of hours and what it saved: all that a comparison with another range
    needs, for a fraction of the work of GET /v1/analytics. The default range is the last 24
    hours."""
    start, stop = range_of(query.from_, query.to, now_ms=call.services.now_ms())
    read = await read_totals(call.services.db, start=start, stop=stop)
    sums = read.sums[0] if read.sums else NOTHING
    latency = read.latency[0] if read.latency else None
    return RangeTotals(
        from_=rfc3339(start),
        to=rfc3339(stop),
        totals=UsageFigures(**figures_of(sums, latency)),
        savings=savings_in(read.decisions, start, stop),
    )


async def show_latencies(call: Call, query: RangeQuery) -> LatencyReport:
    """The latencies of each layer in a range of hours. The default range is the last 24 hours."""
    start, stop = range_of(query.from_, query.to, now_ms=call.services.now_ms())
    percentiles, counts = await read_latencies(call.services.db, start=start, stop=stop)
    latencies = by_place(percentiles)
    layers: dict[str, dict[int, int]] = {}
    for row in counts:
        doublings = layers.setdefault(row["place"], {})
        doubling = _doubling(row["bucket"])
        doublings[doubling] = doublings.get(doubling, 0) + row["answers"]
    found = [
        LayerLatency(
            layer=layer,
            requests=sum(doublings.values()),
            latency_ms=latency_of(latencies.get(layer)),
            distribution=[_count(each, n) for each, n in sorted(doublings.items())],
        )
        for layer, doublings in layers.items()
    ]
    found.sort(key=lambda each: -each.requests)
    return LatencyReport(from_=rfc3339(start), to=rfc3339(stop), layers=found)


def _doubling(bucket: int) -> int:
    """Ten buckets are a doubling; the first and the last bucket are alone."""
    return 0 if bucket <= 0 else 1 + (min(bucket, LAST_BUCKET) - 1) // STEPS


def _count(doubling: int, requests: int) -> LatencyCount:
    low, high = FIRST_POWER + doubling - 1, FIRST_POWER + doubling
    return LatencyCount(
        from_ms=0.0 if doubling == 0 else 2.0**low,
        to_ms=None if high > LAST_POWER else 2.0**high,
        requests=requests,
    )


async def show_confusions(call: Call, query: RangeQuery) -> ConfusionReport:
    """The labels of a range of hours that were routed to another agent most often. The default
    range is the last 24 hours."""
    start, stop = range_of(query.from_, query.to, now_ms=call.services.now_ms())
    rows = await read_confusions(call.services.db, start=start, stop=stop)
    return ConfusionReport(
        from_=rfc3339(start), to=rfc3339(stop), pairs=[Confusion(**row) for row in rows]
    )
