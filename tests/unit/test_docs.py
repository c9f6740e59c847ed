"""The documents say what is there: every route, every variable, every reason."""

import re
import tomllib
from pathlib import Path
from typing import get_args

from edgeneuro.errors import Reason
from edgeneuro.routes import ROUTES
from local.errors import AI_ERRORS
from local.faults import FIELDS
from tests.worker.fault_matrix import MATRIX, document

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
CONFIG = tomllib.loads((ROOT / "wrangler.toml").read_text())


def test_the_readme_lists_every_route_and_no_other() -> None:
    said = set(re.findall(r"^\| `([A-Z]+ /\S*)` \|", README, re.M))
    assert said == {f"{route.method} {route.path.replace(':path}', '}')}" for route in ROUTES}


def test_the_readme_names_every_variable() -> None:
    said = set(re.findall(r"`([A-Z_]{4,})`", README))
    assert set(CONFIG["vars"]) <= said


def test_both_environments_have_the_same_variables_and_limits() -> None:
    local = CONFIG["env"]["local"]
    assert set(local["vars"]) == set(CONFIG["vars"])
    for name in ("assets", "triggers", "observability", "d1_databases"):
        assert local[name] == CONFIG[name]


def test_the_readme_names_every_reason() -> None:
    assert all(f"`{reason}`" in README for reason in get_args(Reason))


def test_the_architecture_names_every_room() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    rooms = {path.name for path in (ROOT / "src" / "edgeneuro").iterdir() if path.is_dir()}
    rooms -= {"__pycache__"}
    assert all(f"`{room}/`" in text for room in rooms)
    tables = re.findall(r"CREATE TABLE (\w+)", (ROOT / "schema.sql").read_text())
    assert all(table in text for table in tables)


def test_the_table_of_faults_is_the_one_that_is_tried() -> None:
    told = (ROOT / "docs" / "faults.md").read_text()
    assert told == document(), "make it anew: python -m tests.worker.fault_matrix > docs/faults.md"


def test_every_fault_of_the_emulator_is_in_the_matrix() -> None:
    kinds = {row.emulator["kind"] for row in MATRIX if row.emulator}
    # Not faults: late answers in time and any text. "reject" is error 5006.
    assert kinds == set(FIELDS) - {"slow", "text", "reject"}
    assert {row.emulator["code"] for row in MATRIX if "code" in row.emulator} == set(AI_ERRORS)
