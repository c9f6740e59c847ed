"""The history of selections, from the audit log."""

from typing import Any

from edgeneuro.controlplane.access.audit import rule_audit_row
from edgeneuro.domain.learning import DisabledClassifier, EnabledClassifier
from edgeneuro.domain.model import ModelSelection
from tests.unit.conftest import Product

LLAMA, GRANITE = "@cf/meta/llama-3.2-1b-instruct", "@cf/ibm-granite/granite-4.0-h-micro"
LORA = "intent-routing-v1"


async def history(product: Product, query: str = "", **options: Any) -> list[dict[str, Any]]:
    answered = await product.call("GET", f"/v1/models/selections?{query}", **options)
    assert answered.status == 200, answered.text
    found: list[dict[str, Any]] = answered.json()["data"]
    return found


async def select(product: Product, model_id: str) -> None:
    product.clock.seconds += 60
    chosen = await product.call("POST", "/v1/models/select", {"model_id": model_id, "check": False})
    assert chosen.status == 200, chosen.text


async def test_what_was_selected_when_and_by_whom(product: Product) -> None:
    await select(product, LORA)
    await select(product, GRANITE)
    await product.call("PATCH", "/v1/config", {"max_retries": 2})  # selects nothing
    product.clock.seconds += 60
    await product.call("PATCH", "/v1/config", {"routing_model": None})
    newest, granite, lora = await history(product)
    assert [each["model_id"] for each in (newest, granite, lora)] == [None, GRANITE, LORA]
    assert [each["previous"] for each in (newest, granite, lora)] == [GRANITE, LORA, LLAMA]
    assert newest["until"] is None
    assert (granite["selected_at"], granite["until"]) == (
        "2027-01-15T08:02:00.000Z",
        newest["selected_at"],
    )
    assert (lora["actor"], lora["by_rule"], lora["check"]) == ("admin_token", False, None)
    paged = await history(product, f"limit=1&after={newest['id']}")
    assert paged == [granite]
    body = {"name": "k", "scopes": ["read"]}
    key = (await product.call("POST", "/v1/keys", body)).json()["key"]
    assert {each["actor"] for each in await history(product, key=key)} == {None}


async def test_the_audit_has_old_and_new_values_of_a_selection(product: Product) -> None:
    await select(product, LORA)
    [entry] = (await product.call("GET", "/v1/audit?resource=model")).json()["data"]
    assert (entry["before"]["active"], entry["after"]["active"]) == (LLAMA, LORA)


async def test_what_rules_did_with_classifiers(product: Product) -> None:
    services = product.services
    enabled = EnabledClassifier(
        classifier_id="clf_1", since_ms=0, expected=0.97, answers=400, bound=0.95, basis="b"
    )
    disabled = DisabledClassifier(
        classifier_id="clf_1", at_ms=0, samples=100, agreed=80, bound=0.95, reason="It fell."
    )
    for action, before, after in (
        ("select", ModelSelection(active=None, previous=None), enabled),
        ("disable", ModelSelection(active="clf_1", previous=None), disabled),
    ):
        row = rule_audit_row(
            services,
            action=action,
            resource="classifier",
            resource_id="clf_1",
            before=before,
            after=after,
        )
        product.execute("UPDATE agents SET name = name")  # a change, as the row needs
        await services.db.run(row)
    gone, chosen = await history(product, "type=classifier")
    assert (gone["model_id"], gone["previous"], gone["reason"]) == (None, "clf_1", "It fell.")
    assert (chosen["model_id"], chosen["previous"], chosen["by_rule"]) == ("clf_1", None, True)
    assert chosen["reason"].startswith("97.0% of 400 answers agreed")
    assert await history(product) == []


async def test_the_history_reads_its_index_alone(product: Product) -> None:
    product.database.statements.clear()
    await history(product)
    [one] = [each for each in product.database.statements if "FROM audit" in each.sql]
    explained = one.sql.replace("?1", "NULL").replace("?2", "'model'").replace("?3", "20")
    plan = product.rows(f"EXPLAIN QUERY PLAN {explained}")
    assert "audit_selections" in plan[0]["detail"]
