"""Log rows in the bucket LOG_SINK, where one is bound: the cron writes them as files of JSON
Lines. Each row is in one file, whose name says which rows it has."""

from edgeneuro.controlplane.jobs.pacing import Pacer
from edgeneuro.services import LogBucket, Services
from edgeneuro.store.log_slices import LogSlice, begin_slice, end_slice
from edgeneuro.store.logs import read_slice
from edgeneuro.store.sql import rfc3339

MAX_SLICES = 10  # of a run; each is six queries of D1
_PAGE_ROWS = 500


async def write_log_slices(services: Services) -> None:
    """Every minute. Raises OSError if the bucket does not take a file: the next run writes it
    again."""
    bucket = services.log_bucket
    if bucket is None:
        return
    for _ in range(MAX_SLICES):
        begun = await begin_slice(services.db, now_ms=services.now_ms())
        if begun is None:
            return
        await _write(services, bucket, begun)
        await end_slice(services.db, begun)


async def _write(services: Services, bucket: LogBucket, begun: LogSlice) -> None:
    """The rows as they are now, with their labels and feedback. Rows that were deleted since are
    left out; without any there is no file."""
    pacer = Pacer(services.sleep)
    content = bytearray()
    after = begun.after_seq
    while True:
        items, last = await read_slice(services.db, after, begun.to_seq, limit=_PAGE_ROWS)
        for item in items:
            line = item.model_dump_json()
            content += line.encode() + b"\n"
            await pacer.spend(len(line))
        if last is None:
            break
        after = last
    if content:
        await bucket.put(name_of(begun), bytes(content))


def name_of(begun: LogSlice) -> str:
    """By the day on which the slice was begun, in UTC, and its rows in their order."""
    day = rfc3339(begun.begun_at)[:10]
    return f"logs/{day}/{begun.after_seq + 1:012}-{begun.to_seq:012}.jsonl"
