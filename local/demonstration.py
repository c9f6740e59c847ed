"""The demonstration agents of a new installation, as a prompt describes them."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from local.engines.matching import AgentText

_SEED = Path(__file__).resolve().parent.parent / "scripts" / "seed.sql"
_COLUMNS = (
    "id PRIMARY KEY, name, description, examples, endpoint, system_prompt, model, enabled,"
    " is_default, demonstration, created_at, updated_at"
)


def demonstration_agents(seed: Path = _SEED) -> list[AgentText]:
    """Empty if the seed has another form: then the first question takes longer."""
    try:
        with closing(sqlite3.connect(":memory:")) as database:
            database.execute(f"CREATE TABLE agents ({_COLUMNS})")
            database.executescript(seed.read_text(encoding="utf-8"))
            rows = database.execute("SELECT id, name, description, examples FROM agents")
            return [
                AgentText(each[0], f"{each[1]}. {each[2]}", json.loads(each[3])) for each in rows
            ]
    except (OSError, sqlite3.Error):
        return []
