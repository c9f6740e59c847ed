"""The table `sessions`. A session that has ended stays as a row until it expires: a copy of it that
another isolate still has is then known to be older."""

import json
import re
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from edgeneuro.domain.erasure import ErasureTarget
from edgeneuro.domain.session import Session, SessionState, session_key
from edgeneuro.store.additions import Addition
from edgeneuro.store.database import Database, Row, Statement, statement
from edgeneuro.store.sql import PURGE_CHUNK, purge_in_chunks

_MAX_OF_AN_OWNER = 5_000  # rows that are deleted with a key; the cron deletes those beyond
# Of the stored row; ?16 is the version at which the turn began, 0 if none was known: then D1 could
# not be read, and the time decides.
_LIVE = "sessions.ended = 0 AND sessions.expires_at > excluded.updated_at"
_OLDER = (
    f"NOT ({_LIVE}) OR iif(?16, sessions.version, excluded.version) < excluded.version"
    " OR iif(?16, sessions.version, excluded.version) = excluded.version"
    " AND sessions.updated_at <= excluded.updated_at"
)
# A state that is no JSON (edited by hand) must not keep the log row from being written.
_STATE = "iif(json_valid(sessions.state), sessions.state, '{}')"
_OF_TURN = ("id", "user", "agent_id", "previous_user", "previous_assistant", "query_hash", "router")
_SET = ", ".join(
    f"{name} = CASE WHEN {_OLDER} THEN excluded.{name} ELSE sessions.{name} END"
    for name in (*_OF_TURN, "updated_at", "expires_at")
)
_PUT = (
    f"INSERT INTO sessions (owner, key, {', '.join(_OF_TURN)}, state, turns, version, ended,"
    " created_at, updated_at, expires_at) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,"
    " json_patch('{}', ?10), ?11, ?12, 0, ?13, ?14, ?15"
    " WHERE NOT EXISTS (SELECT 1 FROM logs WHERE id = ?0)"
    f" ON CONFLICT (owner, key) DO UPDATE SET {_SET},"
    f" state = CASE WHEN NOT ({_LIVE}) THEN excluded.state"
    f" WHEN {_OLDER} THEN json_patch({_STATE}, ?10)"
    f" ELSE json_patch({_STATE}, json_remove(?10, '$.waits_for')) END,"
    f" turns = CASE WHEN {_LIVE} THEN max(sessions.turns + ?17, excluded.turns)"
    " ELSE excluded.turns END,"
    f" created_at = CASE WHEN {_LIVE} THEN sessions.created_at ELSE excluded.created_at END,"
    " version = max(sessions.version + 1, excluded.version), ended = 0"
    " WHERE sessions.ended = 0 OR sessions.version <= ?16"
)
# ?1 is a JSON array: the id of the log row, and the values.
PUT_SESSION = re.sub(r"\?(\d+)", r"(?1 ->> \1)", _PUT)


async def read_session(db: Database, owner: str, key: str) -> Session | None:
    """Also one that has ended or expired: its version counts."""
    rows = await db.run(
        statement("SELECT * FROM sessions WHERE owner = ?1 AND key = ?2", owner, key)
    )
    return _session(rows[0]) if rows else None


def write_session(
    owner: str,
    key: str,
    session: Session,
    *,
    base_version: int,
    dropped: Sequence[str] = (),
    again: bool = False,
) -> Addition:
    """Writes the state after a turn that began when `base_version` was the newest version, or after
    the last turn, which has another answer (`again`). Another
    isolate may have written since: the turn of the newer one of both stays, with the memories of
    all agents but `dropped`. Nothing is written if the session was ended since."""
    values = (
        owner,
        key,
        session.id,
        session.user,
        session.agent_id,
        session.previous_user,
        session.previous_assistant,
        session.query_hash,
        session.router,
        json.dumps(_patch(session, dropped), ensure_ascii=False),
        session.turns,
        session.version,
        session.created_ms,
        session.updated_ms,
        session.expires_ms,
        base_version,
        0 if again else 1,
    )
    return Addition("session", values)


def prolong_session(
    owner: str, key: str, session: Session, *, dropped: Sequence[str] = ()
) -> Statement:
    """Writes only until when the session lasts. With `dropped`, the memories of these agents are
    removed, and whether an agent waits is written too."""
    return statement(
        "UPDATE sessions SET version = max(version + 1, ?3), updated_at = ?4, expires_at = ?5,"
        f" state = json_patch({_STATE}, ?6) WHERE owner = ?1 AND key = ?2 AND ended = 0",
        owner,
        key,
        session.version,
        session.updated_ms,
        session.expires_ms,
        json.dumps(_patch(session, dropped) if dropped else {}),
    )


def end_session(owner: str, key: str, *, version: int, now_ms: int, expires_ms: int) -> Statement:
    """Removes all that is remembered; a row without content stays. `version` is a lower bound."""
    return statement(
        "INSERT INTO sessions (owner, key, state, turns, version, ended, created_at, updated_at,"
        " expires_at) VALUES (?1, ?2, '{}', 0, ?3, 1, ?4, ?4, ?5) ON CONFLICT (owner, key) DO"
        " UPDATE SET id = NULL, user = NULL, agent_id = NULL, previous_user = NULL,"
        " previous_assistant = NULL, query_hash = NULL, state = '{}', router = NULL, turns = 0,"
        " version = max(sessions.version + 1, excluded.version), ended = 1,"
        " updated_at = excluded.updated_at, expires_at = excluded.expires_at",
        owner,
        key,
        version,
        now_ms,
        expires_ms,
    )


def delete_sessions_of(owners: Sequence[str]) -> Statement:
    """Those of keys and users that go, at most 5,000: nobody can read the others any more, and they
    expire."""
    return statement(
        "DELETE FROM sessions WHERE rowid IN"
        " (SELECT rowid FROM sessions WHERE owner IN (SELECT value FROM json_each(?1)) LIMIT ?2)",
        json.dumps(owners),
        _MAX_OF_AN_OWNER,
    )


def erase_sessions(target: ErasureTarget) -> Statement:
    """Those with the texts of a question, or of a person. A session is found by its id also if that
    is not stored."""
    return statement(
        "DELETE FROM sessions WHERE query_hash = ?1 OR user = ?2 OR id = ?3 OR key = ?4"
        " OR owner IN (SELECT value FROM json_each(?5))",
        target.query_hash,
        target.user,
        target.session,
        None if target.session is None else session_key(target.session),
        json.dumps(target.key_ids),
    )


async def purge_expired_sessions(db: Database, *, now_ms: int, max_chunks: int = 50) -> int:
    """Deletes expired sessions; returns how many."""
    chunk = statement(
        "DELETE FROM sessions WHERE rowid IN (SELECT rowid FROM sessions WHERE expires_at <= ?1"
        " LIMIT ?2) RETURNING 1 AS gone",
        now_ms,
        PURGE_CHUNK,
    )
    return await purge_in_chunks(db, chunk, max_chunks=max_chunks)


def _patch(session: Session, dropped: Sequence[str]) -> dict[str, Any]:
    """The state for json_patch, in which null removes what is there."""
    state = session.state.model_dump(mode="json")
    state["agents"] |= dict.fromkeys(dropped)
    return state


def _session(row: Row) -> Session:
    """A state that cannot be read (edited by hand) is an empty one."""
    try:
        state = SessionState.model_validate_json(row["state"])
    except ValidationError:
        state = SessionState()
    return Session(
        version=row["version"],
        ended=bool(row["ended"]),
        id=row["id"],
        user=row["user"],
        agent_id=row["agent_id"],
        previous_user=row["previous_user"],
        previous_assistant=row["previous_assistant"],
        query_hash=row["query_hash"],
        state=state,
        router=row["router"],
        turns=row["turns"],
        created_ms=row["created_at"],
        updated_ms=row["updated_at"],
        expires_ms=row["expires_at"],
    )
