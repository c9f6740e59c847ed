"""Imports of files whose columns and agents have other names than the product's: previewed, mapped,
and written together with the agents that they need."""

import json
from typing import Any

import pytest

from edgeneuro.controlplane.labels.file_agents import AgentNames, Suggestions
from edgeneuro.controlplane.labels.import_columns import column_stats, guess_columns
from edgeneuro.domain.agent import MAX_STORED_AGENTS
from tests.unit.conftest import Answered, Product

IMPORT = "/v1/datasets/import"
FILE = (
    b"Utterance;Intent;Notes\n"
    b"My VPN is down;IT Support team;urgent\n"
    b"Is there a cafeteria?;Food & Drinks;\n"
    b"Which soup is there today?;Food & Drinks;x\n"
    b"Who won the cup?;oos;\n"
    b"asdf;spam;\n"
)
COLUMNS = {"query": "Utterance", "agent": "Intent"}
FOOD = {"id": "food", "name": "Food", "description": "The cafeteria and its menus."}
MAPPING: dict[str, Any] = {
    "columns": COLUMNS,
    "agents": {"IT Support team": "it_support", "Food & Drinks": "food", "oos": "none"},
    "skip": ["spam"],
    "create": [FOOD],
}


def form(file: bytes, mapping: Any = None) -> bytes:
    """A form with the field `mapping` and the file."""
    fields = [] if mapping is None else [('name="mapping"', json.dumps(mapping).encode())]
    parts = [*fields, ('name="file"; filename="labels.csv"', file)]
    body = b"".join(
        b"--x\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (name.encode(), content)
        for name, content in parts
    )
    return body + b"--x--\r\n"


async def preview(product: Product, file: bytes, mapping: Any = None) -> Any:
    answered = await product.call("POST", f"{IMPORT}/preview", form(file, mapping))
    assert answered.status == 200, answered.text
    return answered.json()


async def send(
    product: Product, mapping: Any, file: bytes = FILE, *, dry_run: bool = False
) -> Answered:
    return await product.call("POST", f"{IMPORT}?dry_run={dry_run}".lower(), form(file, mapping))


async def test_a_preview_shows_columns_and_agents(product: Product) -> None:
    found = await preview(product, FILE)
    assert [each["name"] for each in found["columns"]] == ["Utterance", "Intent", "Notes"]
    assert found["columns"][0]["samples"][0] == "My VPN is down"
    chosen = {name: column for name, column in found["chosen"].items() if column}
    assert chosen == COLUMNS
    assert (found["rows"], found["agent_names"], found["error_count"]) == (5, 4, 0)
    agents = {each["name"]: each for each in found["agents"]}
    assert list(agents) == ["Food & Drinks", "IT Support team", "oos", "spam"]
    assert agents["Food & Drinks"]["rows"] == 2
    assert agents["Food & Drinks"]["samples"][1] == "Which soup is there today?"
    assert agents["Food & Drinks"]["suggested"]["id"] == "food_drinks"
    assert [each["similar"] for each in agents.values()] == [None, "it_support", "none", None]
    assert all(each["agent_id"] is None for each in agents.values())
    assert product.rows("SELECT count(*) AS n FROM labels") == [{"n": 0}]


async def test_a_preview_reads_other_columns_as_it_is_asked(product: Product) -> None:
    found = await preview(product, FILE, {"columns": {"agent": "Notes"}})
    assert {each["name"]: each["rows"] for each in found["agents"]} == {"": 3, "urgent": 1, "x": 1}
    refused = await product.call(
        "POST", f"{IMPORT}/preview", form(FILE, {"columns": {"label": "Notes"}})
    )
    assert (refused.status, refused.json()["error"]["param"]) == (400, "columns.label")


async def test_the_description_of_the_file_is_suggested(product: Product) -> None:
    rows = [
        {"text": "Where is my parcel?", "label": 1, "description": "Parcels on their way."},
        {"text": "Cancel it", "label": 2},
    ]
    found = await preview(product, json.dumps(rows).encode())
    assert [each["suggested"] for each in found["agents"]] == [
        {"id": "1", "name": "1", "description": "Parcels on their way.", "labels": None},
        {"id": "2", "name": "2", "description": "Queries about 2.", "labels": None},
    ]


async def test_an_export_needs_no_choice(product: Product) -> None:
    answer = {"role": "assistant", "content": '{"agent": "hr"}'}
    line = json.dumps({"messages": [{"role": "user", "content": "Leave?"}, answer]})
    found = await preview(product, f"{line}\nbroken\n".encode())
    assert found["chosen"] is None
    assert [(each["name"], each["agent_id"]) for each in found["agents"]] == [("hr", "hr")]
    assert [(each["line"], each["param"]) for each in found["errors"]] == [(2, None)]


async def test_a_mapped_file_and_its_agents_are_written_together(product: Product) -> None:
    checked = (await send(product, MAPPING, dry_run=True)).json()
    assert (checked["created"], checked["skipped"], checked["new"]) == (["food"], 1, 4)
    assert product.rows("SELECT id FROM agents WHERE id = 'food'") == []
    report = (await send(product, MAPPING)).json()
    assert {**checked, "dry_run": False, "id": report["id"]} == report
    assert report["rows"] == report["labels"] + report["duplicates"] + report["skipped"]
    labels = product.rows("SELECT query, agent_id FROM current_labels ORDER BY query")
    assert [tuple(each.values()) for each in labels] == [
        ("Is there a cafeteria?", "food"),
        ("My VPN is down", "it_support"),
        ("Which soup is there today?", "food"),
        ("Who won the cup?", None),
    ]
    agent = (await product.call("GET", "/v1/agents/food")).json()
    assert {**agent, **FOOD} == agent
    assert (agent["enabled"], agent["default"]) == (True, False)
    changes = (await product.call("GET", "/v1/audit?resource=agent&resource_id=food")).json()
    assert [each["action"] for each in changes["data"]] == ["create"]
    again = await send(product, MAPPING)
    assert (again.status, again.json()["error"]["code"]) == (409, "agent_exists")


async def test_a_wrong_line_creates_no_agent(product: Product) -> None:
    refused = await send(product, MAPPING, FILE + b";spam;\n;Food & Drinks;\nx;nobody;\n")
    errors = refused.json()["errors"]
    assert [(each["line"], each["param"]) for each in errors] == [(8, "query"), (9, "agent")]
    assert product.rows("SELECT id FROM agents WHERE id = 'food'") == []
    assert product.rows("SELECT count(*) AS n FROM import_rows") == [{"n": 0}]


async def test_a_failed_write_creates_no_agent(product: Product) -> None:
    product.execute(
        "CREATE TRIGGER full BEFORE INSERT ON labels BEGIN SELECT raise(ABORT, 'disk full'); END"
    )
    assert (await send(product, MAPPING)).status == 503
    assert product.rows("SELECT id FROM agents WHERE id = 'food'") == []


async def test_agents_are_created_without_new_labels(product: Product) -> None:
    report = (await send(product, {**MAPPING, "skip": [*list(MAPPING["agents"]), "spam"]})).json()
    assert (report["id"], report["skipped"], report["created"]) == (None, 5, ["food"])
    assert product.rows("SELECT is_default FROM agents WHERE id = 'food'") == [{"is_default": 0}]


@pytest.mark.parametrize(
    ("changes", "status", "code", "param"),
    [
        ({"columns": {"query": "Utterance"}}, 400, "column_missing", "columns.agent"),
        ({"columns": {"agent": "Intent"}}, 400, "column_missing", "columns.query"),
        ({"columns": {**COLUMNS, "query": "utterance"}}, 400, "invalid_lines", None),
        ({"agents": {"oos": "nobody"}}, 400, "unknown_agent", "agents.oos"),
        ({"create": [{**FOOD, "id": "hr"}]}, 409, "agent_exists", "create[0].id"),
        ({"create": [FOOD, FOOD]}, 409, "agent_exists", "create[1].id"),
        ({"create": [{**FOOD, "description": ""}]}, 400, None, "create[0].description"),
    ],
)
async def test_a_mapping_that_is_wrong(
    product: Product, changes: dict[str, Any], status: int, code: str | None, param: str | None
) -> None:
    refused = await send(product, {**MAPPING, **changes})
    error = refused.json()["error"]
    assert (refused.status, error["param"]) == (status, param), error
    assert code in (None, error["code"])
    assert product.rows("SELECT count(*) AS n FROM labels") == [{"n": 0}]


async def test_labels_of_a_deleted_agent_are_kept_on_request(product: Product) -> None:
    await send(product, MAPPING)
    await product.call("DELETE", "/v1/agents/food")
    refused = await send(product, MAPPING)
    assert (refused.status, refused.json()["error"]["code"]) == (409, "agent_has_labels")
    kept = await send(product, {**MAPPING, "create": [{**FOOD, "labels": "keep"}]})
    assert (kept.json()["unchanged"], kept.json()["created"]) == (4, ["food"])


async def test_there_may_be_250_agents(product: Product) -> None:
    there = product.rows("SELECT count(*) AS n FROM agents")[0]["n"]
    free = MAX_STORED_AGENTS - there
    many = [{**FOOD, "id": f"food{n}", "description": "é" * 1000} for n in range(free)]
    too_many = await send(product, {**MAPPING, "create": [*many, FOOD]})
    assert (too_many.status, too_many.json()["error"]["code"]) == (409, "too_many_agents")
    mapping = {**MAPPING, "agents": {**MAPPING["agents"], "Food & Drinks": "food0"}}
    product.database.statements.clear()
    assert len((await send(product, {**mapping, "create": many})).json()["created"]) == free
    written = [each for each in product.database.statements if "INTO agents" in each.sql]
    assert len(written) == 1


async def test_to_create_agents_needs_the_scope_admin(product: Product) -> None:
    made = await product.call("POST", "/v1/keys", {"name": "labels", "scopes": ["label"]})
    key = made.json()["key"]
    for mapping, status in ((MAPPING, 403), ({"columns": COLUMNS, "skip": ["spam"]}, 400)):
        answered = await product.call("POST", IMPORT, form(FILE, mapping), key=key)
        assert answered.status == status
    shown = await product.call("POST", f"{IMPORT}/preview", form(FILE), key=key)
    assert shown.status == 200


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            [{"q": "How do I cancel?", "z": "hr"}, {"q": "Hi", "z": "hr"}],
            {"query": "q", "agent": "z"},
        ),
        ([{"text": "a b", "label": 3, "id": 7}], {"query": "text", "agent": "label"}),
        (
            [{"query": "a", "agent": "x", "split": "dev", "source": "import"}] * 2,
            {"query": "query", "agent": "agent", "source": "source"},
        ),
        (
            [{"Previous agent": "hr", "question": "And then?", "category": "pay"}],
            {"previous_agent": "Previous agent", "query": "question", "agent": "category"},
        ),
        (
            [{"messages": [{"role": "user", "content": "a"}], "intent": "pay"}],
            {"messages": "messages", "agent": "intent"},
        ),
        ([{"a": {"b": 1}}], {}),
    ],
)
def test_columns_are_guessed(rows: list[dict[str, Any]], expected: dict[str, str]) -> None:
    found = guess_columns(column_stats(rows), {"hr"}.__contains__)
    assert found.chosen == expected


def test_suggested_agents_have_ids_of_their_own() -> None:
    suggestions = Suggestions(["card_arrival"])
    names = ("card_arrival", "Card arrival", "lostCard", "VPN", "配送", "None")
    found = [suggestions.suggest(name, None) for name in names]
    assert [each and each.id for each in found] == [
        *("card_arrival_2", "card_arrival_3", "lostcard", "vpn", "agent", "none_2")
    ]
    assert found[2] is not None
    assert (found[2].name, found[2].description) == ("Lost Card", "Queries about lost Card.")
    assert AgentNames([]).similar("out-of-scope") == "none"
    assert suggestions.suggest("  ", None) is None


async def test_half_a_surrogate_pair_is_shown_as_a_question_mark_or_refused(
    product: Product,
) -> None:
    """JSON can say it, an answer cannot."""
    file = (
        b'{"query": "a \\ud800", "agent": "hr", "\\ud800": 1}\n'
        b'{"query": "b", "agent": "x\\ud800"}\n'
    )
    found = await preview(product, file)
    assert [each["name"] for each in found["columns"]] == ["query", "agent"]
    assert found["columns"][0]["samples"] == ["a ?", "b"]
    assert [each["name"] for each in found["agents"]] == ["hr"]
    assert "half a surrogate pair" in found["errors"][0]["message"]
    imported = await product.call("POST", IMPORT, file)
    assert imported.status == 400, imported.text
