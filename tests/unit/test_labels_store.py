"""Questions as identities, and the two tables of labels."""

import sqlite3
from collections import Counter

import pytest

from edgeneuro.domain.label import LabelEvent
from edgeneuro.domain.query import near_form, near_hash, query_hash, similar_hash
from edgeneuro.store.database import statement
from edgeneuro.store.labels import record_labels
from edgeneuro_testing.sqlite import SqliteDatabase
from scripts.paths import ROOT


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
        ("reset my VPN", "reset my VPN please"),
        ("what's my balance", "What is my balance?"),
        ("where\u2019s my café bill", "where is my cafe bill"),
        ("i can't log in", "I cannot log in"),
        ("i dont see it", "I don't see it"),
        ("Can you tell me my balance?", "tell me my balance"),
        ("I'd like to cancel my order", "cancel my order"),
        ("Good morning! Cancel my order. Thank you", "cancel my order"),
        ("Hi team,\nmy VPN is down.\n\nBest regards,\nJohn Smith", "my vpn is down"),
        ("Guten Tag, mein VPN geht nicht. Vielen Dank im Voraus", "mein vpn geht nicht"),
        ("Bonjour, où est mon colis s'il vous plaît ?", "ou est mon colis"),
        ("cancel the travelling insurance", "cancel travelling insurance"),
        ("a traveling insurance", "the travelling insurance"),
        ("what colour", "what color"),
    ],
)
def test_near_duplicates_share_a_hash(one: str, other: str) -> None:
    assert query_hash(one) != query_hash(other)
    assert near_form(one) == near_form(other)
    assert near_hash(one) == near_hash(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("read me the news", "read me the new"),
        ("dog bites man", "man bites dog"),
        ("flights from boston to denver", "flights from denver to boston"),
        ("i can log in", "i can't log in"),
        ("error 404", "error 500"),
        ("the goods", "the good"),
        ("the bus", "the bu"),
        ("say thank you", "say"),
        ("turn off the light", "turn of the light"),
    ],
)
def test_other_questions_are_no_near_duplicates(one: str, other: str) -> None:
    assert near_hash(one) != near_hash(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("transfer my savings", "tranfser my savigns"),
        ("reset the password of my account", "how do I reset my account password?"),
        ("set up direct deposit", "set up direct depost"),
    ],
)
def test_similar_questions_share_a_hash(one: str, other: str) -> None:
    assert near_hash(one) != near_hash(other)
    assert similar_hash(one) == similar_hash(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("error 404", "error 500"),
        ("is it down?", "is it up?"),
        ("where is my card", "where is my order"),
        ("привет мир", "привет друг"),
        ("今天天气", "明天天气"),
    ],
)
def test_other_questions_are_not_similar(one: str, other: str) -> None:
    assert similar_hash(one) != similar_hash(other)


@pytest.mark.parametrize(
    "text",
    [
        "my pin. best" + ",-. " * 400 + "?",
        "my pin. thanks" + "  again" * 170 + "?",
        "." * 1_100 + "?",
        "hello " * 200,
        "dear " + "a " * 550,
        "please " * 160,
        "hi, " * 1_900,
    ],
)
def test_no_text_takes_long(text: str) -> None:
    """A pattern that can read a text in many ways would not end."""
    assert near_form(text)


def test_the_near_form_is_bounded_after_the_normalisation() -> None:
    assert len(near_form("\ufdfa" * 8_000)) <= 8_000  # 18 characters each, normalised


def test_a_query_without_words_has_a_near_form() -> None:
    assert near_form("?!") == "?!"
    assert near_form("s") == "s"


async def splits(database: SqliteDatabase) -> dict[str, str]:
    rows = await database.run(statement("SELECT query, split FROM current_labels"))
    return {row["query"]: row["split"] for row in rows}


@pytest.mark.parametrize("at_once", [True, False])
async def test_every_agent_has_its_share_of_each_split(
    database: SqliteDatabase, at_once: bool
) -> None:
    """21 labels of one agent were 21 train, 0 validation, 0 test."""
    agents = {"hr": 21, "it_support": 4, "legal": 3, None: 10}
    events = [
        event(100 * group + n, f"{agent} asks {n}", agent)
        for group, (agent, count) in enumerate(agents.items())
        for n in range(count)
    ]
    for part in [events] if at_once else [[each] for each in events]:
        await database.batch(record_labels(part))
    rows = await database.run(
        statement("SELECT agent_id, split, count(*) AS n FROM current_labels GROUP BY 1, 2")
    )
    counts = {(row["agent_id"], row["split"]): row["n"] for row in rows}
    assert counts == {
        ("hr", "train"): 17,
        ("hr", "validation"): 2,
        ("hr", "test"): 2,
        ("it_support", "train"): 3,
        ("it_support", "test"): 1,
        ("legal", "train"): 3,
        (None, "train"): 8,
        (None, "validation"): 1,
        (None, "test"): 1,
    }


async def test_a_question_stays_where_it_is_for_ever(database: SqliteDatabase) -> None:
    await database.batch(record_labels([event(n, f"question {n}", "hr") for n in range(40)]))
    before = await splits(database)
    held = [query for query, split in before.items() if split == "test"]
    assert len(held) == 4
    gone = [event(100 + n, query, None, removed=True) for n, query in enumerate(held)]
    await database.batch(record_labels(gone))
    again = [event(200 + n, query, "it_support") for n, query in enumerate(before)]
    await database.batch(record_labels(again))
    assert await splits(database) == before


async def test_near_duplicates_never_straddle(database: SqliteDatabase) -> None:
    await database.batch(record_labels([event(n, f"question {n}", "hr") for n in range(40)]))
    before = await splits(database)
    near = [event(100 + n, f"{query}, please!", None) for n, query in enumerate(before)]
    await database.batch(record_labels(near))
    assert await splits(database) == before | {
        f"{query}, please!": split for query, split in before.items()
    }
    rows = await database.run(statement("SELECT count(*) AS n FROM splits"))
    assert rows[0]["n"] == 40


@pytest.mark.parametrize("at_once", [True, False])
async def test_similar_questions_never_straddle(database: SqliteDatabase, at_once: bool) -> None:
    """Each of them takes no place of its own, so that an agent keeps its share of each part."""
    texts = [
        text
        for n in range(40)
        for text in (f"transfer savings to account {n}", f"tranfser my savings of account {n}")
    ]
    events = [event(n, text, "hr") for n, text in enumerate(texts)]
    for part in [events] if at_once else [[each] for each in events]:
        await database.batch(record_labels(part))
    found = await splits(database)
    assert [found[text] for text in texts[::2]] == [found[text] for text in texts[1::2]]
    assert Counter(found.values()) == {"train": 64, "validation": 8, "test": 8}
    rows = await database.run(statement("SELECT max(place) AS last FROM splits"))
    assert rows[0]["last"] == 39


def test_questions_keep_their_split_and_settings_their_value_through_the_migration() -> None:
    """Those that are labelled, and by their hash those whose label was removed."""
    scripts = sorted((ROOT / "migrations").glob("*.sql"))
    connection = sqlite3.connect(":memory:")
    for script in scripts:
        if script.name.startswith("0008"):
            break
        connection.executescript(script.read_text())
    # By hash 0x5a = 90 of 100, 0x50 = 80, 0x4f = 79; 0xffffffff = 95.
    questions = {"0000005a": "test", "00000050": "validation", "0000004f": "train"}
    questions["ffffffff"] = "test"
    for number, (hashed, split) in enumerate(questions.items()):
        near = hashed + 24 * "0"
        connection.execute(
            "INSERT INTO labels VALUES (?1, ?2, ?2, 'q', 'hr', 0, NULL, NULL, 'me', 'hand', 0)",
            (f"lab_{number}", near),
        )
        if number % 2:
            connection.execute(
                "INSERT INTO current_labels VALUES (?1, 'q', 'hr', ?2, ?1, ?3, 'me', 0)",
                (near, f"lab_{number}", split),
            )
    connection.execute("INSERT INTO config VALUES ('gate_alpha', '0.1', 0)")
    connection.execute("INSERT INTO config VALUES ('gate_min_labels', '50', 0)")
    connection.executescript((ROOT / "migrations" / "0008_promotion.sql").read_text())
    settings = connection.execute("SELECT key, value FROM config").fetchall()
    rows = connection.execute("SELECT substr(near_hash, 1, 8), split FROM splits").fetchall()
    places = connection.execute("SELECT place FROM splits ORDER BY place").fetchall()
    connection.close()
    assert dict(rows) == questions
    assert dict(settings) == {"promotion_alpha": "0.1", "promotion_min_labels": "50"}
    assert [place for (place,) in places] == [0, 1, 2, 3]


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
    assert len(found) == 300
    assert found["q7"] == "agent607", "the former label counts again"
    assert found["q99"] == "agent999"
