"""The agents of `npm start` for a deployment that has none, so that a first query can be routed."""

from scripts.deployment.context import Context, DeployStep, Found
from scripts.deployment.resources import query
from scripts.paths import SEED

_QUESTION = "There are no agents yet. Create the demonstration agents of `npm start`, to try it?"


def look_at_agents(context: Context) -> Found:
    database = context.record.database_id
    wanted = context.options.demonstration
    if context.options.dry_run and context.facts.get("tables") == "none":
        found = Found("create the demonstration agents", is_done=False)
        return found if wanted else Found("none; --demonstration creates some to try it with")
    [row] = query(context, database, "SELECT count(*) AS agents FROM agents")
    if row["agents"]:
        return Found(f"{row['agents']} are there")
    if not wanted and context.terminal.is_there and not context.options.dry_run:
        wanted = context.terminal.confirm(_QUESTION)
    if not wanted:
        return Found("none; create yours with POST /v1/agents (docs/agents.md)")
    return Found("create the demonstration agents", is_done=False)


def create_agents(context: Context) -> str:
    """All of them or none: D1 runs the statement as a transaction."""
    query(context, context.record.database_id, SEED.read_text(encoding="utf-8"))
    return "done"


AGENTS = DeployStep("Agents", look_at_agents, create_agents)
