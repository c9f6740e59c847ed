"""Erasing texts: of one question, of one user, or of what a caller sent as `user` or `session`.
What one request cannot delete, the cron deletes."""

import hashlib

from edgeneuro.call import Call
from edgeneuro.controlplane.access.audit import audit_row
from edgeneuro.domain.erasure import Erasure, ErasureCounts, ErasureTarget, LogsEraseQuery
from edgeneuro.errors import NotFoundError
from edgeneuro.services import Services
from edgeneuro.store import erasures as store
from edgeneuro.store.answer_cache import CHATS
from edgeneuro.store.config import store_settings
from edgeneuro.store.keys import list_key_ids
from edgeneuro.store.users import get_user

# A Worker may run 1,000 queries of D1 for a request; 250 rows take 10.
_MAX_STEPS = 20
_MAX_ROWS = 10_000


async def erase_question(call: Call, query_hash: str) -> Erasure:
    """Erase the text of a question everywhere: logs with their feedback, labels with their history,
    evaluations and cached chats. The entries of AI Gateway's log are listed; delete them there."""
    db = call.services.db
    if not await store.is_stored(db, query_hash):
        raise NotFoundError(
            "There is no such question. Logs and labels name questions by `query_hash`.",
            code="unknown_question",
            param="query_hash",
        )
    target = ErasureTarget(
        query_hash=query_hash, near_hashes=await store.find_near_hashes(db, query_hash)
    )
    return await _begin(call, target, resource="label", resource_id=query_hash)


async def erase_user(call: Call, user_id: str) -> Erasure:
    """Erase what a user sent, through Cloudflare Access or with the user's keys: log rows, the
    labels given on these rows, and the user's feedback. Labels that the user gave stay, under an id
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


async def continue_erasure(services: Services) -> None:
    """Continues the oldest unfinished erasure, one in each run of the cron: a run has 1,000
    queries."""
    erasure = await store.oldest_unfinished(services.db)
    if erasure is not None:
        await _run(services, erasure)


async def _begin(call: Call, target: ErasureTarget, *, resource: str, resource_id: str) -> Erasure:
    services = call.services
    erasure = store.Unfinished(services.new_id("era"), target, position=0)
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
            store.insert_erasure(erasure, now_ms=now_ms),
            audited,
        ]
    )
    services.routing.forget()
    counts, done = await _run(services, erasure)
    return Erasure(id=erasure.id, done=done, **counts.model_dump())


async def _run(services: Services, erasure: store.Unfinished) -> tuple[ErasureCounts, bool]:
    """As much as one invocation may do. Each step deletes what it finds, so a step that is done
    twice deletes nothing more."""
    db, target = services.db, erasure.target
    services.recent_chats.clear()
    services.recent_answers.clear()
    await CHATS.flush(db)
    if target.query_hash is not None:
        counts, done = await _run_question(services, erasure)
    else:
        counts, done = await _run_person(services, erasure)
    if done:
        await db.run(store.delete_erasure(erasure.id))
    return counts, done


async def _run_question(
    services: Services, erasure: store.Unfinished
) -> tuple[ErasureCounts, bool]:
    db, target, position = services.db, erasure.target, erasure.position
    assert target.query_hash is not None
    counts = await store.erase_question(db, target.query_hash)
    undecided = chunk = True
    for _ in range(_MAX_STEPS):
        found = await store.erase_undecided_logs(db, target, position)
        undecided = found is not None
        if found is None:
            break
        position, more = found
        counts.add(more)
    await db.run(store.move_erasure(erasure.id, position))
    for _ in range(_MAX_STEPS):
        deleted = await store.erase_question_logs(db, target)
        chunk = deleted is not None
        if deleted is None:
            break
        counts.add(deleted)
    return counts, not undecided and not chunk


async def _run_person(services: Services, erasure: store.Unfinished) -> tuple[ErasureCounts, bool]:
    db, target, position = services.db, erasure.target, erasure.position
    counts = ErasureCounts()
    if target.key_ids and position == 0:
        counts.add(await store.erase_person(db, target.key_ids, services.new_id("usr")))
    for _ in range(_MAX_STEPS):
        if position >= target.until:
            return counts, True
        if counts.logs >= _MAX_ROWS:
            break
        counts.add(await store.erase_window(db, target, position))
        position += store.WINDOW_ROWS
        await db.run(store.move_erasure(erasure.id, position))
    return counts, position >= target.until
