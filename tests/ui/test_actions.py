"""The main action of each screen, from the click to the row in the database."""

import csv
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.ui.conftest import Go, Rows, open_again, said, setting, settled
from tests.ui.seed_data import ACTIVE, OTHER, SECONDS, ended, label, upload
from tests.waiting import until
from tests.worker.adapters import CONFIG, GEMMA, WEIGHTS, write_adapter
from tests.worker.product import LocalProduct

SETTINGS = (
    "routing_model",
    "fallback_models",
    "classifier",
    "promotion_min_labels",
    "redact_personal_data",
)
EMPTY: dict[str, list[str]] = {"additions": [], "statements": []}  # of a log row to be written


@pytest.fixture(autouse=True)
def usual_models(api: httpx.Client, rows: Rows) -> Iterator[None]:
    """Each test leaves the models as they were."""
    yield
    if setting(rows, "challenger"):
        none = {"model_id": None, "type": "challenger"}
        api.post("/v1/models/select", json=none).raise_for_status()
    changed = [name for name in SETTINGS if rows("SELECT 1 FROM config WHERE key = ?", name)]
    if changed:
        api.patch("/v1/config", json=dict.fromkeys(changed)).raise_for_status()


def test_the_playground_routes(page: Page, go: Go, rows: Rows, api: httpx.Client) -> None:
    go("playground")
    query = "Please install Docker on the laptop of Grace"
    page.get_by_label("Query").fill(query)
    page.get_by_role("button", name="Route").click()
    expect(page.locator(".answer")).to_have_text("IT Support")
    expect(page.get_by_text("Latency breakdown")).to_be_visible()
    sql = "SELECT id, layer, agent_id FROM logs WHERE query = ?"
    [(log_id, layer, agent)] = until(lambda: rows(sql, query))
    assert (layer, agent) == ("llm", "it_support")
    page.get_by_text("Code", exact=True).first.click()
    page.get_by_text("JavaScript", exact=True).click()
    expect(page.get_by_text("await fetch")).to_contain_text(f'{{"query": "{query}"}}')
    page.get_by_role("button", name="No, the decision was wrong").click()
    said(page, "Feedback saved")
    assert rows("SELECT value FROM feedback WHERE decision_id = ?", log_id) == [("down",)]
    page.get_by_label("Correct agent").select_option("facilities")
    page.get_by_role("button", name="Save as label").click()
    said(page, "Label saved: Facilities.")
    assert rows("SELECT agent_id FROM current_labels WHERE query = ?", query) == [("facilities",)]
    page.get_by_label("Query").fill("another one")
    page.get_by_text("Recent queries (1)").click()
    page.get_by_role("button", name=query).click()  # routes it again: there is a label now
    expect(page.locator(".answer")).to_have_text("Facilities")
    kept = "localStorage.getItem('edgeneuro.playground')"
    assert query in page.evaluate(kept)
    page.get_by_role("button", name="Clear the recent queries").click()
    expect(page.get_by_role("button", name=query)).to_have_count(0)
    assert page.evaluate(kept) is None
    page.evaluate("localStorage.setItem('edgeneuro.playground', '{}')")  # of other settings
    api.patch("/v1/config", json={"redact_personal_data": True}).raise_for_status()
    go("playground?q=A%20second%20one")
    page.get_by_text("Recent queries", exact=True).click()
    expect(page.get_by_text("This browser keeps none")).to_be_visible()
    assert page.evaluate(kept) is None


def test_the_playground_routes_after_a_turn(page: Page, go: Go, rows: Rows) -> None:
    go("playground")
    query = "The 29th, said Grace"
    page.get_by_label("Query").fill(query)
    page.get_by_text("Previous turn", exact=True).click()
    page.get_by_label("Agent", exact=True).select_option("hr")
    page.get_by_label("The agent answered").fill("From which day?")
    page.get_by_label("Query", exact=True).press("Control+Enter")
    expect(page.locator(".answer")).to_have_text("Human Resources")
    sql = "SELECT id, context FROM logs WHERE query = ?"
    [(log_id, context)] = until(lambda: rows(sql, query))
    assert "From which day?" in context
    go(f"logs/{log_id}")
    page.get_by_role("link", name="Open in playground").click()
    expect(page.get_by_label("The agent answered")).to_have_value("From which day?")
    expect(page.get_by_label("Agent", exact=True)).to_have_value("hr")


def test_models_are_compared_in_the_playground(page: Page, go: Go, rows: Rows) -> None:
    go("playground")
    page.get_by_text("Options", exact=True).click()
    page.get_by_label(ACTIVE, exact=True).check()
    page.get_by_label(OTHER, exact=True).check()
    for name in ("Use cache", "Allow fallback"):
        expect(page.get_by_label(name)).to_be_disabled()
        expect(page.get_by_label(name)).not_to_be_checked()
    page.get_by_label("Query").fill("My Wi-Fi is slow, said Ada")
    page.get_by_role("button", name="Route").click()
    expect(page.locator(".answer")).to_have_count(2)
    expect(page.locator(".comparison")).to_have_text("Both: IT Support")
    sql = "SELECT model, cache FROM logs WHERE query = ?"
    asked = until(lambda: rows(sql, "My Wi-Fi is slow, said Ada"), lambda found: len(found) == 2)
    assert set(asked) == {(ACTIVE, "bypass"), (OTHER, "bypass")}
    for model in (ACTIVE, OTHER):
        page.get_by_label(model, exact=True).uncheck()
    expect(page.get_by_label("Use cache")).to_be_checked()
    expect(page.get_by_label("Allow fallback")).to_be_enabled()


def test_an_agent_is_created_changed_and_deleted(page: Page, go: Go, rows: Rows) -> None:
    go("agents")
    page.get_by_role("button", name="Add agent").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("ID", exact=True).fill("Travel Team")
    dialog.get_by_label("Name").fill("Travel")
    dialog.get_by_label("Description").fill("Trips: trains, flights, hotels.")
    dialog.get_by_label("Examples").fill("Book me a train\n\n  A hotel in Graz \n")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_label("ID", exact=True)).to_have_attribute("aria-invalid", "true")
    expect(dialog.get_by_label("Name")).to_have_value("Travel")
    dialog.get_by_label("ID", exact=True).fill("travel")
    dialog.get_by_role("button", name="Save").click()
    said(page, "Travel saved.")
    [(examples,)] = rows("SELECT examples FROM agents WHERE id = 'travel'")
    assert json.loads(examples) == ["Book me a train", "A hotel in Graz"]
    page.get_by_role("button", name="Edit Travel").click()
    page.get_by_role("dialog").get_by_label("Enabled").uncheck()
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.get_by_role("article", name="Travel").get_by_text("disabled")).to_be_visible()
    assert rows("SELECT enabled, name FROM agents WHERE id = 'travel'") == [(0, "Travel")]
    page.get_by_role("button", name="Delete Travel").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("article", name="Travel")).to_have_count(0)
    assert rows("SELECT id FROM agents WHERE id = 'travel'") == []


def test_an_agents_old_labels_are_asked_about(
    page: Page, go: Go, rows: Rows, api: httpx.Client
) -> None:
    """When an agent is created again, and when its description changes."""
    query, about = "Which berth is free tonight?", "Berths and pilots."
    body = {"id": "harbor", "name": "Harbor", "description": about}
    in_force = "SELECT count(*) FROM current_labels WHERE agent_id = 'harbor'"
    api.post("/v1/agents", json=body).raise_for_status()
    api.post("/v1/labels", json=[{"query": query, "agent_id": "harbor"}]).raise_for_status()
    go("agents")
    page.get_by_role("button", name="Edit Harbor").click()
    page.get_by_label("Description").fill("Boats for hire.")
    page.get_by_role("button", name="Save").click()
    question = page.get_by_role("dialog", name="Are the labels of Harbor still correct?")
    expect(question.get_by_text("1 label.")).to_be_visible()
    question.get_by_role("button", name="Cancel").click()
    assert rows(in_force) == [(1,)]
    api.delete("/v1/agents/harbor").raise_for_status()
    go("agents")
    page.get_by_role("button", name="Add agent").click()
    page.get_by_label("ID", exact=True).fill("harbor")
    page.get_by_label("Name", exact=True).fill("Harbor")
    page.get_by_label("Description").fill(about)
    page.get_by_role("button", name="Save").click()
    former = page.get_by_role("dialog", name="Labels of a deleted agent")
    former.get_by_role("button", name="Set labels aside").click()
    until(lambda: rows(in_force) == [(0,)])
    expect(page.get_by_role("article", name="Harbor")).to_be_visible()
    api.delete("/v1/agents/harbor").raise_for_status()


def test_a_model_is_selected_and_rolled_back(page: Page, go: Go, rows: Rows) -> None:
    go("models")
    page.get_by_role("button", name=f"Select {OTHER}").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("table", name="Changes")).to_contain_text(ACTIVE)
    expect(dialog.get_by_text("Promotion check: failed")).to_be_visible()
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    dialog.get_by_role("button", name="Select anyway").click()
    said(page, f"{OTHER} is the active model now.")
    assert setting(rows, "routing_model") == OTHER
    page.get_by_role("button", name=f"Roll back to {ACTIVE}").click()
    said(page, f"{ACTIVE} is active again.")
    assert setting(rows, "routing_model") == ACTIVE


def test_a_failed_promotion_check_selects_nothing(page: Page, go: Go, rows: Rows) -> None:
    go("models")
    page.get_by_role("button", name=f"Select {OTHER}").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Select", exact=True).click()
    expect(dialog.get_by_role("alert")).to_contain_text("Promotion check failed")
    assert setting(rows, "routing_model") is None


def test_a_challenger_is_started_and_ended(page: Page, go: Go, rows: Rows) -> None:
    go("models")
    page.get_by_role("button", name=f"Select {OTHER}").click()
    page.get_by_role("dialog").get_by_label("Run as challenger").fill("25")
    page.get_by_role("dialog").get_by_role("button", name="Select", exact=True).click()
    said(page, f"{OTHER} is the challenger of {ACTIVE}.")
    challenger = setting(rows, "challenger")
    assert isinstance(challenger, dict)
    assert (challenger["model_id"], challenger["percent"]) == (OTHER, 25)
    go("models/challenger")
    page.get_by_role("button", name="Stop comparison").click()
    expect(page.get_by_role("heading", name="No challenger")).to_be_visible()
    assert setting(rows, "challenger") is None


def test_a_model_is_registered_edited_and_retired(page: Page, go: Go, rows: Rows) -> None:
    go("models")
    page.get_by_role("button", name="Register model").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name", exact=True).fill("@cf/example/new-1b")
    dialog.get_by_label("Context window").fill("4096")
    dialog.get_by_role("button", name="Register").click()
    said(page, "@cf/example/new-1b registered.")
    page.get_by_role("button", name="Edit @cf/example/new-1b").click()
    page.get_by_role("dialog").get_by_label("Aliases").fill("newest")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    said(page, "@cf/example/new-1b saved.")
    [(aliases, context)] = rows(
        "SELECT aliases, context_window FROM models WHERE id = '@cf/example/new-1b'"
    )
    assert (json.loads(aliases), context) == (["newest"], 4096)
    page.get_by_role("button", name="Retire @cf/example/new-1b").click()
    page.get_by_role("dialog").get_by_role("button", name="Retire").click()
    said(page, "@cf/example/new-1b retired.")
    assert rows("SELECT status FROM models WHERE id = '@cf/example/new-1b'") == [("retired",)]


def test_fallbacks_are_reordered_by_keyboard_and_by_drag(page: Page, go: Go, rows: Rows) -> None:
    go("models/fallbacks")
    page.get_by_label("Add a model").select_option("@cf/zai-org/glm-4.7-flash")
    page.get_by_label("Add a model").select_option("@cf/openai/gpt-oss-20b")
    items = page.locator(".order-item")
    expect(items).to_have_count(3)
    items.nth(2).focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(items.first).to_be_focused()
    page.get_by_role("button", name="Save order").click()
    said(page, "Order saved.")
    by_keyboard = ["@cf/openai/gpt-oss-20b", OTHER, "@cf/zai-org/glm-4.7-flash"]
    assert setting(rows, "fallback_models") == by_keyboard
    settled(page)
    items.nth(2).drag_to(items.first)
    expect(items.first).to_contain_text("glm-4.7-flash")
    page.get_by_role("button", name="Save order").click()
    expect(page.get_by_role("button", name="Save order")).to_be_disabled()
    settled(page)
    assert setting(rows, "fallback_models") == [by_keyboard[2], *by_keyboard[:2]]


def test_an_adapter_from_its_files_to_a_model(
    page: Page, go: Go, rows: Rows, tmp_path: Path
) -> None:
    adapter = write_adapter(tmp_path)
    go("adapters")
    page.get_by_label("Base model").select_option(GEMMA)
    files = page.get_by_label("Drop the adapter's two files")
    files.set_input_files(adapter / CONFIG)
    expect(page.get_by_text(f"{WEIGHTS} is missing.")).to_be_visible()
    files.set_input_files(adapter / WEIGHTS)
    expect(page.get_by_text("Validation passed.")).to_be_visible()
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_text("Name is required.")).to_be_visible()
    page.get_by_label("Name", exact=True).fill("by-hand-v1")
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_text("available").first).to_be_visible(timeout=SECONDS * 1000)
    expect(page.get_by_text("Send a test query")).to_be_visible()
    jobs = "SELECT jobs.state FROM jobs JOIN loras ON loras.id = resource_id WHERE name = ?"
    until(lambda: rows(jobs, "by-hand-v1") == [("succeeded",)])  # a moment after the adapter
    assert rows("SELECT type FROM models WHERE id = 'by-hand-v1'") == [("lora",)]
    page.get_by_role("button", name="Check at Workers AI").click()
    said(page, "Available:")


def test_files_are_dropped(page: Page, go: Go) -> None:
    go("adapters")
    dropped = page.evaluate_handle(
        """() => {
          const held = new DataTransfer();
          held.items.add(new File(["{}"], "adapter_config.json"));
          held.items.add(new File(["x"], "notes.txt"));
          return held;
        }"""
    )
    page.locator(".drop").dispatch_event("drop", {"dataTransfer": dropped})
    expect(page.get_by_text("adapter_model.safetensors is missing.")).to_be_visible()
    said(page, "notes.txt was ignored")


def test_an_adapter_that_does_not_fit_is_not_uploaded(
    page: Page, go: Go, rows: Rows, tmp_path: Path
) -> None:
    adapter = write_adapter(tmp_path, r=64)
    go("adapters")
    page.get_by_label("Base model").select_option(GEMMA)
    page.get_by_label("Drop the adapter's two files").set_input_files(
        [adapter / CONFIG, adapter / WEIGHTS]
    )
    expect(page.get_by_text("Validation failed.")).to_be_visible()
    expect(page.locator(".checklist li", has_text="rank").first).to_contain_text("failed")
    expect(page.get_by_role("button", name="Upload", exact=True)).to_be_disabled()


def test_an_evaluation_from_the_form_to_its_results(
    page: Page, go: Go, rows: Rows, seeded: httpx.Client
) -> None:
    label(seeded)
    go("evaluations")
    page.get_by_role("button", name="New evaluation").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label(OTHER, exact=True).check()
    dialog.get_by_label("Router as it runs", exact=True).check()
    dialog.get_by_label("Sample size").fill("10")
    expected = dialog.get_by_role("table", name="Before the start: 10 queries")
    for each in (ACTIVE, OTHER, "Router as it runs"):
        row = expected.get_by_role("row").filter(has_text=each)
        expect(row).to_contain_text("emulated: no cost")
    dialog.get_by_role("button", name="Run evaluation").click()
    table = page.get_by_role("table", name="Results")
    expect(table).to_be_visible(timeout=SECONDS * 1000)
    expect(table.get_by_role("row").filter(has_text=ACTIVE)).to_contain_text("emulated: no cost")
    expect(table.get_by_role("row").filter(has_text="Router as it runs")).to_contain_text("n = 10")
    expect(page.get_by_role("table", name="Pairwise comparison")).to_be_visible()
    matrix = page.get_by_role("region", name="Confusion matrix of Router as it runs")
    expect(matrix).to_be_visible()
    evaluation_id = page.url.rpartition("/")[2].partition("?")[0]
    assert rows("SELECT state FROM jobs WHERE resource_id = ?", evaluation_id) == [("succeeded",)]
    expect(table.get_by_role("row").filter(has_text=ACTIVE).get_by_text("active")).to_be_visible()
    table.get_by_role("button", name=f"Select this: {OTHER}").click()
    selection = page.get_by_role("dialog", name=f"Select {OTHER}?")
    expect(selection).to_contain_text("Promotion check: failed")
    page.keyboard.press("Escape")
    expect(table.get_by_role("button", name=f"Select this: {OTHER}")).to_be_focused()


def test_routing_tests_are_stored_and_run(
    page: Page, go: Go, api: httpx.Client, tmp_path: Path
) -> None:
    file = tmp_path / "routing_tests.jsonl"
    go("routing_tests")
    file.write_text('{"query": "My VPN is down"}')
    page.get_by_label("Replace with a file").set_input_files(file)
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("table", name="Errors")).to_contain_text("expect")
    tests = [
        {"query": "My VPN does not connect", "expect": "it_support"},
        {"query": "How much parental leave do I have?", "expect": "it_support"},
    ]
    file.write_text("".join(json.dumps(each) + "\n" for each in tests))
    page.get_by_label("Replace with a file").set_input_files(file)
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_text("2 tests stored.")).to_be_visible()
    assert api.get("/v1/routing-tests").json()["items"] == tests
    page.get_by_role("button", name="Run tests").click()
    page.get_by_role("dialog").get_by_role("button", name="Run").click()
    failed = page.get_by_role("table", name="Tests")
    expect(failed).to_contain_text("parental leave", timeout=SECONDS * 1000)
    expect(failed).not_to_contain_text("VPN")
    expect(page.get_by_text("1 of 2")).to_be_visible()


def test_a_classifier_is_trained_and_enabled(
    page: Page, go: Go, rows: Rows, seeded: httpx.Client
) -> None:
    go("models/classifier")
    page.get_by_role("button", name="Train a classifier").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Target precision").fill("0.7")
    dialog.get_by_role("button", name="Train").click()
    said(page, "Training started.")
    (newest, _), (made, state) = rows(
        "SELECT resource_id, state FROM jobs WHERE kind = 'training' ORDER BY id DESC LIMIT 2"
    )
    assert state == "succeeded"
    expect(page.get_by_role("button", name=f"Cancel {newest}")).to_be_visible()
    # What it would learn, seconds of CPU, the one before it has learned of the same labels.
    seeded.post(f"/v1/classifiers/{newest}/cancel").raise_for_status()
    expect(page.get_by_role("button", name=f"Cancel {newest}")).to_have_count(0)
    expect(page.get_by_role("row", name=newest).get_by_text("cancelled")).to_be_visible()
    page.get_by_role("button", name=f"Enable {made}").click()
    page.get_by_role("dialog").get_by_role("button", name="Enable anyway").click()
    said(page, f"{made} is enabled.")
    expect(page.get_by_text("Models are offered all agents: with 30 agents")).to_be_visible()
    assert setting(rows, "classifier") == made
    expect(page.get_by_role("heading", name="Follow-ups")).to_be_visible()
    expect(page.get_by_text("Nothing was learned: 20 turns that go on")).to_be_visible()
    drift = page.get_by_role("table", name="Drift by window")
    expect(drift.get_by_role("row", name="Last 7 days")).to_be_visible()
    robustness = page.get_by_role("table", name="Robustness")
    expect(robustness.get_by_role("row", name="With a greeting")).to_be_visible()
    page.get_by_role("button", name="Disable").click()
    said(page, "The classifier is disabled.")
    assert setting(rows, "classifier") is None


def test_a_provider(page: Page, go: Go, rows: Rows) -> None:
    go("providers")
    page.get_by_role("button", name="Add provider").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("ID", exact=True).fill("groq-eu")
    dialog.get_by_label("Kind").select_option("groq")
    dialog.get_by_label("Secret name").fill("PROVIDER_GROQ_KEY")
    dialog.get_by_label("Models, one per line", exact=True).fill("llama-small\nllama-large")
    dialog.get_by_label("Prices").fill("llama-small 0.05 0.08")
    dialog.get_by_role("button", name="Save").click()
    said(page, "groq-eu saved.")
    [(kind, secret, models)] = rows(
        "SELECT kind, secret, models FROM providers WHERE id = 'groq-eu'"
    )
    [(prices,)] = rows("SELECT prices FROM providers WHERE id = 'groq-eu'")
    price = {"input_per_million": 0.05, "output_per_million": 0.08, "currency": "USD"}
    assert json.loads(prices) == {"llama-small": price}
    assert (kind, secret, json.loads(models)) == (
        "groq",
        "PROVIDER_GROQ_KEY",
        ["llama-small", "llama-large"],
    )
    page.get_by_role("button", name="Delete groq-eu").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    said(page, "groq-eu deleted.")


def test_a_webhook_is_added_tested_and_deleted(page: Page, go: Go, rows: Rows) -> None:
    go("webhooks")
    page.get_by_role("button", name="Add webhook").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("URL").fill("https://hooks.example.com/in")
    dialog.get_by_label("The end of a job").check()
    dialog.get_by_role("button", name="Save").click()
    [(secret, events)] = until(lambda: rows("SELECT secret, events FROM webhooks"))
    assert json.loads(events) == ["job.ended"]
    expect(dialog.locator("pre")).to_have_text(secret)
    dialog.get_by_role("button", name="Done").click()
    page.get_by_role("button", name="Test https://hooks.example.com/in").click()
    said(page, "The test event was delivered.")
    page.get_by_role("link", name="https://hooks.example.com/in").click()
    expect(page.get_by_role("row", name="webhook.test")).to_contain_text("delivered")
    page.get_by_label("Breadcrumbs").get_by_role("link", name="Webhooks").click()
    page.get_by_role("button", name="Delete https://hooks.example.com/in").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    said(page, "Webhook deleted.")


def test_a_key_is_shown_once_works_and_is_revoked(
    page: Page, go: Go, rows: Rows, product: LocalProduct
) -> None:
    go("keys")
    page.get_by_role("button", name="Create API key").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name", exact=True).fill("Kiosk")
    dialog.get_by_label("Monthly budget").fill("2.5")
    dialog.get_by_label("Allowed agents").fill("hr\nit_support")
    dialog.get_by_role("button", name="Create").click()
    shown = page.locator(".secret")
    expect(shown).to_be_visible()
    key = shown.inner_text()
    page.get_by_role("button", name="Done").click()
    expect(shown).to_have_count(0)
    assert key not in page.content()
    assert rows("SELECT monthly_budget_usd, agents, models FROM keys WHERE name = 'Kiosk'") == [
        (2.5, '["hr", "it_support"]', None)
    ]
    page.get_by_role("button", name="Edit Kiosk").click()
    dialog.get_by_label("Allowed agents").fill("")
    dialog.get_by_role("button", name="Save").click()
    said(page, "Kiosk saved.")
    assert rows("SELECT agents FROM keys WHERE name = 'Kiosk'") == [(None,)]
    with httpx.Client(
        base_url=product.base_url, headers={"authorization": f"Bearer {key}"}
    ) as kiosk:
        assert kiosk.get("/v1/me").json()["scopes"] == ["route"]
        page.get_by_role("button", name="Revoke Kiosk").click()
        page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        said(page, "Kiosk revoked.")
        assert kiosk.get("/v1/me").status_code == 401


def test_a_user(page: Page, go: Go, rows: Rows) -> None:
    go("keys/users")
    page.get_by_role("button", name="Add user").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Email").fill("no address")
    dialog.get_by_label("Name", exact=True).fill("Grace")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_label("Email")).to_have_attribute("aria-invalid", "true")
    dialog.get_by_label("Email").fill("Grace@Example.com")
    dialog.get_by_label("Role").select_option("admin")
    dialog.get_by_role("button", name="Save").click()
    said(page, "Grace saved.")
    assert rows("SELECT role FROM users WHERE email = 'grace@example.com'") == [("admin",)]


def test_a_setting_is_changed_and_reset(page: Page, go: Go, rows: Rows) -> None:
    go("settings")
    threshold = page.get_by_label("Confidence threshold")
    threshold.fill("7")
    routing = page.locator("section", has=page.get_by_role("heading", name="Routing"))
    routing.get_by_role("button", name="Save").click()
    expect(threshold).to_have_attribute("aria-invalid", "true")
    threshold.fill("0.6")
    routing.get_by_role("button", name="Save").click()
    said(page, "Routing: saved.")
    assert setting(rows, "confidence_threshold") == 0.6
    page.get_by_role("button", name="Reset Confidence threshold").click()
    said(page, "” reset.")
    assert setting(rows, "confidence_threshold") is None
    routing.get_by_label("If no agent is found", exact=True).select_option("none")
    routing.get_by_role("button", name="Save").click()
    reset = page.get_by_role("button", name="Reset If no agent is found")
    expect(reset).to_be_visible()
    assert setting(rows, "on_no_fit") == "none"
    reset.click()
    expect(reset).to_have_count(0)
    before = setting(rows, "cache_epoch") or 0
    assert isinstance(before, int)
    page.get_by_role("button", name="Purge cache").click()
    page.get_by_role("dialog").get_by_role("button", name="Purge").click()
    said(page, "Purged:")
    assert setting(rows, "cache_epoch") == before + 1


def test_logs_are_searched_and_labeled(page: Page, go: Go, rows: Rows, api: httpx.Client) -> None:
    query = "The zeppelin of the finance team wants reimbursement"
    api.post("/v1/route", json={"query": query}).raise_for_status()
    go("logs")
    page.get_by_label("Search queries").fill("zeppelin")
    expect(page).to_have_url(re.compile("q=zeppelin"))
    expect(page.get_by_role("row")).to_have_count(2)
    open_again(page)
    page.get_by_role("link", name=query).click()
    expect(page.get_by_role("heading", name="Latency breakdown")).to_be_visible()
    threshold = page.locator(".checklist li", has=page.get_by_text("threshold", exact=True))
    expect(threshold).to_contain_text("threshold 50 %")
    page.get_by_text("Prompt", exact=True).click()
    expect(page.get_by_text("You route the user's message").first).to_be_visible()
    page.get_by_label("Correct agent").select_option("none")
    page.get_by_role("button", name="Save label").click()
    said(page, "Label saved.")
    assert rows("SELECT agent_id FROM current_labels WHERE query = ?", query) == [(None,)]
    page.get_by_role("link", name="Full page").click()
    page.get_by_role("link", name="Back to logs").click()
    expect(page.get_by_label("Search queries")).to_have_value("zeppelin")


def test_a_decision_is_rerouted(page: Page, go: Go, rows: Rows, api: httpx.Client) -> None:
    query = "My VPN does not connect, said Hedy"
    first = api.post("/v1/route", json={"query": query, "cache": False}).json()
    until(lambda: rows("SELECT id FROM logs WHERE id = ?", first["id"]))
    go(f"logs/{first['id']}")
    page.get_by_role("button", name="Re-route to the next best agent").click()
    said(page, "Re-routed to")
    expect(page.get_by_text("misrouted", exact=True)).to_be_visible()
    expect(page.get_by_label("Signals").get_by_text("re-routed")).to_be_visible()
    page.get_by_role("link", name="Next decision (re-routed)").click()
    expect(page.get_by_text("next best")).to_be_visible()
    expect(page.get_by_role("link", name="Decision before (refused)")).to_be_visible()
    sql = "SELECT id FROM logs WHERE rerouted_from = ?"
    [(second,)] = until(lambda: rows(sql, first["id"]))
    go("logs?misrouted=true")
    row = page.get_by_role("row").filter(has_text=query)
    expect(row).to_have_count(1)
    expect(row.get_by_text("misrouted")).to_be_visible()
    assert rows("SELECT agent_id FROM logs WHERE id = ?", second) != [(first["agent"]["id"],)]


def test_a_session_is_shown_and_ended(page: Page, go: Go, api: httpx.Client) -> None:
    for query in ("The first zeppelin of a session", "The second zeppelin of it"):
        body = {"query": query, "session": "of zeppelins/1"}
        log_id = api.post("/v1/route", json=body).raise_for_status().json()["id"]
    until(lambda: api.get(f"/v1/logs/{log_id}").status_code == 200)
    go(f"logs/{log_id}")
    heading = page.get_by_role("heading", name="Session", exact=True)
    remembered = page.locator("section", has=heading)
    expect(remembered).to_contain_text("The second zeppelin of it")
    remembered.get_by_role("button", name="End session").click()
    page.get_by_role("dialog").get_by_role("button", name="End session").click()
    said(page, "Session ended.")
    expect(remembered).to_contain_text("Nothing is remembered")
    assert api.get("/v1/sessions/of%20zeppelins%2F1").status_code == 404
    open_again(page)
    expect(remembered).to_contain_text("Nothing is remembered")
    remembered.get_by_role("link", name="Requests of this session").click()
    expect(page.get_by_label("Session")).to_have_value("of zeppelins/1")
    expect(page.get_by_role("row")).to_have_count(3)


def test_a_change_is_in_the_audit_log(page: Page, go: Go, api: httpx.Client) -> None:
    api.patch("/v1/config", json={"max_retries": 2}).raise_for_status()
    api.patch("/v1/config", json={"max_retries": None}).raise_for_status()
    go("audit")
    page.get_by_label("Target", exact=True).select_option("config")
    settled(page)
    undone, done = page.locator(".changes").nth(0), page.locator(".changes").nth(2)
    expect(undone).to_have_text("Retries per model 2 → 1")
    expect(done).to_have_text("Retries per model 1 → 2")


def test_a_file_of_labels_in_and_out(page: Page, go: Go, rows: Rows, tmp_path: Path) -> None:
    go("datasets")
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("query,agent\nA badge for a visitor,facilities\n,facilities\n")
    page.get_by_label("File", exact=True).set_input_files(wrong)
    errors = page.get_by_role("table", name="1 error")
    expect(errors).to_contain_text("1 to 8,000 characters")
    right = tmp_path / "right.csv"
    right.write_text("query,agent\nA badge for a visitor of ours,facilities\n")
    page.get_by_label("File", exact=True).set_input_files(right)
    expect(page.get_by_text("Nothing was written.")).to_be_visible()
    found = "SELECT agent_id FROM current_labels WHERE query = 'A badge for a visitor of ours'"
    assert rows(found) == []
    page.get_by_role("button", name="Import 1 label").click()
    said(page, "Imported.")
    settled(page)  # what lists agents is read again
    assert rows(found) == [("facilities",)]
    page.get_by_label("Split", exact=True).select_option("all")
    page.get_by_label("Format").select_option("flat")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download").click()
    lines = Path(waiting.value.path()).read_text().splitlines()
    exported = [json.loads(line) for line in lines]
    assert any(line["query"] == "A badge for a visitor of ours" for line in exported)
    page.get_by_role("button", name="Roll back").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    said(page, "Import rolled back.")
    assert rows(found) == []
    expect(page.get_by_text("rolled back", exact=True).first).to_be_visible()


def test_a_file_with_its_own_columns_and_agents(
    page: Page, go: Go, api: httpx.Client, rows: Rows, tmp_path: Path
) -> None:
    """What is written is shown before, and the agents come with the labels or not at all."""
    found = "SELECT query, agent_id FROM current_labels WHERE query LIKE 'Tram %' ORDER BY query"
    lines = [("Tram to town?", "Trams"), ("Tram desk?", "Facilities team"), ("Tram ads", "spam")]
    file = tmp_path / "trams.jsonl"
    file.write_text(
        "".join(json.dumps({"ticket": 7, "asked": q, "topic": a}) + "\n" for q, a in lines)
    )
    go("datasets")
    page.get_by_label("File", exact=True).set_input_files(file)
    expect(page.get_by_label("Use of the column topic")).to_have_value("agent")
    page.get_by_label("Use of the column ticket").select_option("query")
    page.get_by_label("Use of the column asked").select_option("query")
    expect(page.get_by_label("Use of the column ticket")).to_have_value("")
    names = page.get_by_role("region", name="Names without an agent")
    expect(names.get_by_text("Tram to town?")).to_be_visible()
    expect(page.get_by_label("Lines of Facilities team")).to_have_value("use")
    page.get_by_label("Lines of spam").select_option("skip")
    trams = names.get_by_role("group", name="Trams")
    trams.get_by_label("ID").fill("facilities")
    page.get_by_role("link", name="Agents", exact=True).click()  # drops no choices unasked
    leaving = page.get_by_role("dialog", name="Leave without saving?")
    leaving.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Check").click()
    expect(trams.get_by_text("there is an agent 'facilities' already")).to_be_visible()
    expect(trams.get_by_label("ID")).to_be_focused()
    trams.get_by_label("ID").fill("trams")
    trams.get_by_label("Description").fill("Trams and their stops.")
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_text("Agents to create: trams.")).to_be_visible()
    assert rows(found) == []
    page.get_by_role("button", name="Import 2 labels and create 1 agent").click()
    said(page, "Imported.")
    assert rows(found) == [("Tram desk?", "facilities"), ("Tram to town?", "trams")]
    assert api.get("/v1/agents/trams").json()["description"] == "Trams and their stops."
    expect(page.get_by_label("File", exact=True)).to_be_focused()
    (newest, *_) = api.get("/v1/datasets/imports").json()["data"]
    api.delete(f"/v1/datasets/imports/{newest['id']}").raise_for_status()
    api.delete("/v1/agents/trams").raise_for_status()


def test_machine_labels_are_shown_apart(page: Page, go: Go, seeded: httpx.Client) -> None:
    settings = {"machine_label_confidence": 0.3, "learning": "observe"}
    seeded.patch("/v1/config", json=settings).raise_for_status()
    until(lambda: seeded.get("/v1/datasets/stats").json()["machine_labels"]["total"] > 0)
    go("datasets")
    expect(page.get_by_role("heading", name="Machine labels")).to_be_visible()
    of_agents = page.get_by_role("table", name="Machine labels by agent")
    expect(of_agents.get_by_role("row").filter(has_text="IT Support")).to_be_visible()
    expect(page.get_by_text("They are no labels and do not count as accuracy.")).to_be_visible()
    page.get_by_label("Source", exact=True).select_option("machine")
    page.get_by_label("Split", exact=True).select_option("all")
    page.get_by_label("Format").select_option("flat")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download").click()
    lines = [json.loads(line) for line in Path(waiting.value.path()).read_text().splitlines()]
    assert lines and {line["source"] for line in lines} == {"machine"}
    seeded.patch("/v1/config", json={"machine_label_confidence": None, "learning": "off"})
    go("overview")
    go("datasets")
    expect(page.get_by_text("Off: the setting Learning is off.")).to_be_visible()


def test_the_overview_shows_what_was_saved(page: Page, go: Go, seeded: httpx.Client) -> None:
    until(lambda: seeded.get("/v1/analytics").json()["savings"]["calls"] > 0)
    go("overview")
    figure = page.locator(".figure").filter(has_text="Saved (estimate)")
    expect(figure).to_contain_text("model call")
    expect(figure).to_contain_text("$")
    stages = page.get_by_role("table", name="Savings by stage")
    expect(stages.get_by_role("row").filter(has_text="memory cache")).to_contain_text("$")
    expect(page.get_by_text("Estimate: ")).to_contain_text("on average")
    expect(page.get_by_role("img", name="Model calls not made, by day and stage")).to_be_visible()


def test_a_change_is_a_percentage_where_one_says_something(page: Page) -> None:
    changes = "async () => { const { change } = await import('/parts/compare.js');"
    pairs = "[[8, 10], [10, 8], [10, 10], [79, 8], [281, 1], [1, 0], [null, 8]]"
    found = page.evaluate(f"{changes} return {pairs}.map(([now, then]) => change(now, then)); }}")
    assert found == [
        "20 % less than in the period before",
        "25 % more than in the period before",
        "as in the period before",
        "888 % more than in the period before",
        "over 10 times the period before",
        None,
        None,
    ]


def test_an_hour_of_the_overview_and_a_bar_of_it(page: Page, go: Go, seeded: httpx.Client) -> None:
    go("overview?range=1h")
    requests = page.locator(".figure").filter(has=page.get_by_role("link", name="Requests"))
    expect(requests).to_contain_text("since ")  # not compared: the hour is not over
    agent = page.get_by_role("table", name="By agent").get_by_role("row").nth(1)
    expect(agent.get_by_role("link")).to_have_attribute("href", re.compile("#/logs.agent="))
    bars = page.get_by_role("img", name="Requests by layer").locator(".u-over")
    place = bars.bounding_box()
    assert place is not None
    bars.click(position={"x": place["width"] - 3, "y": place["height"] - 3})
    expect(page).to_have_url(re.compile(r"#/logs\?.*from=.*to="))


def test_the_overview_says_what_the_router_taught_itself(
    page: Page, go: Go, seeded: httpx.Client, rows: Rows
) -> None:
    go("overview")
    learning = page.locator("section.card").filter(has_text="Learning is off.")
    expect(learning.locator(".badge")).to_have_text("off")
    learning.get_by_role("button", name="Observe").click()
    said(page, "The router observes.")
    expect(page.get_by_text("observing", exact=True)).to_be_visible()
    assert setting(rows, "learning") == "observe"
    found = seeded.get("/v1/learning").json()
    expect(page.locator("section.card").filter(has_text=found["sentence"])).to_be_visible()
    seeded.patch("/v1/config", json={"learning": "off"}).raise_for_status()


def test_analytics_keep_their_state_and_export_csv(
    page: Page, go: Go, seeded: httpx.Client
) -> None:
    go("analytics")
    page.get_by_label("Range").select_option("7d")
    page.get_by_label("Group by").select_option("agent")
    expect(page.get_by_role("table", name="By agent")).to_contain_text("IT Support")
    open_again(page)
    expect(page.get_by_label("Range")).to_have_value("7d")
    expect(page.get_by_label("Group by")).to_have_value("agent")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Export breakdown").click()
    header, *groups = Path(waiting.value.path()).read_text().splitlines()
    assert header.startswith("agent,requests,")
    assert any(line.startswith("it_support,") for line in groups)
    page.locator(".chart .u-over").first.hover()
    expect(page.locator(".chart .u-legend").first).to_contain_text("2026", ignore_case=True)


def test_refused_requests_are_an_alert_a_column_and_a_chart(
    page: Page, go: Go, seeded: httpx.Client, product: LocalProduct
) -> None:
    body = {"name": "Reception", "scopes": ["route"], "agents": ["hr"]}
    key = seeded.post("/v1/keys", json=body).raise_for_status().json()
    headers = {"authorization": f"Bearer {key['key']}"}
    with httpx.Client(base_url=product.base_url, headers=headers) as refused:
        for _ in range(10):
            query = {"query": "My VPN is down", "candidates": ["it_support"]}
            assert refused.post("/v1/route", json=query).status_code == 403
    go("keys")
    page.get_by_role("button", name="Refused").click()
    head = page.get_by_role("columnheader", name="Refused")
    expect(head).to_have_attribute("aria-sort", "descending")
    expect(page.get_by_role("row").filter(has_text="Reception")).to_contain_text("10 (100 %)")
    go("overview")
    alert = page.locator(".alerts li").filter(has_text="API key Reception")
    expect(alert).to_contain_text("10 of 10 requests refused since")
    expect(alert).to_contain_text("agent not allowed")
    go("analytics?range=3h&compare=before")
    expect(page.get_by_role("table", name="Refused requests by key")).to_contain_text("Reception")
    page.get_by_role("table", name="Percentiles by layer").get_by_role("link").first.click()
    settled(page)
    expect(page).to_have_url(re.compile(r"#/logs\?.*layer="))
    seeded.delete(f"/v1/keys/{key['id']}").raise_for_status()


def test_costs_follow_their_inputs(page: Page, go: Go) -> None:
    go("costs")
    page.get_by_label("Requests per month").fill("50000000")
    page.get_by_label("Classifier, %").fill("80")
    page.get_by_label("Model", exact=True).select_option("@cf/cloudflare/clef-flash")
    settled(page)
    table = page.get_by_role("table", name="Cost per month by item")
    prompt = table.get_by_role("row").filter(has_text="Model, prompt tokens")
    expect(prompt).to_contain_text("tokens")
    with_model = page.locator(".figure").filter(has_text="Model only, per month")
    expect(with_model).to_contain_text("Cloudflare")
    open_again(page)
    expect(page.get_by_label("Classifier, %")).to_have_value("80")
    page.get_by_label("Cache, %").fill("70")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("their sum is at most 1")


def test_logs_are_exported_as_they_are_filtered(page: Page, go: Go, seeded: httpx.Client) -> None:
    listed = seeded.get("/v1/logs?agent=it_support&limit=1000").json()["data"]
    go("logs?agent=it_support")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Export (JSONL)").click()
    lines = Path(waiting.value.path()).read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == [row["id"] for row in listed] != []
    said(page, f"{len(lines)} request")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Export (CSV)").click()
    with Path(waiting.value.path()).open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert [row["id"] for row in found] == [row["id"] for row in listed]
    assert {row["agent_id"] for row in found} == {"it_support"}


def test_dead_letters_are_shown_and_deleted(page: Page, go: Go, product: LocalProduct) -> None:
    go("logs")
    expect(page.get_by_role("region", name="Dead letters")).to_have_count(0)
    entry = {"row": {"id": "dec_dead", "query": "Where is my <b>bag</b>?"}}
    letter = ("dec_dead", "NOT NULL constraint failed", json.dumps({**entry, **EMPTY}))
    with closing(sqlite3.connect(product.database, timeout=10)) as connection, connection:
        connection.execute("INSERT INTO dead_letters VALUES (?, 1760000000000, ?, ?)", letter)
    open_again(page)
    panel = page.get_by_role("region", name="Dead letters")
    expect(panel).to_contain_text("1 request could not be logged")
    panel.get_by_text("Show", exact=True).click()
    expect(panel).to_contain_text("Where is my <b>bag</b>?")
    panel.get_by_role("button", name="Retry").click()
    said(page, "0 requests logged, 1 left.")
    panel.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    said(page, "1 dead letter deleted.")
    expect(panel).to_have_count(0)


def test_a_failed_upload_of_an_adapter_is_retried(
    page: Page, go: Go, emulator: httpx.Client, api: httpx.Client, tmp_path: Path
) -> None:
    fault = {"finetunes:assets": {"kind": "error", "code": 5006, "times": 1}}
    emulator.put("/_local/faults", json=fault).raise_for_status()
    lora_id = upload(api, "comes-late", tmp_path)
    go("overview")
    failed = page.get_by_role("listitem").filter(has_text="comes-late")
    failed.get_by_role("link", name="View").click()
    expect(page.get_by_role("alert")).to_contain_text("Failed at")
    page.get_by_role("button", name="Retry").click()
    ended(api, f"/v1/loras/{lora_id}")
    expect(page.get_by_role("button", name="Check at Workers AI")).to_be_visible(
        timeout=SECONDS * 1000
    )
