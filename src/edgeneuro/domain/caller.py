"""Who asks, as an agent gets to know it."""

import re
from dataclasses import dataclass

# Ids of users and keys, and of the admin token.
_OWN_IDS = re.compile(r"(usr|key)_.*|admin_token", re.DOTALL)


@dataclass(frozen=True)
class CallerIdentity:
    """`subject` is the id of a user, else what the holder of a key says in `user`, else the id of
    the key. `actor` is the key that says so: its word is all there is. `groups` are the names of
    the teams."""

    subject: str
    email: str | None = None
    groups: tuple[str, ...] = ()
    actor: str | None = None


def caller_identity(
    key_id: str,
    *,
    user_id: str | None,
    email: str | None,
    groups: tuple[str, ...],
    says: str | None,
) -> CallerIdentity:
    """`says` is the request's `user`. It counts only from a key that belongs to nobody: a person
    cannot speak for another. And it is none of EdgeNeuro's own ids: an agent that reads `sub` alone
    would take the caller for a user whom EdgeNeuro knows."""
    if user_id is not None:
        return CallerIdentity(user_id, email, groups)
    if says is not None and _OWN_IDS.fullmatch(says) is None:
        return CallerIdentity(says, None, groups, actor=key_id)
    return CallerIdentity(key_id, None, groups)
