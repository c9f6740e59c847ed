"""The histogram of latencies: buckets that grow with the value, ten equal steps a doubling.

Latencies of 0.0625 ms and more fall into [a, b) with (b - a) / (a + b) <= 1/21, so the value that
stands for a bucket, 2ab / (a + b), is never further than 4.8 % from any latency in it. Bucket 0 is
all below, and the last one all of 131 s and more."""

STEPS = 10
FIRST_POWER, LAST_POWER = -4, 17  # of two, in milliseconds
LAST_BUCKET = 1 + STEPS * (LAST_POWER - FIRST_POWER)


def bucket_ms(bucket: int) -> float:
    """The latency that stands for a bucket, in four digits."""
    if bucket <= 0:
        return 0.0
    if bucket >= LAST_BUCKET:
        return 2.0**LAST_POWER
    doublings, step = divmod(bucket - 1, STEPS)
    start = 2.0 ** (FIRST_POWER + doublings)
    low, high = start * (1 + step / STEPS), start * (1 + (step + 1) / STEPS)
    return float(f"{2 * low * high / (low + high):.4g}")
