"""GET and PUT /v1/installation."""

from edgeneuro.call import Call
from edgeneuro.controlplane.access.audit import audited
from edgeneuro.controlplane.installation.changes import Planned, planned
from edgeneuro.controlplane.installation.checks import check
from edgeneuro.controlplane.installation.target import Target, document_of
from edgeneuro.domain.installation import (
    ChangeCounts,
    InstallationDocument,
    InstallationPlan,
    InstallationQuery,
)
from edgeneuro.errors import ConflictError, ConstraintError, PreconditionFailedError
from edgeneuro.store.database import Statement
from edgeneuro.store.installation import read_installation, require_revision
from edgeneuro.store.labels import count_labels_of_each
from edgeneuro.web.response import Reply

_MAX_STATEMENTS = 950  # of the 1,000 that D1 allows an invocation
_MAX_NAMED = 10


async def show_installation(call: Call) -> Reply[InstallationDocument]:
    """Read agents, rules, routers, stored settings and providers as one document, which PUT takes
    as it is. It has the names of secrets, never the secrets."""
    document = document_of(await read_installation(call.services.db))
    return Reply(document, {"etag": document.etag})


async def replace_installation(
    call: Call, body: InstallationDocument, query: InstallationQuery
) -> Reply[InstallationPlan]:
    """Make the installation what the document says, all of it or nothing; the same document again
    changes nothing. A section that is left out stays as it is. `plan` only shows the changes;
    `delete` allows those that delete something. The response's ETag, sent as If-Match, makes sure
    that nobody has changed the installation since."""
    services = call.services
    stored = await read_installation(services.db)
    present = document_of(stored).etag
    _require_match(call.if_match, present)
    target = Target.of(services, stored, body)
    labels = await count_labels_of_each(services.db, [each.id for each in body.agents])
    await check(target, labels)
    changes = planned(target, labels)
    plan = _plan(changes, applied=not query.plan)
    if query.plan or not plan.changes:
        return Reply(plan, {"etag": present})
    if plan.counts.delete and not query.delete:
        raise _unconfirmed(plan)
    statements = [
        require_revision(stored.revision),
        *(part for each in changes for change in each.changes for part in audited(call, change)),
    ]
    await _write(call, statements)
    return Reply(plan, {"etag": document_of(await read_installation(services.db)).etag})


async def _write(call: Call, statements: list[Statement]) -> None:
    if len(statements) > _MAX_STATEMENTS:
        raise ConflictError(
            f"The changes are {len(statements)} statements, and {_MAX_STATEMENTS} are the most at"
            " once; nothing was changed. Send the sections of the document one after another,"
            " `agents` first.",
            code="too_many_changes",
        )
    try:
        await call.services.db.batch(statements)
    except ConstraintError as error:
        raise PreconditionFailedError(
            "The installation was changed at the same time; nothing was applied. Look at the plan"
            " again."
        ) from error
    finally:
        call.services.routing.forget()


def _require_match(if_match: str | None, present: str) -> None:
    if if_match is None or if_match.strip() == "*":
        return
    wanted = [each.strip().removeprefix("W/") for each in if_match.split(",")]
    if present not in wanted:
        raise PreconditionFailedError(
            "The installation is another one than the one that `If-Match` names: somebody has"
            " changed it since. Read it again, and look at the plan.",
            param="If-Match",
            headers={"etag": present},
        )


def _plan(changes: list[Planned], *, applied: bool) -> InstallationPlan:
    shown = [line for each in changes for line in each.shown]
    counts = ChangeCounts()
    for line in shown:
        setattr(counts, line.action, getattr(counts, line.action) + 1)
    return InstallationPlan(
        applied=applied,
        counts=counts,
        changes=shown,
        warnings=[text for each in changes for text in each.warnings],
    )


def _unconfirmed(plan: InstallationPlan) -> ConflictError:
    deleted = [f"{each.resource} {each.id!r}" for each in plan.changes if each.action == "delete"]
    more = ", …" if len(deleted) > _MAX_NAMED else ""
    return ConflictError(
        f"The document does not have {', '.join(deleted[:_MAX_NAMED])}{more}, which would be"
        " deleted; nothing was changed. Send `?delete=true` if that is meant, or add them to the"
        " document.",
        code="deletes_not_confirmed",
        param="delete",
    )
