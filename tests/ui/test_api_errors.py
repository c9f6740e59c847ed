"""A slow, failing or unreachable API: the pages show progress, the error with its request id, and a
retry button."""

from playwright.sync_api import Page, Route, expect

from tests.ui.conftest import Go, settled

FAILED = (
    '{"error": {"message": "The database did not answer. Try again in a moment.",'
    ' "type": "server_error", "code": "database", "param": null}, "request_id": "req_of_a_test"}'
)


def test_a_slow_response_shows_progress(page: Page, go: Go) -> None:
    waiting: list[Route] = []
    page.route("**/v1/agents?*", lambda route: waiting.append(route))
    page.goto("/#/agents")
    expect(page.locator("#main .loading")).to_be_visible()
    expect(page.locator("#main .loading")).to_have_text("Loading …")
    for route in waiting:
        route.continue_()
    page.unroute("**/v1/agents?*")
    settled(page)
    expect(page.get_by_role("article", name="IT Support")).to_be_visible()


def test_an_error_shows_its_request_id_and_can_be_retried(page: Page, go: Go) -> None:
    page.route("**/v1/agents?*", lambda route: route.fulfill(status=503, body=FAILED))
    go("agents")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("The database did not answer.")
    expect(alert).to_contain_text("req_of_a_test")
    page.unroute("**/v1/agents?*")
    alert.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("article", name="IT Support")).to_be_visible()


def test_a_database_of_another_schema_is_said_above_the_screens(page: Page, go: Go) -> None:
    schema = {"needed": 47, "database": 46, "state": "older", "changes_allowed": False}
    page.route("**/healthz", lambda route: route.fulfill(json={"status": "ok", "schema": schema}))
    page.goto("/#/agents")
    page.reload()
    banner = page.get_by_text("The database has schema 46, and this version needs 47.")
    expect(banner).to_contain_text("npm run upgrade")
    page.unroute("**/healthz")
    page.reload()
    settled(page)
    expect(banner).to_have_count(0)


def test_a_response_that_is_not_json(page: Page, go: Go) -> None:
    page.route("**/v1/agents?*", lambda route: route.fulfill(status=502, body="<h1>Bad gateway"))
    go("agents")
    expect(page.get_by_role("alert")).to_contain_text("The server answered 502.")


def test_without_a_network_a_form_keeps_what_was_typed_and_writes_once(page: Page, go: Go) -> None:
    go("keys/users")
    page.get_by_role("button", name="Add user").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Email").fill("offline@example.com")
    dialog.get_by_label("Name", exact=True).fill("Off Line")
    page.context.set_offline(True)
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_contain_text("The server could not be reached.")
    page.context.set_offline(False)
    # The first attempt arrives but its response is lost: the second one must not be a conflict.
    page.route("**/v1/users", _drop_the_response, times=1)
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_contain_text("The server could not be reached.")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("row", name="Off Line")).to_have_count(1)


def _drop_the_response(route: Route) -> None:
    assert route.fetch().status == 201
    route.abort()


def test_one_failing_section_leaves_the_others(page: Page, go: Go) -> None:
    page.route("**/v1/loras?*", lambda route: route.fulfill(status=503, body=FAILED))
    go("overview")
    expect(page.get_by_text("Could not load: adapters.")).to_be_visible()
    expect(page.get_by_role("heading", name="Requests by layer")).to_be_visible()
