"""An evaluation of many agents: its confusion matrix, the queries of a cell, and their labels."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import httpx
import pytest
from playwright.sync_api import Page, expect

from edgeneuro.domain.evaluation import EvaluationResults
from edgeneuro.store.evaluation_results import read_results
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.ui.conftest import Go, Rows, open_again
from tests.ui.seed_data import ACTIVE, OTHER
from tests.ui.test_screens import NARROW, check_accessibility, look
from tests.unit.conftest import SCHEMA
from tests.varied_questions import TOPICS
from tests.worker.product import LocalProduct

ID = "eval_of_many_agents"
MORE_AGENTS = [f"agent_with_a_long_name_{number:02}" for number in range(15)]
EACH = 4
# Rows are values of (query_hash, query, label).
Items = list[tuple[str, str, str | None]]
# Of (evaluation_id, model_id, query_hash, agent_id, is_right).
Answers = list[tuple[str, str, str, str | None, int]]


@pytest.fixture(scope="module")
def evaluation(seeded: httpx.Client, product: LocalProduct) -> Iterator[str]:
    """Stored as the job stores it, without its model calls: labels of 21 agents, of which one model
    takes a query of HR for a query of the agent 00, and the other none."""
    with closing(sqlite3.connect(product.database, timeout=10)) as connection, connection:
        items: Items = connection.execute(
            "SELECT query_hash, query, agent_id FROM (SELECT *, row_number() OVER"
            " (PARTITION BY agent_id ORDER BY query_hash) AS place FROM current_labels)"
            " WHERE place <= ? AND coalesce(agent_id, 'none') IN (SELECT value FROM json_each(?))",
            [EACH, json.dumps([*TOPICS])],
        ).fetchall()
        items += [
            (f"{agent} {number}", f"Query {number} of {agent}", agent)
            for agent in MORE_AGENTS
            for number in range(EACH)
        ]
        answers = [
            (ID, model, query_hash, decided, int(decided == agent))
            for model in (ACTIVE, OTHER)
            for query_hash, _, agent in items
            for decided in [_decided(items, query_hash, agent, model)]
        ]
        # Not in this thread, where the browser's event loop runs.
        with ThreadPoolExecutor(1) as other:
            results = other.submit(asyncio.run, _results(items, answers)).result()
        for table, key in (("evaluations", "id"), ("jobs", "resource_id")):
            _copy_row(connection, table, key, results)
        _store(connection, items, answers)
    yield ID
    confused = next(query_hash for query_hash, _, agent in items if agent == "hr")
    seeded.delete(f"/v1/labels/{confused}/label").raise_for_status()
    seeded.delete(f"/v1/evaluations/{ID}").raise_for_status()


def _decided(items: Items, query_hash: str, agent: str | None, model: str) -> str | None:
    confused = next(each for each in items if each[2] == "hr")[0]
    return MORE_AGENTS[0] if model == OTHER and query_hash == confused else agent


def _store(
    connection: sqlite3.Connection,
    items: Items,
    answers: list[tuple[str, str, str, str | None, int]],
) -> None:
    connection.executemany(
        f"INSERT INTO evaluation_items (evaluation_id, query_hash, query, agent_id)"
        f" VALUES ('{ID}', ?, ?, ?)",
        items,
    )
    connection.executemany(
        "INSERT INTO evaluation_answers (evaluation_id, model_id, query_hash, agent_id, is_right,"
        " failed, tries, tokens, ms) VALUES (?, ?, ?, ?, ?, 0, 1, 100, 20)",
        answers,
    )


async def _results(items: Items, answers: Answers) -> EvaluationResults:
    database = SqliteDatabase(SCHEMA)
    database._connection.execute(
        "INSERT INTO evaluations (id, created_at, created_by, model_ids, split, labels, left_out,"
        " agents_revision, prompt_version, threshold)"
        f" VALUES ('{ID}', 1, 'key', '[]', 'test', 1, 0, 'r', '2', 0.5)"
    )
    _store(database._connection, items, answers)
    found = await read_results(database, ID, [ACTIVE, OTHER])
    database.close()
    return found


def _copy_row(
    connection: sqlite3.Connection, table: str, key: str, results: EvaluationResults
) -> None:
    """Of the newest evaluation; its own fields are what the screen shows beside the results."""
    connection.row_factory = sqlite3.Row
    [newest] = connection.execute(
        "SELECT resource_id FROM jobs WHERE kind = 'evaluation' ORDER BY resource_id DESC LIMIT 1"
    ).fetchone()
    row = dict(connection.execute(f"SELECT * FROM {table} WHERE {key} = ?", [newest]).fetchone())
    row[key] = ID
    if table == "jobs":
        row["id"] = f"job_of_{ID}"
    else:
        own = {"results": results.model_dump_json(), "details": None, "split": "test"}
        row |= {**own, "model_ids": json.dumps([ACTIVE, OTHER]), "labels": results.models[0].n}
    connection.execute(
        f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
        [*row.values()],
    )


def test_the_matrix_of_many_agents_leads_to_queries_whose_label_is_corrected(
    page: Page, go: Go, rows: Rows, evaluation: str
) -> None:
    go(f"evaluations/{evaluation}")
    page.get_by_label("Contestant", exact=True).first.select_option(OTHER)
    matrix = page.get_by_role("region", name=f"Confusion matrix of {OTHER}")
    heads = matrix.get_by_role("columnheader")
    expect(heads).to_have_count(1 + len(MORE_AGENTS) + len(TOPICS) + 1)
    frame = matrix.bounding_box()
    assert frame is not None
    shown = [box for head in heads.all() if (box := head.bounding_box()) is not None]
    assert all(box["x"] + box["width"] <= frame["x"] + frame["width"] for box in shown)
    expect(matrix.get_by_role("columnheader", name=MORE_AGENTS[0])).to_have_attribute(
        "title", MORE_AGENTS[0]
    )
    expect(matrix.get_by_role("rowheader", name="hr", exact=True)).to_have_attribute(
        "title", "Human Resources (hr)"
    )
    wrong = matrix.get_by_role("button", name=f"routed to {MORE_AGENTS[0]}: 1 of {EACH}")
    expect(wrong).to_have_accessible_name(
        f"Human Resources (hr) routed to {MORE_AGENTS[0]}: 1 of {EACH} (25 %)"
    )
    matrix.get_by_role("button").first.focus()
    page.keyboard.press("ArrowDown")  # from the agent's own row to the next one in its column
    expect(wrong).to_be_focused()
    page.keyboard.press("Enter")

    table = page.get_by_role("table", name="Queries of the evaluation")
    expect(table.get_by_role("row")).to_have_count(2)
    expect(page.get_by_role("heading", name="Queries", exact=True)).to_be_in_viewport()
    [[query, query_hash]] = rows(
        "SELECT query, query_hash FROM evaluation_items JOIN evaluation_answers USING"
        " (evaluation_id, query_hash) WHERE evaluation_id = ? AND is_right = 0",
        evaluation,
    )
    expect(table).to_contain_text(query)
    select = table.get_by_label(f"Correct agent of: {query}")
    expect(select).to_have_value("hr")
    save = table.get_by_role("button", name=f"Relabel: {query}")
    expect(save).to_be_hidden()
    select.select_option("it_support")
    save.click()
    expect(table.get_by_text("Relabeled")).to_be_visible()
    expect(select).to_be_focused()
    label = "SELECT agent_id FROM current_labels WHERE query_hash = ?"
    assert rows(label, query_hash) == [("it_support",)]
    assert f"label=hr&decided={MORE_AGENTS[0]}" in page.url
    open_again(page)  # the address names the cell
    expect(select).to_have_value("it_support")
    expect(table.get_by_role("cell", name="Human Resources", exact=True)).to_be_visible()

    differences = page.get_by_role("table", name="Differences by agent")
    expect(differences.get_by_role("row")).to_have_count(2)
    expect(differences.get_by_role("row").last).to_contain_text("4 (100 %)3 (75 %)-25.0 points")
    check_accessibility(page, "evaluations-many-agents")
    look(page, "light", NARROW)
    assert matrix.evaluate("frame => frame.scrollWidth > frame.clientWidth")
    matrix.evaluate("frame => { frame.scrollLeft = frame.scrollWidth }")
    frame, head = (each.bounding_box() for each in (matrix, matrix.get_by_role("rowheader").first))
    assert frame is not None and head is not None
    assert 0 <= head["x"] - frame["x"] < 2, "names of rows stay in view"
    look(page, "light", 1440)
