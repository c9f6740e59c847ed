"""Labeling by keyboard: a hundred labels, undo, skip, and labels that could not be saved."""

import json
import re

import httpx
from playwright.sync_api import Page, Route, expect

from tests.ui.conftest import Go, Rows, quiet, said, settled
from tests.ui.seed_data import copy_log_row, import_lines
from tests.waiting import until
from tests.worker.product import LocalProduct

_SHOWN = """() => [
  document.querySelector(".label-query").innerText,
  [...document.querySelectorAll("#main button")].some((one) => /Confirm/.test(one.textContent)),
]"""
STORED = ("logs", "labels", "current_labels")


def ask(api: httpx.Client, word: str, times: int) -> None:
    for query in queries(word, times):
        api.post("/v1/route", json={"query": query}).raise_for_status()


def queries(word: str, times: int) -> list[str]:
    return [f"I forgot password {n * 7919} of machine {word} {n}" for n in range(times)]


def labelled(rows: Rows, word: str) -> list[tuple[str, str | None]]:
    return rows(
        "SELECT query, agent_id FROM current_labels WHERE query LIKE ? ORDER BY label_id",
        f"%{word}%",
    )


def labeled_queries(rows: Rows) -> set[str]:
    return {query for (query,) in rows("SELECT query FROM current_labels")}


def only(page: Page, word: str) -> None:
    """The queue holds no other queries, those of the tests before: to skip one takes as long as to
    label it."""

    def answer(route: Route) -> None:
        found = route.fetch().json()
        data = [item for item in found["data"] if word in item["query"]]
        route.fulfill(json={**found, "data": data})

    page.route("**/v1/labels/queue?*", answer)


def query_shown(page: Page) -> str:
    return page.locator(".label-query").inner_text()


def test_a_hundred_labels(
    page: Page, go: Go, rows: Rows, api: httpx.Client, product: LocalProduct
) -> None:
    first, *others = queries("wombat", 110)
    routed = api.post("/v1/route", json={"query": first}).raise_for_status().json()
    until(lambda: rows("SELECT 1 FROM logs WHERE id = ?", routed["id"]))
    copy_log_row(product.database, routed["id"], others)
    go("labeling")
    shown = set()
    for given in range(100):
        # A blind query, and one that no agent got, has no decision to confirm.
        query, confirms = page.evaluate(_SHOWN)
        shown.add(query)
        page.keyboard.press("Enter" if given % 2 and confirms else "5")
        expect(page.get_by_text(f"{given + 1} this session")).to_be_visible()
    until(lambda: shown <= labeled_queries(rows))


def test_undo_skip_and_no_agent(page: Page, go: Go, rows: Rows, api: httpx.Client) -> None:
    ask(api, "numbat", 4)
    go("labeling")
    first = query_shown(page)
    page.keyboard.press("0")
    expect(page.locator(".label-query")).not_to_have_text(first)
    sql = "SELECT agent_id, removed FROM labels WHERE query = ? ORDER BY seq"
    until(lambda: rows(sql, first))  # else undoing it writes nothing
    second = query_shown(page)
    page.keyboard.press("s")
    expect(page.locator(".label-query")).not_to_have_text(second)
    page.keyboard.press("u")
    expect(page.locator(".label-query")).to_have_text(second)
    page.keyboard.press("u")
    expect(page.locator(".label-query")).to_have_text(first)
    expect(page.get_by_text("0 this session")).to_be_visible()
    finance = page.get_by_role("group", name="Agents").get_by_role("button", name="Finance")
    page.keyboard.press(finance.locator("kbd").inner_text())
    expect(page.locator(".label-query")).to_have_text(second)
    found = until(lambda: rows(sql, first), lambda found: len(found) == 3)
    assert found == [(None, 0), (None, 1), ("finance", 0)]


def test_enter_confirms_that_no_agent_fits(
    page: Page, go: Go, rows: Rows, api: httpx.Client
) -> None:
    # Any may be in the random sample, where it is blind.
    nonsense = ["Quagga xylem zither", "Quagga obelisk mangrove", "Quagga fjord trombone"]
    for query in nonsense:
        routed = api.post("/v1/route", json={"query": query}).raise_for_status().json()
        assert (routed["outcome"], routed["reason"]) == ("fallback", "out_of_scope")
        until(lambda: rows("SELECT 1 FROM logs WHERE id = ?", routed["id"]))  # noqa: B023
    only(page, "Quagga")
    go("labeling")
    while query_shown(page) not in nonsense or page.get_by_text("Blind", exact=True).count():
        page.keyboard.press("s")
    query = query_shown(page)
    expect(page.get_by_text("No agent fits; routed to the fallback")).to_be_visible()
    page.keyboard.press("Enter")
    assert until(lambda: labelled(rows, "Quagga")) == [(query, None)]


def test_a_random_sample_is_blind(page: Page, go: Go, rows: Rows, api: httpx.Client) -> None:
    ask(api, "quokka", 3)
    go("labeling/random")
    shown = query_shown(page)
    item = page.locator(".label-item")
    expect(item.get_by_role("note")).to_contain_text("The router's answer is hidden")
    expect(item.get_by_role("group", name="Suggestions")).to_have_count(0)
    for words in ("Routed to", "Queued because", "routed", "Confirm", "Open trace"):
        expect(item.get_by_text(words)).to_have_count(0)
    page.keyboard.press("Enter")  # no answer is shown that it could confirm
    expect(page.locator(".label-query")).to_have_text(shown)
    page.keyboard.press("1")
    expect(page.locator(".label-query")).not_to_have_text(shown)
    found = "SELECT stream FROM labels WHERE query = ? ORDER BY seq DESC"
    # It may already have an older label.
    until(lambda: rows(found, shown), lambda streams: streams[:1] == [("random",)])


def test_the_turn_before_is_shown_and_makes_another_question(
    page: Page, go: Go, rows: Rows, api: httpx.Client
) -> None:
    query = "The second bilby"
    before = {"previous_agent": "it_support", "previous_assistant": "Which bilby,\n<b>A</b> or B?"}
    for context in (before, {"previous_user": "Feed a bilby"}):
        api.post("/v1/route", json={"query": query, "context": context}).raise_for_status()
    until(lambda: len(rows("SELECT 1 FROM logs WHERE query = ?", query)) == 2)
    only(page, "second bilby")
    go("labeling")
    item, turn = page.locator(".label-item"), page.get_by_role("group", name="Previous turn")
    turns: list[str] = []
    while len(turns) < 2:
        former = item.inner_text()
        if query_shown(page) == query:
            turns.append(turn.inner_text())
        page.keyboard.press("0" if turns and "Which" in turns[-1] and query in former else "s")
        if len(turns) < 2:
            expect(item).not_to_have_text(former, use_inner_text=True)
    assert sorted(turns) == [
        "IT Support: Which bilby,\n<b>A</b> or B?",
        "User: Feed a bilby",
    ]
    sql = "SELECT context FROM current_labels WHERE query = ?"
    [(context,)] = until(lambda: rows(sql, query))
    assert "Which bilby" in context
    go("labeling/labels")
    expect(page.get_by_text("After IT Support “Which bilby, <b>A</b> or B?”")).to_be_visible()
    [(log_id,)] = rows("SELECT id FROM logs WHERE context LIKE '%Feed a bilby%'")
    go(f"logs/{log_id}")
    expect(page.get_by_role("group", name="Previous turn")).to_have_text("User: Feed a bilby")


def test_a_lost_connection_and_a_reload_lose_no_label(
    page: Page, go: Go, rows: Rows, api: httpx.Client, product: LocalProduct
) -> None:
    first, *others = queries("bilby", 40)
    routed = api.post("/v1/route", json={"query": first}).raise_for_status().json()
    until(lambda: rows("SELECT 1 FROM logs WHERE id = ?", routed["id"]))
    copy_log_row(product.database, routed["id"], others)
    go("labeling")
    page.route("**/v1/logs/*/label", lambda route: route.abort())
    page.route("**/v1/labels", lambda route: route.abort())
    shown = set()
    for given in range(33):
        shown.add(query_shown(page))
        page.keyboard.press("2")
        expect(page.get_by_text(f"{given + 1} this session")).to_be_visible()
    shown -= labeled_queries(rows)  # a random sample shows labeled ones too
    assert len(shown) > 20
    expect(page.get_by_role("status").filter(has_text="33 labels are not saved")).to_be_visible()
    page.once("dialog", lambda dialog: dialog.accept())  # the browser asks whether to leave
    page.unroute_all()
    page.reload()
    settled(page)
    expect(page.get_by_role("status").filter(has_text="not saved")).to_have_count(0)
    until(lambda: shown <= labeled_queries(rows))


def test_a_label_that_is_refused_comes_back(page: Page, go: Go, api: httpx.Client) -> None:
    for query in queries("bandicoot", 3):
        body = {"query": query, "session": "bandicoots"}
        api.post("/v1/route", json=body).raise_for_status()
    only(page, "bandicoot")
    go("labeling")
    while "bandicoot" not in query_shown(page):
        page.keyboard.press("s")
    lost = query_shown(page)
    erased = api.delete("/v1/logs", params={"session": "bandicoots"}).raise_for_status()
    assert erased.json()["logs"] == 3
    page.keyboard.press("1")
    expect(page.get_by_role("status").filter(has_text="was not saved")).to_be_visible()
    expect(page.get_by_text("0 this session")).to_be_visible()
    for _ in range(300):
        if page.locator(".label-query").count() == 0 or query_shown(page) == lost:
            break
        page.keyboard.press("s")
    expect(page.locator(".label-query")).to_have_text(lost)


def test_typing_elsewhere_labels_nothing(
    page: Page, go: Go, api: httpx.Client, writes: list[str]
) -> None:
    ask(api, "quoll", 2)
    go("labeling")
    page.keyboard.press("Control+1")
    page.keyboard.press("x")
    page.get_by_role("link", name="Bulk").focus()
    page.keyboard.press("Enter")
    settled(page)
    expect(page.get_by_role("table", name="Queries")).to_be_visible()
    quiet(page)
    assert writes == []


def test_suggestions_and_confident_decisions(
    page: Page, go: Go, rows: Rows, api: httpx.Client, product: LocalProduct
) -> None:
    first, *others = queries("pademelon", 8)
    routed = api.post("/v1/route", json={"query": first}).raise_for_status().json()
    until(lambda: rows("SELECT 1 FROM logs WHERE id = ?", routed["id"]))
    copy_log_row(product.database, routed["id"], others)
    only(page, "pademelon")
    go("labeling")
    suggestions = page.get_by_role("group", name="Suggestions").get_by_role("button")
    while "pademelon" not in query_shown(page) or suggestions.count() == 0:
        page.keyboard.press("s")
    shown, best = query_shown(page), routed["scores"][0]
    expect(suggestions.first).to_have_accessible_name(re.compile(r" \d+(\.\d)? % by model call"))
    expect(suggestions.first).to_have_accessible_description(re.compile(r"\w+"))
    page.keyboard.press("q")
    label = "SELECT agent_id FROM current_labels WHERE query = ?"
    assert until(lambda: rows(label, shown)) == [(best["agent_id"],)]

    go("labeling/bulk")
    page.get_by_label("Agent", exact=True).select_option(best["agent_id"])
    page.get_by_label("Confidence at least").fill("0.5")
    page.get_by_label("Confidence at least").press("Tab")
    page.get_by_role("button", name=re.compile(r"Confirm \d+ quer")).click()
    expect(page.get_by_text(re.compile(r"\d+ quer(y|ies) confirmed for"))).to_be_visible()
    confirmed = (
        "SELECT count(*) FROM current_labels JOIN labels ON id = label_id WHERE note LIKE 'conf%'"
    )
    assert rows(confirmed)[0][0] > 0
    page.get_by_role("button", name="Undo").click()
    said(page, "removed.")
    assert rows(confirmed) == [(0,)]


def test_a_label_that_the_model_contradicts_is_corrected_and_changed_again(
    page: Page, go: Go, rows: Rows, api: httpx.Client
) -> None:
    [query] = queries("thylacine", 1)
    routed = api.post("/v1/route", json={"query": query}).raise_for_status().json()
    assert (routed["outcome"], routed["confidence"] is not None) == ("agent", True)
    until(lambda: rows("SELECT 1 FROM logs WHERE id = ?", routed["id"]))
    import_lines(api, [json.dumps({"query": query, "agent": "legal"})])
    go("labeling/disagreements")
    row = page.get_by_role("row").filter(has_text=query)
    expect(row).to_contain_text("Legal")
    row.get_by_role("button", name=f"Change to {routed['agent']['name']}").click()
    expect(row).to_have_count(0)
    label = "SELECT agent_id FROM current_labels WHERE query = ?"
    assert rows(label, query) == [(routed["agent"]["id"],)]
    go("labeling/labels?q=THYLACINE")
    row.get_by_role("button", name="Change").click()
    page.get_by_label("Correct agent").select_option("finance")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(row).to_contain_text("Finance")
    assert rows(label, query) == [("finance",)]


def test_a_training_is_started_when_it_is_worth_it(page: Page, go: Go, api: httpx.Client) -> None:
    """The product's answers are replaced: a training takes seconds of CPU."""
    next_training = api.get("/v1/labels/training").raise_for_status().json()
    due = {**next_training, "new_labels": 50, "due": True, "running": None}
    page.route("**/v1/labels/training", lambda route: route.fulfill(json=due))
    progress = {"stage": "training", "visits": 1200}
    running = {"id": "clf_x", "state": "running", "progress": progress}
    page.route("**/v1/classifiers", lambda route: route.fulfill(status=202, json=running))
    done = {"id": "clf_x", "state": "succeeded", "error": None, "test_score": None}
    answers = [done, running]
    page.route("**/v1/classifiers/clf_x", lambda route: route.fulfill(json=answers.pop()))
    go("labeling")
    page.get_by_role("button", name="Train now: 50 new").click()
    expect(page.get_by_text("is being trained: 1,200 steps")).to_be_visible()
    expect(page.get_by_text("The classifier is trained.")).to_be_visible()
    page.unroute_all()


def test_bulk_labeling(page: Page, go: Go, rows: Rows, api: httpx.Client) -> None:
    ask(api, "potoroo", 3)
    go("labeling/bulk")
    page.get_by_label("Search queries").fill("potoroo")
    page.get_by_label("Search queries").press("Enter")
    expect(page.get_by_role("row")).to_have_count(4)
    page.get_by_label("Select all").check()
    page.get_by_label("Set label for selected").select_option("hr")
    page.get_by_role("button", name="Apply").click()
    page.get_by_label("Label of: ").first.select_option("none")
    page.get_by_role("button", name="Save 3 labels").click()
    expect(page.get_by_role("heading", name="No queries match")).to_be_visible()
    agents = sorted(str(agent) for _, agent in labelled(rows, "potoroo"))
    assert agents == ["None", "hr", "hr"]


def test_an_agent_beyond_the_ninth(page: Page, go: Go, rows: Rows, api: httpx.Client) -> None:
    agents = [f"branch{number}" for number in range(9)]
    keys = "() => JSON.parse(localStorage.getItem('edgeneuro.agent_keys')) ?? {}"
    before: dict[str, str] = page.evaluate(keys)
    for agent in agents:
        body = {"id": agent, "name": f"Zoo {agent}", "description": f"The {agent} of the zoo."}
        api.post("/v1/agents", json=body).raise_for_status()
    try:
        ask(api, "dunnart", 2)
        go("labeling")
        shown = query_shown(page)
        page.keyboard.press("/")
        expect(page.get_by_label("Find an agent")).to_be_focused()
        page.keyboard.type("zoo branch8")
        expect(page.get_by_role("status").filter(has_text="1 agent matches")).to_be_visible()
        page.keyboard.press("Enter")
        expect(page.locator(".label-query")).not_to_have_text(shown)
        # The same words in another conversation are another question, which may have a label.
        sql = "SELECT 1 FROM current_labels WHERE query = ? AND agent_id = 'branch8'"
        until(lambda: rows(sql, shown))
        # An agent keeps its key when others come, and the tenth has a letter.
        after: dict[str, str] = page.evaluate(keys)
        assert after.items() >= before.items()
        assert {"9", "a"} <= set(after.values())
        assert len(set(after.values())) == len(after)
    finally:
        for agent in agents:
            api.delete(f"/v1/agents/{agent}").raise_for_status()


def test_a_key_held_down_labels_one_query(
    page: Page, go: Go, rows: Rows, api: httpx.Client, writes: list[str]
) -> None:
    ask(api, "bettong", 4)
    go("labeling")
    before = rows("SELECT count(*) FROM labels")[0][0]
    for _ in range(4):
        page.keyboard.down("2")  # from the second on the event is a repeat
    page.keyboard.up("2")
    expect(page.get_by_text("1 this session")).to_be_visible()
    until(lambda: rows("SELECT count(*) FROM labels")[0][0] > before)
    quiet(page)
    assert len(writes) == 1


def test_a_failed_undo_is_shown(page: Page, go: Go, rows: Rows, api: httpx.Client) -> None:
    ask(api, "kowari", 2)
    go("labeling")
    shown = query_shown(page)
    page.keyboard.press("3")
    expect(page.locator(".label-query")).not_to_have_text(shown)
    until(lambda: rows("SELECT agent_id FROM current_labels WHERE query = ?", shown))
    page.route("**/label", lambda route: route.abort(), times=1)
    page.keyboard.press("u")
    expect(page.get_by_role("status").filter(has_text="was not removed")).to_be_visible()
    assert len(rows("SELECT agent_id FROM current_labels WHERE query = ?", shown)) == 1


def test_skipped_queries_are_offered_again(page: Page, go: Go, api: httpx.Client) -> None:
    ask(api, "antechinus", 2)
    only(page, "antechinus")
    go("labeling")
    for _ in range(1000):
        if page.get_by_role("button", name="Show them again").is_visible():
            break
        page.keyboard.press("s")
    page.get_by_role("button", name="Show them again").click()
    expect(page.locator(".label-query")).to_be_visible()


def test_a_conflict_is_shown_resolved_and_undone(
    page: Page, go: Go, rows: Rows, api: httpx.Client
) -> None:
    query = "Which forms does the bilby need?"
    made = api.post("/v1/keys", json={"name": "other", "scopes": ["label"]}).json()
    other = {"authorization": f"Bearer {made['key']}"}
    for agent, headers in (("hr", other), ("finance", {})):
        item = {"query": query, "agent_id": agent}
        api.post("/v1/labels", json=[item], headers=headers).raise_for_status()
    go("labeling/labels")
    page.get_by_label("Agreement").select_option("true")
    expect(page).to_have_url(re.compile("conflicts=true"))
    settled(page)
    row = page.get_by_role("row").filter(has_text=query)
    expect(row.get_by_text("conflict", exact=True)).to_be_visible()
    expect(row.locator("li")).to_have_count(2)
    row.get_by_role("button", name="Resolve").click()
    page.get_by_label("Correct agent").select_option("it_support")
    page.get_by_role("button", name="Save as final").click()
    expect(row).to_have_count(0)
    found = "SELECT agent_id FROM current_labels WHERE query = ?"
    assert rows(found, query) == [("it_support",)]
    page.get_by_label("Agreement").select_option("false")
    expect(row.get_by_text("final", exact=True)).to_be_visible()
    row.get_by_role("button", name="Remove my label").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(row).to_have_count(0)
    assert rows(found, query) == [("finance",)]


def test_a_query_is_erased(page: Page, go: Go, rows: Rows, api: httpx.Client) -> None:
    query = "Where does the bandicoot park its bicycle?"
    decision = api.post("/v1/route", json={"query": query}).raise_for_status().json()
    until(lambda: rows("SELECT 1 FROM logs WHERE id = ?", decision["id"]))
    path = f"/v1/logs/{decision['id']}/label"
    api.put(path, json={"agent_id": "facilities"}).raise_for_status()
    go("labeling/labels")
    row = page.get_by_role("row").filter(has_text=query)
    row.get_by_role("button", name="Erase").click()
    dialog = page.get_by_role("dialog", name="Erase this query?")
    expect(dialog.locator(".label-query")).to_have_text(query)
    expect(dialog.get_by_role("listitem")).to_have_count(4)
    dialog.get_by_role("button", name="Cancel").click()
    stored = [rows(f"SELECT count(*) FROM {table} WHERE query = ?", query) for table in STORED]
    assert stored == [[(1,)]] * len(STORED)
    row.get_by_role("button", name="Erase").click()
    dialog.get_by_role("button", name="Erase").click()
    said(page, "Erased: 1 log row, 1 label")
    expect(row).to_have_count(0)
    stored = [rows(f"SELECT count(*) FROM {table} WHERE query = ?", query) for table in STORED]
    assert stored == [[(0,)]] * len(STORED)
