"""schemathesis in process: what /openapi.json allows, what is just beyond it, and a random request
to each operation are answered as it says. Of workerd tests/worker asks less."""

import asyncio
import sys
from pathlib import Path

from edgeneuro.settings import Settings
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.fuzzing import command, environment
from tests.unit.conftest import ADMIN_TOKEN, add_agents
from tests.unit.emulated import emulated_product
from tests.unit.http_server import serving


async def test_every_operation_keeps_its_word(
    database: SqliteDatabase, settings: Settings, tmp_path: Path
) -> None:
    product, _ = emulated_product(database, settings)
    await add_agents(product)
    document = tmp_path / "openapi.json"
    document.write_text((await product.call("GET", "/openapi.json")).text)
    async with serving(product) as url:
        run = await asyncio.create_subprocess_exec(
            sys.executable,
            *command(document, url, ADMIN_TOKEN),
            cwd=tmp_path,
            env=environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await run.communicate()
    assert run.returncode == 0, output.decode()[-20_000:]
