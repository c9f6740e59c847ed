"""Sessions over HTTP: what is remembered of a conversation, and its end."""

from edgeneuro.call import Call
from edgeneuro.controlplane.access.audit import audit_row
from edgeneuro.domain.session import (
    EndedSession,
    Session,
    SessionQuery,
    ShownMemory,
    ShownSession,
)
from edgeneuro.errors import NotFoundError
from edgeneuro.store.sql import rfc3339
from edgeneuro.synapsecore.session import OpenSession, session_of
from edgeneuro.web.auth import Access, authorize, is_operator


async def get_session(call: Call, session_id: str, query: SessionQuery) -> ShownSession:
    """Read what is remembered of a session. A session of another key or user, which `key_id` names,
    needs the scope `read`."""
    session = await _find(call, session_id, query, Access.READ)
    return _shown(session, _require(session), with_ids=is_operator(call.credential))


async def end_session(call: Call, session_id: str, query: SessionQuery) -> EndedSession:
    """End a session: nothing of it is remembered. A session of another key or user, which `key_id`
    names, needs the scope `admin`, and its end is in the audit log."""
    session = await _find(call, session_id, query, Access.ADMIN)
    _require(session)
    statements = [session.end()]
    if session.owner != call.credential.key_id:
        statements.append(
            audit_row(
                call.services,
                actor=call.credential.actor,
                request_id=call.request_id,
                action="end",
                resource="session",
                # A hash of its id: only those who know the id can recognize it.
                resource_id=f"{session.owner} sha256:{session.key[:32]}",
            )
        )
    await call.services.db.batch(statements)
    return EndedSession(id=session_id)


async def _find(
    call: Call, session_id: str, query: SessionQuery, access_to_others: Access
) -> OpenSession:
    """Raises PermissionDeniedError."""
    own = call.credential.key_id
    owner = query.key_id or own
    if owner != own:
        authorize(call.credential, access_to_others)
    config = await call.services.routing.current()
    return await session_of(call.services, config, owner, session_id)


def _require(session: OpenSession) -> Session:
    if session.last is None:
        raise NotFoundError(
            f"Nothing is remembered of a session {session.id[:100]!r} of {session.owner!r}: its id"
            " is wrong, it has ended, or it was idle for too long.",
            code="unknown_session",
            param="session_id",
        )
    return session.last


def _shown(session: OpenSession, last: Session, *, with_ids: bool) -> ShownSession:
    return ShownSession(
        id=session.id,
        key_id=session.owner,
        agent_id=last.agent_id,
        previous_user=last.previous_user,
        previous_assistant=last.previous_assistant,
        waits_for=last.state.waits_for,
        agents=[
            ShownMemory(
                agent_id=agent_id,
                context_id=memory.context_id if with_ids else None,
                task_id=memory.task_id if with_ids else None,
            )
            for agent_id, memory in last.state.agents.items()
        ],
        router=last.router,
        turns=last.turns,
        created_at=rfc3339(last.created_ms),
        updated_at=rfc3339(last.updated_ms),
        expires_at=rfc3339(last.expires_ms),
    )
