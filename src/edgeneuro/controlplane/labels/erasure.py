"""Erasing texts: of one question, of one user, or of what a caller sent as `user` or `session`.
What one request cannot delete, its job deletes."""

import hashlib

from edgeneuro.call import Call
from edgeneuro.controlplane.access.audit import audit_row
from edgeneuro.controlplane.jobs.erasure import ErasureKind
from edgeneuro.controlplane.jobs.runner import run_slice
from edgeneuro.domain.erasure import (
    Erasure,
    ErasureCheckpoint,
    ErasureCounts,
    ErasureTarget,
    LogsEraseQuery,
)
from edgeneuro.domain.job import job_id_of
from edgeneuro.errors import NotFoundError
from edgeneuro.store import erasures as store
from edgeneuro.store.config import store_settings
from edgeneuro.store.jobs import insert_job
from edgeneuro.store.keys import list_key_ids
from edgeneuro.store.users import get_user


async def erase_question(call: Call, query_hash: str) -> Erasure:
    """Erase the text of a question everywhere: logs with their feedback, labels with their history,
    evaluations and cached chats. Where it is the turn before another message, that turn's texts are
    removed from the log row, and the labels of that message are deleted. The entries of AI
    Gateway's log are listed; delete them there."""
    db = call.services.db
    if not await store.is_stored(db, query_hash):
        raise NotFoundError(
            "There is no such question. Logs and labels name questions by `query_hash`.",
            code="unknown_question",
            param="query_hash",
        )
    near, previous = await store.find_hashes(db, query_hash)
    target = ErasureTarget(query_hash=query_hash, near_hashes=near, previous_hashes=previous)
    return await _begin(call, target, resource="label", resource_id=query_hash)


async def erase_user(call: Call, user_id: str) -> Erasure:
    """Erase what a user sent, through Cloudflare Access or with the user's keys: log rows, the
    labels given on these rows, and the user's feedback; also where it is the turn before another
    message, unless many have said the same. Labels that the user gave stay, under an id
    that identifies no one. The user, the keys and the audit log stay: erase before you delete the
    user."""
    db = call.services.db
    if await get_user(db, user_id) is None:
        raise NotFoundError(
            f"There is no user {user_id[:100]!r}. GET /v1/users lists them.",
            code="unknown_user",
            param="user_id",
        )
    target = ErasureTarget(
        key_ids=[user_id, *await list_key_ids(db, user_id)], until=await store.newest_log(db)
    )
    return await _begin(call, target, resource="user", resource_id=user_id)


async def erase_logs(call: Call, query: LogsEraseQuery) -> Erasure:
    """Erase the log rows that a caller sent with this `user` or `session`, with their feedback and
    the labels given on these rows. The value must be as it is stored."""
    target = ErasureTarget(
        user=query.user, session=query.session, until=await store.newest_log(call.services.db)
    )
    name, value = ("user", query.user) if query.user else ("session", query.session)
    digest = hashlib.sha256((value or "").encode()).hexdigest()[:32]
    # The audit entry has a hash of the value: only those who know the value can recognize it.
    return await _begin(call, target, resource="log", resource_id=f"{name} sha256:{digest}")


async def _begin(call: Call, target: ErasureTarget, *, resource: str, resource_id: str) -> Erasure:
    services = call.services
    erasure_id = services.new_id("era")
    audited = audit_row(
        services,
        actor=call.credential.actor,
        request_id=call.request_id,
        action="erase",
        resource=resource,
        resource_id=resource_id,
    )
    # With a new epoch neither an isolate nor AI Gateway's cache finds an older answer.
    epoch = (await services.routing.fresh()).stored.cache_epoch + 1
    now_ms = services.now_ms()
    await services.db.batch(
        [
            store_settings({"cache_epoch": epoch}, now_ms=now_ms),
            insert_job(
                "erasure",
                erasure_id,
                created_ms=now_ms,
                checkpoint=ErasureCheckpoint(target=target).model_dump_json(),
            ),
            audited,
        ]
    )
    services.routing.forget()
    counts, done = ErasureCounts(), False

    def report(deleted: ErasureCounts, is_all: bool) -> None:
        nonlocal done
        counts.add(deleted)
        done = is_all

    await run_slice(services, ErasureKind(report=report), job_id_of(erasure_id))
    return Erasure(id=erasure_id, done=done, **counts.model_dump())
