"""What several folders of tests share, since a start of the product takes seconds."""

from collections.abc import Iterator

import pytest

from tests.worker.guarded_product import Guarded, guarded_product


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """The product behind Cloudflare Access, which takes keys as any other. The tests of the pages
    use it too: before them it has to be as new."""
    with guarded_product(tmp_path_factory.mktemp("guarded")) as guarded:
        yield guarded
