"""Questions as identities, and the two tables of labels."""

import pytest

from edgeneuro.domain.label import LabelEvent
from edgeneuro.domain.query import near_form, query_hash, split_of
from edgeneuro.store.database import statement
from edgeneuro.store.labels import record_labels
from edgeneuro.store.sqlite import SqliteDatabase


def event(number: int, query: str, agent_id: str | None, *, removed: bool = False) -> LabelEvent:
    return LabelEvent(
        id=f"lab_{number:05}",
        query=query,
        agent_id=agent_id,
        labeler="me",
        source="hand",
        created_ms=number,
        removed=removed,
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("My VPN  is down", "my vpn is DOWN"),
        ("\uff36\uff30\uff2e down", "VPN down"),
        ("Straße", "STRASSE"),
    ],
)
def test_the_same_question(one: str, other: str) -> None:
    assert query_hash(one) == query_hash(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("My VPN is down!", "my vpn is down"),
        ("is my vpn down?", "My VPN is down"),
        ("book two flights", "Book two flight"),
    ],
)
def test_near_duplicates_share_a_split(one: str, other: str) -> None:
    assert query_hash(one) != query_hash(other)
    assert near_form(one) == near_form(other)
    assert split_of(one) == split_of(other)


def test_the_near_form_is_bounded_after_the_normalisation() -> None:
    assert len(near_form("\ufdfa" * 8_000)) <= 8_000  # 18 characters each, normalised


def test_a_query_without_words_has_a_near_form() -> None:
    assert near_form("?!") == "?!"
    assert near_form("s") == "s"


def test_the_splits_are_about_80_10_10() -> None:
    splits = [split_of(f"question number {n}") for n in range(5_000)]
    shares = {name: splits.count(name) / len(splits) for name in ("train", "validation", "test")}
    assert 0.77 < shares["train"] < 0.83
    assert 0.08 < shares["validation"] < 0.12
    assert 0.08 < shares["test"] < 0.12


async def current(database: SqliteDatabase) -> dict[str, str | None]:
    rows = await database.run(statement("SELECT query, agent_id FROM current_labels"))
    return {row["query"]: row["agent_id"] for row in rows}


async def test_the_latest_label_wins_and_the_history_stays(database: SqliteDatabase) -> None:
    await database.batch(record_labels([event(1, "a", "hr"), event(2, "b", None)]))
    await database.batch(record_labels([event(3, "A", "it"), event(4, "b", None, removed=True)]))
    assert await current(database) == {"A": "it"}
    history = await database.run(statement("SELECT agent_id, removed FROM labels ORDER BY id"))
    assert [(row["agent_id"], row["removed"]) for row in history] == [
        ("hr", 0),
        (None, 0),
        ("it", 0),
        (None, 1),
    ]


async def test_of_several_events_for_one_question_the_last_counts(
    database: SqliteDatabase,
) -> None:
    events = [event(n, f"q{n % 300}", f"agent{n}") for n in range(1_000)]
    await database.batch(record_labels([*events, event(2_000, "q7", None, removed=True)]))
    found = await current(database)
    assert len(found) == 299
    assert found["q99"] == "agent999"
