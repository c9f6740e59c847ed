"""Teams in the control plane: keys and users that may use the same agents, models and router."""

from edgeneuro.call import Call
from edgeneuro.controlplane.access.allowed import checked
from edgeneuro.controlplane.access.audit import commit
from edgeneuro.domain.fields import Page, PageQuery, page_of
from edgeneuro.domain.team import Team, TeamCreate, TeamDeleted, TeamPatch
from edgeneuro.errors import ConflictError, ConstraintError, NotFoundError
from edgeneuro.store import teams as store
from edgeneuro.store.database import Rows
from edgeneuro.store.sql import rfc3339

_MAX_NAMED = 5  # members in a message


async def list_teams(call: Call, query: PageQuery) -> Page[Team]:
    """List teams, oldest first."""
    found = await store.list_teams(call.services.db, limit=query.limit + 1, after=query.after)
    return page_of(found, limit=query.limit)


async def create_team(call: Call, body: TeamCreate) -> Team:
    """Create a team. Keys and users join it by their `team_id`."""
    services = call.services
    created = rfc3339(services.now_ms())
    fields = await checked(call, body.model_dump())
    team = Team(id=services.new_id("team"), **fields, created_at=created, updated_at=created)
    await commit(
        call,
        [store.insert_team(team)],
        action="create",
        resource="team",
        resource_id=team.id,
        after=team,
    )
    return team


async def get_team(call: Call, team_id: str) -> Team:
    """Read one team."""
    team = await store.get_team(call.services.db, team_id)
    if team is None:
        raise _no_such_team(team_id)
    return team


async def update_team(call: Call, team_id: str, body: TeamPatch) -> Team:
    """Change the fields that are in the body. The change applies to the team's keys and users:
    immediately in this isolate, within 5 seconds everywhere."""
    services = call.services
    changes = await checked(call, body.model_dump(include=body.model_fields_set))
    before = await get_team(call, team_id)
    rows = await commit(
        call,
        [store.update_team(team_id, changes, now_ms=services.now_ms())],
        action="update",
        resource="team",
        resource_id=team_id,
        before=before,
        after=before.model_copy(update=changes),
    )
    services.identity.forget()
    if not rows:
        raise _no_such_team(team_id)
    return store.team_from_row(rows[0])


async def delete_team(call: Call, team_id: str) -> TeamDeleted:
    """Delete a team that has no users and no keys any more, revoked ones aside."""
    db = call.services.db
    before = await get_team(call, team_id)
    members = await store.read_members(db, team_id)
    if members:
        raise _in_use(members)
    try:
        rows = await commit(
            call,
            store.delete_team(team_id),
            action="delete",
            resource="team",
            resource_id=team_id,
            before=before,
        )
    except ConstraintError as error:
        raise _in_use(await store.read_members(db, team_id)) from error
    if not rows:
        raise _no_such_team(team_id)
    return TeamDeleted(id=team_id)


def _in_use(members: Rows) -> ConflictError:
    named = ", ".join(f"{row['kind']} {row['name']!r}" for row in members[:_MAX_NAMED])
    more = ", …" if len(members) > _MAX_NAMED else ""
    return ConflictError(
        f"The team has members, which would be allowed more without it: {named}{more}. Give them"
        " another `team_id` or null, or revoke the keys.",
        code="team_in_use",
    )


def _no_such_team(team_id: str) -> NotFoundError:
    return NotFoundError(
        f"There is no team {team_id[:100]!r}. GET /v1/teams lists them.",
        code="unknown_team",
        param="team_id",
    )
