"""`python -m tests.released`: writes the backup of an installation of this version, with data of
every kind, to tests/fixtures/. A release adds it, so that the upgrade from it is tried for ever
(tests/unit/test_released.py)."""

import tempfile
from pathlib import Path

from edgeneuro import __version__
from scripts.backups.databases import LocalDatabase
from scripts.backups.taking import take_backup
from scripts.paths import ROOT
from scripts.signals import stop_on_signals
from tests.http_client import http_client
from tests.ui.seed_data import seed_data
from tests.worker.product import LocalProduct

FIXTURES = ROOT / "tests" / "fixtures"


def fixture(version: str) -> Path:
    return FIXTURES / f"v{version.replace('.', '_')}.sql"


def main() -> None:
    stop_on_signals()
    file = fixture(__version__)
    file.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        product = LocalProduct(Path(folder) / "state")
        product.start()
        try:
            with http_client(product.base_url, product.admin_token, timeout=60) as api:
                (Path(folder) / "adapter").mkdir()
                seed_data(api, Path(folder) / "adapter")
        finally:
            product.stop()
        take_backup(LocalDatabase(product.state), file)
    print(f"{file}, {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
