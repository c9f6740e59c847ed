"""The caches of answers: flushing them."""

from edgeneuro.call import Call
from edgeneuro.controlplane.access.audit import commit
from edgeneuro.domain.cache import CacheEpoch, CacheFlushed
from edgeneuro.store.answer_cache import CHATS, DECISIONS
from edgeneuro.store.config import store_settings


async def flush_cache(call: Call) -> CacheFlushed:
    """Forget all cached answers, of routing and of chats: in D1 and this isolate at once, in every
    other isolate and AI Gateway's cache within 5 seconds. Labels and settings stay."""
    services = call.services
    before = (await services.routing.fresh()).stored.cache_epoch
    # The epoch first: from then on nobody finds an old answer, even if the deletion fails.
    await commit(
        call,
        [store_settings({"cache_epoch": before + 1}, now_ms=services.now_ms())],
        action="flush",
        resource="cache",
        resource_id="cache",
        before=CacheEpoch(epoch=before),
        after=CacheEpoch(epoch=before + 1),
    )
    services.recent_answers.clear()
    services.recent_chats.clear()
    return CacheFlushed(
        epoch=before + 1,
        decisions=await DECISIONS.flush(services.db),
        chats=await CHATS.flush(services.db),
    )
