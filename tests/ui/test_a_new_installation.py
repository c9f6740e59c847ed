"""The size and origin of the first screen, and what a new installation shows. This module runs
first in its folder: all modules share one product."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, Response, expect

from edgeneuro.domain.agent import AgentCreate
from tests.ui.conftest import Go, enter_key, open_again, said, settled, shown, sign_out
from tests.ui.keyboard import Keyboard
from tests.ui.seed_data import SECONDS
from tests.ui.test_screens import SCREENS
from tests.varied_questions import FRAMES
from tests.worker.product import LocalProduct

MAX_BYTES_GZIPPED = 150_000
REFUSED = 4  # screens a key is refused, all by the same code
EMPTY_SCREENS = [screen for screen in SCREENS if "{" not in screen]


@pytest.fixture(scope="module")
def fresh(product: LocalProduct, api: httpx.Client) -> LocalProduct:
    assert api.get("/v1/logs").json()["data"] == [], "other tests have used it before"
    return product


@pytest.fixture
def empty(fresh: LocalProduct, api: httpx.Client) -> Iterator[httpx.Client]:
    """A new installation without logs and, during a test, without agents."""
    agents = api.get("/v1/agents?limit=100").json()["data"]
    agents.sort(key=lambda agent: agent["default"])  # the default agent can only be deleted last
    for agent in agents:
        api.delete(f"/v1/agents/{agent['id']}").raise_for_status()
    yield api
    for agent in reversed(agents):
        fields = {name: agent[name] for name in AgentCreate.model_fields if name in agent}
        api.post("/v1/agents", json=fields).raise_for_status()


def test_the_first_steps_of_a_new_installation(page: Page, go: Go, fresh: LocalProduct) -> None:
    """Before any test that changes the agents."""
    go("overview")
    steps = page.get_by_role("region", name="First steps")
    expect(steps.get_by_text("0 of 6 done")).to_be_visible()
    expect(steps.get_by_text("There are demonstration agents.")).to_be_visible()
    steps.get_by_text("Python", exact=True).click()
    expect(steps.get_by_text("httpx.post(")).to_be_visible()
    assert fresh.admin_token not in steps.inner_html()
    emulated = page.get_by_role("complementary").get_by_text("Emulated models.")
    expect(emulated).to_be_visible()
    page.get_by_role("button", name="Dismiss the notice about emulated models").click()
    page.reload()
    settled(page)
    expect(emulated).to_have_count(0)


def test_the_demonstration_agents_go_in_one_click(
    page: Page, go: Go, fresh: LocalProduct, api: httpx.Client
) -> None:
    before = api.get("/v1/agents?limit=100").json()["data"]
    assert [agent["demonstration"] for agent in before] == [True] * len(before)
    for name in ("Ships", "Trains"):
        body: dict[str, Any] = {"id": name.lower(), "name": name, "description": name}
        body |= {"endpoint": "service:AGENT_EXAMPLE", "auth": {"bearer": "AGENT_NEW"}}
        api.post("/v1/agents", json=body).raise_for_status()
    go("agents")
    page.get_by_role("button", name="Remove demonstration agents").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("New fallback agent").select_option("trains")
    dialog.get_by_role("button", name="Remove").click()
    expect(page.get_by_role("article")).to_have_count(2)
    ships = page.get_by_role("article", name="Ships")
    expect(ships.get_by_text("signs in with AGENT_NEW")).to_be_visible()
    expect(ships.get_by_text("secret missing")).to_be_visible()
    expect(page.get_by_role("button", name="Remove demonstration agents")).to_have_count(0)
    expect(page.get_by_role("article", name="Trains").get_by_text("fallback")).to_be_visible()
    for agent in before:
        fields = {name: agent[name] for name in AgentCreate.model_fields if name in agent}
        api.post("/v1/agents", json=fields).raise_for_status()
    for agent_id in ("ships", "trains"):
        api.delete(f"/v1/agents/{agent_id}").raise_for_status()


def test_every_file_has_the_security_headers(fresh: LocalProduct) -> None:
    for path in ("/", "/main.js", "/screens/overview.js", "/css/base.css", "/icon.svg"):
        response = httpx.get(fresh.base_url + path)
        assert response.status_code == 200
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"


def test_every_screen_of_an_empty_installation(signed_out: Page, empty: httpx.Client) -> None:
    """With a key of each scope, also some screens that it cannot open. One page shows them all: the
    next key signs in where the one before has signed out."""
    page = signed_out
    for scope, seen, not_seen in (
        ("route", "playground", "models"),
        ("read", "models", "labeling"),
        ("label", "labeling", "providers"),
        ("admin", "providers", None),
    ):
        made = empty.post("/v1/keys", json={"name": f"Empty {scope}", "scopes": [scope]})
        enter_key(page, made.raise_for_status().json()["key"])
        links = page.get_by_role("navigation", name="Screens").get_by_role("link")
        allowed = {link.get_attribute("data-screen") for link in links.all()}
        assert seen in allowed and not_seen not in allowed
        open_to = [each for each in EMPTY_SCREENS if each.partition("/")[0] in allowed]
        closed = [each for each in EMPTY_SCREENS if each not in open_to]
        for screen in (*open_to, *closed[:REFUSED]):
            page.goto(f"/#/{screen}")
            settled(page)
            place = f"{screen} with a key of the scope {scope}"
            found = {"titles": 1, "alerts": 0, "refused": screen in closed}
            assert shown(page) == {**found, "healthy": False}, place  # of no requests
        sign_out(page)


def test_a_new_installation_routes_sample_queries(
    page: Page, go: Go, fresh: LocalProduct, api: httpx.Client
) -> None:
    go("logs")
    expect(page.get_by_role("heading", name="No requests yet")).to_be_visible()
    go("overview")
    steps = page.get_by_role("region", name="First steps")
    steps.get_by_role("button", name="Route sample queries").click()
    expect(page.get_by_text("to review")).to_be_visible(timeout=60_000)
    expect(steps.get_by_role("heading", name="Route first queries done")).to_be_visible()
    expect(steps.get_by_role("button", name="Route sample queries")).to_have_count(0)
    steps.get_by_role("button", name="Hide").click()
    open_again(page)
    expect(steps).to_have_count(0)
    totals = api.get("/v1/analytics").json()["totals"]
    assert totals["requests"] == 36
    assert totals["cache_hits"] > 0


def test_the_first_screen_is_small_preloaded_and_from_one_origin(
    context: BrowserContext, fresh: LocalProduct
) -> None:
    """Without preloads the browser requests each import only after the one before has arrived. Now
    that there are requests, the screen has its charts."""
    responses: list[Response] = []
    page = context.new_page()
    page.on("response", lambda response: responses.append(response))
    page.goto("/")
    enter_key(page, fresh.admin_token)
    modules = {each.url for each in responses if each.url.endswith(".js")}
    named = page.eval_on_selector_all(
        "link[rel=modulepreload], script[src]", "links => links.map(one => one.href ?? one.src)"
    )
    assert {url for url in modules if "/vendor/" not in url} == set(named)
    page.locator(".chart .u-wrap").first.wait_for()
    settled(page)
    sizes = {response.url: len(gzip.compress(response.body())) for response in responses}
    assert all(url.startswith(f"{fresh.base_url}/") for url in sizes)
    assert sum(sizes.values()) < MAX_BYTES_GZIPPED, sizes
    links = page.get_by_role("navigation", name="Screens").get_by_role("link")
    icons = httpx.get(f"{fresh.base_url}/icons.svg").text
    for link in links.all():
        assert f'<symbol id="{link.get_attribute("data-screen")}"' in icons


@pytest.fixture
def untaught(empty: httpx.Client) -> Iterator[httpx.Client]:
    """The same, which does not train by itself. What a test teaches it is taken away."""
    empty.patch("/v1/config", json={"learning": "off"}).raise_for_status()
    yield empty
    disabled = {"model_id": None, "type": "classifier"}
    empty.post("/v1/models/select", json=disabled).raise_for_status()
    for one in empty.get("/v1/classifiers").json()["data"]:
        empty.delete(f"/v1/classifiers/{one['id']}").raise_for_status()
    for one in empty.get("/v1/datasets/imports").json()["data"]:
        empty.delete(f"/v1/datasets/imports/{one['id']}").raise_for_status()
    for agent in sorted(empty.get("/v1/agents").json()["data"], key=lambda one: one["default"]):
        empty.delete(f"/v1/agents/{agent['id']}").raise_for_status()
    empty.patch("/v1/config", json={"learning": None}).raise_for_status()


def test_the_whole_loop_with_the_keyboard(
    signed_out: Page, untaught: httpx.Client, fresh: LocalProduct, tmp_path: Path
) -> None:
    """From nothing to a classifier that answers: a file brings the agents and the labels."""
    file = tmp_path / "tickets.tsv"
    topics = {"bicycle": "Rides", "tram": "Rides", "bread": "Bakery", "cake": "Bakery"}
    lines = [f"{frame.format(one)}\t{topics[one]}\n" for one in topics for frame in FRAMES]
    file.write_text("question\tteam\n" + "".join(lines))
    page = signed_out
    page.goto("/#/overview")
    keyboard = Keyboard(page)
    # Long before the dialog opens: the browser is told in the background that a test answers it.
    page.once("filechooser", lambda chooser: chooser.set_files(file))
    expect(page.get_by_label("API key", exact=True)).to_be_focused()
    keyboard.write(fresh.admin_token)
    keyboard.press("Enter")
    settled(page)

    keyboard.open("Datasets")
    keyboard.reach(page.get_by_label("File", exact=True))
    keyboard.press("Enter")
    expect(page.get_by_text("2 names are no agents")).to_be_visible()
    keyboard.use("button", "Check")
    keyboard.use("button", "Import 36 labels and create 2 agents")
    said(page, "Imported.")
    assert [one["id"] for one in untaught.get("/v1/agents").json()["data"]] == ["bakery", "rides"]

    keyboard.open("Models")
    keyboard.use("link", "Classifier")
    settled(page)
    keyboard.use("button", "Train a classifier")
    expect(page.get_by_label("Target precision")).to_be_focused()
    keyboard.write("0.7")
    keyboard.press("Tab")
    keyboard.write("10")
    keyboard.press("Enter")
    said(page, "Training started.")
    enable = page.get_by_role("button", name="Enable clf_")
    expect(enable).to_be_visible(timeout=SECONDS * 1000)
    keyboard.reach(enable)
    keyboard.press("Enter")
    keyboard.use("button", "Enable anyway", inside=page.get_by_role("dialog"))
    said(page, "is enabled.")

    keyboard.open("Playground")
    keyboard.reach(page.get_by_label("Query", exact=True))
    # The first request loads the classifier and does not wait for it.
    for question in ("Where do I find the {}?", "How does the {} work?", "A colleague has a {}"):
        keyboard.write(question.format("tram for my bicycle"))
        with page.expect_response("**/v1/route") as answer:
            keyboard.press("Control+Enter")
        if answer.value.json()["layer"] == "classifier":
            break
    expect(page.get_by_role("heading", name="Rides")).to_be_visible()
    expect(page.locator(".facts").get_by_text("Classifier", exact=True)).to_be_visible()
