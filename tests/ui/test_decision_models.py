"""Decision models in the pages: recommended, selected, and what they answer."""

import json
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.ui.conftest import Go, Rows, said, setting
from tests.ui.seed_data import ACTIVE
from tests.ui.test_screens import violations
from tests.waiting import until

OMNI = "@cf/cloudflare/clef-omni"


@pytest.fixture(autouse=True)
def usual_model(api: httpx.Client) -> Iterator[None]:
    """Each test leaves the active model as it was."""
    yield
    api.patch("/v1/config", json={"routing_model": None}).raise_for_status()


def test_a_decision_model_is_recommended_and_selected(page: Page, go: Go, rows: Rows) -> None:
    go("models")
    card = page.get_by_role("region", name="Recommended for production")
    expect(card).to_contain_text("$0.15 per million input tokens, output free")
    expect(card).to_contain_text("clef-flash is cheaper ($0.038)")
    expect(card).to_contain_text("vendor's figures")
    card.get_by_role("button", name="Use clef-omni").click()
    dialog = page.get_by_role("dialog", name=f"Select {OMNI}?")
    changes = dialog.get_by_role("table", name="Changes")
    expect(changes.get_by_role("row", name="Type Base Decision")).to_be_visible()
    expect(dialog).to_contain_text("check the confidence threshold")
    dialog.get_by_role("button", name="Select anyway").click()
    said(page, f"{OMNI} is the active model now.")
    assert setting(rows, "routing_model") == OMNI
    expect(card).to_have_count(0)
    page.get_by_role("button", name=f"Roll back to {ACTIVE}").click()
    said(page, f"{ACTIVE} is active again.")
    expect(card).to_be_visible()


def test_decision_models_are_filtered_and_described(page: Page, go: Go) -> None:
    go("models")
    page.get_by_label("Type").select_option("Decision")
    models = page.get_by_role("table", name="Models")
    expect(models.get_by_role("row", name="clef")).to_have_count(3)
    expect(models.get_by_role("row", name="llama")).to_have_count(0)
    row = models.get_by_role("row", name=OMNI)
    expect(row).to_contain_text("answers questions, writes no text")
    row.get_by_role("link", name=OMNI).click()
    expect(page.get_by_role("navigation", name="Breadcrumbs")).to_have_text(f"Models{OMNI}")
    details = page.get_by_role("main")
    expect(details).to_contain_text("It cannot chat.")
    expect(details).to_contain_text("64,000 tokens")
    expect(details).to_contain_text("$0.15")
    expect(details).not_to_contain_text("JSON mode")


def test_the_trace_has_the_ranking_of_each_stage(page: Page, go: Go, seeded: httpx.Client) -> None:
    body = {"query": "My VPN does not connect on the train", "cache": False}
    decision = seeded.post("/v1/route", json=body).raise_for_status().json()
    go(f"logs/{decision['id']}")
    stage = page.get_by_role("listitem").filter(has_text="model call")
    expect(stage).to_contain_text("ranking accepted")
    expect(stage.locator(".bars")).to_contain_text(f"IT Support{shown(decision['confidence'])}")
    skipped = page.get_by_role("listitem").filter(has_text="classifier")
    expect(skipped).to_contain_text("skipped: not asked")
    expect(page.get_by_role("listitem").filter(has_text="threshold")).to_contain_text("50 %")


def test_a_model_is_registered_as_a_decision_model_and_corrected(
    page: Page, go: Go, rows: Rows
) -> None:
    kind = "SELECT type, context_window FROM models WHERE id = '@cf/acme/decider'"
    go("models")
    page.get_by_role("button", name="Register model").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name", exact=True).fill("@cf/acme/decider")
    dialog.get_by_label("Type").select_option("Decision model")
    dialog.get_by_label("Context window").fill("32000")
    dialog.get_by_role("button", name="Register").click()
    said(page, "@cf/acme/decider registered.")
    assert rows(kind) == [("decision", 32000)]
    page.get_by_role("button", name="Edit @cf/acme/decider").click()
    expect(dialog.get_by_label("Supports JSON mode")).to_have_count(0)
    dialog.get_by_label("Type").select_option("Base model")
    dialog.get_by_role("button", name="Save").click()
    said(page, "@cf/acme/decider saved.")
    assert rows(kind) == [("base", 32000)]


def test_the_playground_shows_all_probabilities(
    page: Page, go: Go, seeded: httpx.Client, rows: Rows
) -> None:
    seeded.post("/v1/models/select", json={"model_id": OMNI}).raise_for_status()
    listed = [each for each in seeded.get("/v1/agents").json()["data"] if each["enabled"]]
    agents = [each["id"] for each in listed]
    query = "My VPN does not connect, and my salary was not paid"
    go("playground")
    page.get_by_label("Query").fill(query)
    page.get_by_role("button", name="Route").click()
    page.locator(".answer").wait_for()
    answer = page.locator("main")
    expect(answer.get_by_text("Decision model", exact=True)).to_be_visible()
    bars = page.locator(".bars").first
    for name in (*(each["name"] for each in listed), "no agent fits"):
        expect(bars.get_by_text(name, exact=True)).to_be_visible()
    expect(answer).to_contain_text("decision model probability")
    expect(answer).to_contain_text("Clarifying question needed")
    expect(answer).to_contain_text("Several agents needed")
    expect(answer.get_by_text("Prompt", exact=True)).to_have_count(0)
    answer.get_by_text("Question", exact=True).click()
    options = answer.get_by_role("table", name="agent: options")
    for name in (*agents, "none"):
        expect(options.get_by_role("rowheader", name=name, exact=True)).to_be_visible()
    expect(answer.get_by_role("heading", name="clarify (yes or no)")).to_be_visible()
    sql = "SELECT layer FROM logs WHERE query = ?"
    assert until(lambda: rows(sql, query)) == [("decision_model",)]

    page.get_by_role("link", name="View log").click()
    stage = page.get_by_role("listitem").filter(has_text="model call")
    expect(stage.locator(".bars")).to_contain_text("no agent fits")
    expect(stage).to_contain_text("Several agents needed")
    page.get_by_text("Question", exact=True).click()
    expect(page.locator("pre").filter(has_text=query).first).to_be_visible()
    assert violations(page) == []
    go("logs")
    page.get_by_label("Layer").select_option("Decision model")
    expect(page.get_by_role("link", name=query)).to_be_visible()


def test_a_provider_of_decision_models(
    page: Page, go: Go, rows: Rows, seeded: httpx.Client
) -> None:
    go("providers")
    page.get_by_role("button", name="Add provider").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("ID", exact=True).fill("own-vllm")
    dialog.get_by_label("Kind").select_option("systemone")
    dialog.get_by_label("Base URL").fill("https://decisions.example.com")
    dialog.get_by_label("Models, one per line", exact=True).fill("clef\njev")
    dialog.get_by_role("button", name="Save").click()
    said(page, "own-vllm saved.")
    saved = "SELECT kind, models, decision_models FROM providers WHERE id = ?"
    [(kind, models, _)] = rows(saved, "own-vllm")
    assert (kind, json.loads(models)) == ("systemone", ["clef", "jev"])
    row = page.get_by_role("row", name="own-vllm")
    expect(row.get_by_role("cell", name="clef, jev")).to_have_count(2)
    seeded.delete("/v1/providers/own-vllm").raise_for_status()


def test_some_models_of_a_provider_are_decision_models(
    page: Page, go: Go, seeded: httpx.Client
) -> None:
    provider = {
        "id": "mixed",
        "kind": "openai-compatible",
        "base_url": "https://models.example.com/v1",
        "models": ["writer", "judge"],
    }
    seeded.post("/v1/providers", json=provider).raise_for_status()
    go("providers")
    page.get_by_role("button", name="Edit mixed").click()
    field = page.get_by_role("dialog").get_by_label("Decision models, one per line")
    field.fill("no-such-model")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(field).to_have_attribute("aria-invalid", "true")
    field.fill("judge")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    said(page, "mixed saved.")
    assert decision_models(seeded, "mixed") == ["judge"]
    assert seeded.get("/v1/models/mixed/judge").json()["type"] == "decision"
    page.get_by_role("button", name="Edit mixed").click()
    field.fill("")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert decision_models(seeded, "mixed") == []
    seeded.delete("/v1/providers/mixed").raise_for_status()


def decision_models(api: httpx.Client, provider: str) -> object:
    return api.get(f"/v1/providers/{provider}").raise_for_status().json()["decision_models"]


def shown(probability: float) -> str:
    return f"{probability * 100:.1f}".removesuffix(".0") + " %"
