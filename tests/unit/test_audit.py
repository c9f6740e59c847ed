"""The audit log: each change leaves one row, in one batch with it; no change leaves none."""

import sqlite3
from typing import Any

import pytest

from edgeneuro.errors import ConstraintError
from edgeneuro.store.database import statement
from tests.unit.conftest import HR, Product
from tests.unit.invocations import run_maintenance


async def entries(product: Product, query: str = "") -> list[dict[str, Any]]:
    page = (await product.call("GET", f"/v1/audit?limit=100{query}")).json()
    data: list[dict[str, Any]] = page["data"]
    return data


async def test_a_change_is_recorded_with_before_and_after(product: Product) -> None:
    headers = {"x-request-id": "the-request"}
    await product.call("PATCH", "/v1/agents/hr", {"name": "People"}, headers=headers)
    newest = (await entries(product))[0]
    assert newest["actor"] == "admin_token"
    assert newest["request_id"] == "the-request"
    assert (newest["action"], newest["resource"], newest["resource_id"]) == (
        "update",
        "agent",
        "hr",
    )
    assert newest["before"]["name"] == HR["name"]
    assert newest["after"]["name"] == "People"
    assert newest["created_at"] == "2027-01-15T08:00:00.000Z"


async def test_every_kind_of_change_is_recorded(product: Product) -> None:
    await product.call("POST", "/v1/models/select", {"model_id": "intent-routing-v1"})
    await product.call("DELETE", "/v1/agents/hr")
    recorded = [(entry["action"], entry["resource_id"]) for entry in await entries(product)]
    assert recorded[:2] == [("delete", "hr"), ("select", "intent-routing-v1")]
    assert recorded[2:] == [("create", "general"), ("create", "hr"), ("create", "it_support")]


async def test_what_changed_nothing_leaves_no_row(product: Product) -> None:
    before = await entries(product)
    for method, path, body in (
        ("DELETE", "/v1/agents/general", None),
        ("PATCH", "/v1/agents/nobody", {"name": "x"}),
        ("POST", "/v1/agents", HR),
        ("POST", "/v1/models/select", {"model_id": "no-such-model"}),
    ):
        assert (await product.call(method, path, body)).status >= 400
    assert await entries(product) == before


async def test_filters_and_pages(product: Product) -> None:
    assert [e["resource_id"] for e in await entries(product, "&resource=agent&resource_id=hr")] == [
        "hr"
    ]
    assert await entries(product, "&resource=model") == []
    page = (await product.call("GET", "/v1/audit?limit=2")).json()
    rest = (await product.call("GET", f"/v1/audit?limit=2&after={page['last_id']}")).json()
    assert (page["has_more"], rest["has_more"], len(rest["data"])) == (True, False, 1)


@pytest.mark.parametrize("sql", ["DELETE FROM audit", "UPDATE audit SET actor = 'me'"])
async def test_rows_neither_change_nor_go(product: Product, sql: str) -> None:
    with pytest.raises(ConstraintError):
        await product.database.run(statement(sql))


async def test_audit_rows_go_only_when_the_setting_says_so(product: Product) -> None:
    product.execute(
        "INSERT INTO audit VALUES ('aud_old', 0, 'me', 'req', 'create', 'agent', 'a', NULL, NULL)"
    )
    with pytest.raises(sqlite3.IntegrityError, match="audit rows stay"):
        product.execute("DELETE FROM audit")
    await run_maintenance(product.services)
    assert product.rows("SELECT id FROM audit WHERE id = 'aud_old'")
    refused = await product.call("PATCH", "/v1/config", {"audit_retention_days": 29})
    assert refused.json()["error"]["param"] == "audit_retention_days"
    await product.call("PATCH", "/v1/config", {"audit_retention_days": 365})
    kept = product.rows("SELECT id FROM audit WHERE id <> 'aud_old'")
    await run_maintenance(product.services)
    assert product.rows("SELECT id FROM audit") == kept
    with pytest.raises(sqlite3.IntegrityError, match="audit rows stay"):
        product.execute("DELETE FROM audit")
    assert product.failures.counts["audit_retention"] == 0
