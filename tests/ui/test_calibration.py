"""The calibration of a model's confidence, from an evaluation to its use and its end."""

import json
import random
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.ui.conftest import Go, Rows, said, setting
from tests.ui.seed_data import ended, import_lines
from tests.ui.test_screens import check_accessibility
from tests.varied_questions import TOPICS

OMNI = "@cf/cloudflare/clef-omni"
SYLLABLES = ("ba", "ko", "ri", "tu", "me", "sa", "lo", "ni", "du", "fe")
MODULE = 'import("./parts/calibration.js")'
LABELS = 440  # about a fifth of them is held out; a calibration needs 100 answers


@pytest.fixture(scope="module")
def evaluation(seeded: httpx.Client) -> str:
    """An evaluation of a decision model on labels of which the unclear ones are often wrong."""
    import_lines(seeded, labels())
    body = {"model_ids": [OMNI], "split": "held_out"}
    started = seeded.post("/v1/evaluations", json=body).raise_for_status()
    evaluation_id: str = started.json()["id"]
    ended(seeded, f"/v1/evaluations/{evaluation_id}")
    return evaluation_id


def labels() -> list[str]:
    """Half of the questions name three topics of one agent, half one of each of two agents."""
    dice = random.Random(1)
    return [labeled_question(dice, clear=bool(number % 2)) for number in range(LABELS)]


def labeled_question(dice: random.Random, *, clear: bool) -> str:
    agent, other = dice.sample(["it_support", "finance"], 2)
    topics = (
        dice.sample(TOPICS[agent], 3)
        if clear
        else [dice.choice(TOPICS[agent]), dice.choice(TOPICS[other])]
    )
    # Words that no other question has, so that none is a near-duplicate of another.
    unique = ["".join(dice.choices(SYLLABLES, k=4)) for _ in range(6)]
    return json.dumps({"query": " ".join([*topics, *unique]), "agent": agent})


def test_a_calibration_is_used_and_removed(
    page: Page, go: Go, evaluation: str, seeded: httpx.Client
) -> None:
    def in_force() -> dict[str, object] | None:
        model = seeded.get(f"/v1/models/{OMNI}").raise_for_status().json()
        found: dict[str, object] | None = model["calibration"]
        return found

    [result] = seeded.get(f"/v1/evaluations/{evaluation}").json()["results"]["models"]
    measured = result["reliability"]
    assert measured["after"] is not None, measured["message"]

    go(f"evaluations/{evaluation}")
    expect(page.get_by_role("heading", name=f"Reliability: {OMNI}")).to_be_visible()
    bins = page.get_by_role("table", name=f"Confidence of {OMNI}", exact=True)
    expect(bins.get_by_role("row")).to_have_count(len(measured["before"]["bins"]) + 1)
    circles = page.locator(".reliability circle")
    expect(circles).to_have_count(len(measured["before"]["bins"]) + len(measured["after"]["bins"]))
    use = page.get_by_role("button", name=f"Use this calibration for {OMNI}")
    expect(use).to_be_visible()
    check_accessibility(page, "evaluations-reliability")
    use.click()
    dialog = page.get_by_role("dialog")
    becomes = dialog.get_by_role("table", name="What it changes")
    expect(becomes.get_by_role("row")).to_have_count(6)
    dialog.get_by_role("button", name="Use calibration").click()
    said(page, f"The confidence of {OMNI} is calibrated.")
    expect(page.get_by_text("calibration in force")).to_be_visible()
    used = in_force()
    assert used is not None and used["evaluation_id"] == evaluation

    go(f"models/{quote(OMNI, safe='')}")
    expect(page.get_by_role("heading", name="Calibration")).to_be_visible()
    expect(page.get_by_role("link", name="this evaluation")).to_be_visible()
    page.get_by_role("button", name="Remove calibration").click()
    confirmation = page.get_by_role("dialog", name=f"Remove the calibration of {OMNI}?")
    confirmation.get_by_role("button", name="Remove calibration").click()
    said(page, f"Calibration of {OMNI} removed.")
    assert in_force() is None


def test_the_preview_is_what_the_router_does(
    page: Page, go: Go, evaluation: str, seeded: httpx.Client
) -> None:
    """The table of the dialog is computed in the browser, by the formula of the API."""
    body = {"query": "laptop salary", "model": OMNI, "cache": False, "on_no_fit": "none"}
    own = seeded.post("/v1/route", json=body).raise_for_status().json()
    assert not own["calibrated"]
    go("playground")
    preview = page.evaluate(
        f"async ([map, value]) => (await {MODULE}).calibrated(map, value)",
        [reliability(seeded, evaluation), own["scores"][0]["probability"]],
    )
    calibrate = f"/v1/evaluations/{evaluation}/calibrate"
    seeded.post(calibrate, json={"model_id": OMNI}).raise_for_status()
    found = seeded.post("/v1/route", json=body).raise_for_status().json()
    assert found["calibrated"]
    assert found["scores"][0]["probability"] == pytest.approx(preview, abs=1e-3)
    go(f"logs/{found['id']}")
    expect(page.get_by_text("decision model probability, calibrated")).to_be_visible()
    back = page.evaluate(
        f"async ([map, value]) => (await {MODULE}).uncalibrated(map, value)",
        [reliability(seeded, evaluation), preview],
    )
    assert back == pytest.approx(own["scores"][0]["probability"], abs=1e-6)
    seeded.delete(f"/v1/models/{OMNI}/calibration").raise_for_status()


def reliability(api: httpx.Client, evaluation: str) -> dict[str, float]:
    [result] = api.get(f"/v1/evaluations/{evaluation}").json()["results"]["models"]
    return {name: result["reliability"][name] for name in ("slope", "intercept")}


def test_another_target_of_a_classifier_is_compared_and_used(
    page: Page, go: Go, rows: Rows, seeded: httpx.Client
) -> None:
    [made] = [
        one["id"]
        for one in seeded.get("/v1/classifiers").json()["data"]
        if one["state"] == "succeeded"
    ][-1:]
    curve = seeded.get(f"/v1/classifiers/{made}/curve").raise_for_status().json()
    first, last = curve["points"][0], curve["points"][-1]
    go("models/classifier")
    page.get_by_role("link", name=made).first.click()
    expect(page.get_by_role("heading", name="Coverage against precision")).to_be_visible()
    targets = page.get_by_role("table", name="Targets")
    expect(targets.get_by_role("row")).to_have_count(len(curve["points"]) + 1)
    trained = targets.get_by_role("row").filter(has_text="trained for")
    expect(trained).to_contain_text(f"{100 * curve['target']:g} %")
    agents = page.get_by_role("region", name="By agent")
    per_agent = seeded.get(f"/v1/classifiers/{made}").raise_for_status().json()["per_agent"]
    few = next(each["agent_id"] for each in per_agent if not each["held_out"])
    agent = agents.get_by_role("row", name=few)
    expect(agent).to_contain_text("No label of it was held out")
    label = agent.get_by_role("link", name="Label 20 more")
    expect(label).to_have_attribute("href", f"#/labeling/bulk?agent={few}")
    check_accessibility(page, "models-classifier-curve")

    answer = {**curve, "suggested": first["target"]}
    page.route("**/curve", lambda route: route.fulfill(json=answer))
    selection = seeded.get("/v1/models/select").raise_for_status().json()
    page.route(
        "**/v1/models/select", lambda route: route.fulfill(json={**selection, "classifier": made})
    )
    go("overview")
    hint = page.get_by_role("listitem").filter(has_text="With a target of 80 % the classifier")
    hint.get_by_role("link", name="Compare targets").click()
    expect(page.get_by_label("Target precision")).to_have_attribute("aria-valuetext", "80 %")
    page.unroute_all()
    go(f"models/classifier/{made}")

    slider = page.get_by_label("Target precision")
    use = page.get_by_role("button", name="Use this setting")
    expect(use).to_be_disabled()
    slider.press("End")
    expect(slider).to_have_attribute("aria-valuetext", f"{100 * last['target']:g} %")
    slider.press("Home")
    expect(slider).to_have_attribute("aria-valuetext", f"{100 * first['target']:g} %")
    coverage = page.locator(".figure").filter(has_text="Coverage")
    expect(coverage).to_contain_text(f"{100 * first['coverage']:.1f}".removesuffix(".0"))
    use.click()
    dialog = page.get_by_role("dialog")
    changes = dialog.get_by_role("table", name="What changes")
    expect(changes.get_by_role("row", name="Target precision")).to_contain_text("80 %")
    dialog.get_by_role("button", name="Save and train").click()
    said(page, "Setting saved. Training started.")
    assert setting(rows, "classifier_target") == first["target"]
    [(newest, options)] = rows("SELECT id, options FROM classifiers ORDER BY id DESC LIMIT 1")
    assert json.loads(options)["target"] == first["target"]
    # What it would learn the one before it has learned of the same labels.
    seeded.post(f"/v1/classifiers/{newest}/cancel")
    seeded.delete(f"/v1/classifiers/{newest}").raise_for_status()
    seeded.patch("/v1/config", json={"classifier_target": None}).raise_for_status()
