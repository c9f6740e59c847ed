"""Log rows in the bucket LOG_SINK: each row in one file, whatever fails meanwhile."""

import json
from dataclasses import replace

import pytest

from edgeneuro.app.application import build_app
from edgeneuro.controlplane.jobs.schedule import EVERY_MINUTE
from edgeneuro.controlplane.observe import log_slices
from edgeneuro.store import log_slices as store
from edgeneuro.store.log_slices import SLICE_ROWS
from tests.unit.conftest import Product
from tests.unit.invocations import run_scheduled
from tests.unit.test_log_search import many
from tests.unit.test_logs import ask

FIRST = "logs/2027-01-15/000000000001-000000000001.jsonl"


class Bucket:
    """The next `fail` files fail, with `stores` after they were stored."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.fail = 0
        self.stores = False

    async def put(self, name: str, content: bytes, /) -> None:
        fails, self.fail = self.fail > 0, max(0, self.fail - 1)
        if not fails or self.stores:
            self.files[name] = content.decode()
        if fails:
            raise OSError("the connection was lost")

    def ids(self) -> list[str]:
        texts = (self.files[name] for name in sorted(self.files))
        return [json.loads(line)["id"] for text in texts for line in text.splitlines()]


@pytest.fixture
def bucket(product: Product) -> Bucket:
    bucket = Bucket()
    product.services = replace(product.services, log_bucket=bucket)
    product.app = build_app(product.services)
    return bucket


async def minute(product: Product, seconds: float = 60) -> None:
    product.clock.seconds += seconds
    await run_scheduled(product.services, EVERY_MINUTE)


def logged(product: Product) -> list[str]:
    return [row["id"] for row in product.rows("SELECT id FROM logs ORDER BY seq")]


async def test_rows_wait_for_an_hour_and_are_written_once(product: Product, bucket: Bucket) -> None:
    await ask(product, "first")
    await minute(product)
    assert list(bucket.files) == [FIRST]
    await ask(product, "second")
    await ask(product, "third")
    for _ in range(3):
        await minute(product)
    assert len(bucket.files) == 1
    await minute(product, 3_600)
    await minute(product, 3_600)
    assert len(bucket.files) == 2
    assert bucket.ids() == logged(product)
    listed = {row["id"]: row for row in await product.logs()}
    [line] = bucket.files[FIRST].splitlines()
    assert json.loads(line) == listed[logged(product)[0]]


async def test_many_rows_are_several_files_and_a_run_is_bounded(
    product: Product, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_slices, "MAX_SLICES", 2)
    await many(product, 3 * SLICE_ROWS + 200)
    await minute(product)
    assert len(bucket.files) == 2
    assert all(len(text.splitlines()) == SLICE_ROWS for text in bucket.files.values())
    await minute(product)
    await minute(product, 3_600)
    assert bucket.ids() == logged(product)


@pytest.mark.parametrize("stores", [False, True])
async def test_a_file_that_failed_is_written_again_with_its_name_and_rows(
    product: Product, bucket: Bucket, stores: bool
) -> None:
    await ask(product, "first")
    bucket.fail, bucket.stores = 1, stores
    await minute(product)
    await ask(product, "second")
    await minute(product)
    assert list(bucket.files) == [FIRST]
    assert bucket.ids() == logged(product)[:1]
    assert product.failures.counts["log_slices"] == 1
    await minute(product, 86_400)
    assert bucket.ids() == logged(product)
    assert [name[:15] for name in sorted(bucket.files)] == ["logs/2027-01-15", "logs/2027-01-16"]


async def test_two_runs_at_once_write_the_same_file(product: Product, bucket: Bucket) -> None:
    await ask(product, "first")
    db, now_ms = product.services.db, product.services.now_ms()
    begun = await store.begin_slice(db, now_ms=now_ms)
    assert begun is not None
    assert await store.begin_slice(db, now_ms=now_ms + 1_000) == begun
    await ask(product, "second")
    await store.end_slice(db, begun)
    await store.end_slice(db, begun)
    [row] = product.rows("SELECT after_seq, to_seq FROM log_slices")
    assert row == {"after_seq": 1, "to_seq": None}


async def test_rows_that_were_erased_are_in_no_file(product: Product, bucket: Bucket) -> None:
    await ask(product, "first")
    product.execute("DELETE FROM logs")
    await minute(product)
    assert bucket.files == {}


async def test_without_a_bucket_nothing_is_begun(product: Product) -> None:
    await ask(product, "first")
    await minute(product)
    assert product.rows("SELECT after_seq, to_seq FROM log_slices") == [
        {"after_seq": 0, "to_seq": None}
    ]
