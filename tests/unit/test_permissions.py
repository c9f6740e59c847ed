"""Every route times every kind of caller: the exact outcome. The table repeats, apart
from routes.py, what each route requires, and how it answers `{}` from an allowed caller."""

from typing import Any

import pytest

from edgeneuro.app.routes import ROUTES
from edgeneuro.domain.user import SCOPES_OF_ROLE
from edgeneuro.settings import Settings
from edgeneuro.web.auth import Access, scopes
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import ADMIN_TOKEN, HR, Product
from tests.unit.test_keys import create, create_user

# route: (what it asks for, status and code of the answer; "none" is an id that does not exist)
TABLE: dict[str, tuple[str, int, str | None]] = {
    "POST /v1/route": ("route", 400, "missing_field"),
    "POST /v1/chat/completions": ("route", 400, "missing_field"),
    "POST /v1/decisions": ("route", 400, "missing_field"),
    "POST /v1/systemone": ("route", 400, "missing_field"),
    "POST /v1/decisions/{decision_id}/reroute": ("route", 404, "unknown_decision"),
    "POST /v1/feedback": ("route", 400, "missing_field"),
    "DELETE /v1/feedback/{decision_id}": ("route", 404, "no_feedback"),
    "GET /v1/sessions/{session_id}": ("any", 404, "unknown_session"),
    "DELETE /v1/sessions/{session_id}": ("route", 404, "unknown_session"),
    "GET /v1/models": ("any", 200, None),
    "GET /v1/models/select": ("read", 200, None),
    "GET /v1/models/selections": ("read", 200, None),
    "POST /v1/models/select": ("admin", 400, "missing_field"),
    "POST /v1/models/refresh": ("admin", 502, "invalid_output"),
    "POST /v1/models": ("admin", 400, "missing_field"),
    "GET /v1/models/{model_id}": ("any", 404, "model_not_found"),
    "PATCH /v1/models/{model_id}": ("admin", 404, "model_not_found"),
    "DELETE /v1/models/{model_id}": ("admin", 404, "model_not_found"),
    "DELETE /v1/models/{model_id}/calibration": ("admin", 404, "model_not_found"),
    "GET /v1/loras": ("read", 200, None),
    "POST /v1/loras": ("admin", 400, "missing_field"),
    "POST /v1/loras/preflight": ("admin", 400, "invalid_form"),
    "GET /v1/loras/{lora_id}": ("read", 404, "unknown_lora"),
    "POST /v1/loras/{lora_id}/retry": ("admin", 404, "unknown_lora"),
    "POST /v1/loras/{lora_id}/check": ("admin", 404, "unknown_lora"),
    "DELETE /v1/loras/{lora_id}": ("admin", 404, "unknown_lora"),
    "GET /v1/evaluations": ("read", 200, None),
    "POST /v1/evaluations": ("admin", 400, "missing_field"),
    "POST /v1/evaluations/estimate": ("read", 400, "missing_field"),
    "GET /v1/evaluations/{evaluation_id}": ("read", 404, "unknown_evaluation"),
    "GET /v1/evaluations/{evaluation_id}/differences": ("read", 400, "missing_field"),
    "GET /v1/evaluations/{evaluation_id}/answers": ("read", 404, "unknown_evaluation"),
    "POST /v1/evaluations/{evaluation_id}/cancel": ("admin", 404, "unknown_evaluation"),
    "POST /v1/evaluations/{evaluation_id}/calibrate": ("admin", 400, "missing_field"),
    "DELETE /v1/evaluations/{evaluation_id}": ("admin", 404, "unknown_evaluation"),
    "GET /v1/routing-tests": ("read", 200, None),
    "PUT /v1/routing-tests": ("admin", 400, "invalid_lines"),
    "GET /v1/routing-tests/runs": ("read", 200, None),
    "POST /v1/routing-tests/runs": ("admin", 409, "no_routing_tests"),
    "GET /v1/routing-tests/runs/{run_id}": ("read", 404, "unknown_run"),
    "GET /v1/routing-tests/runs/{run_id}/results": ("read", 404, "unknown_run"),
    "POST /v1/routing-tests/runs/{run_id}/cancel": ("admin", 404, "unknown_run"),
    "GET /v1/replays": ("read", 200, None),
    "POST /v1/replays": ("admin", 400, "missing_field"),
    "GET /v1/replays/{replay_id}": ("read", 404, "unknown_replay"),
    "GET /v1/replays/{replay_id}/changes": ("read", 404, "unknown_replay"),
    "POST /v1/replays/{replay_id}/cancel": ("admin", 404, "unknown_replay"),
    "POST /v1/replays/{replay_id}/apply": ("admin", 404, "unknown_replay"),
    "DELETE /v1/replays/{replay_id}": ("admin", 404, "unknown_replay"),
    "GET /v1/learning": ("read", 200, None),
    "GET /v1/jobs": ("read", 200, None),
    "GET /v1/jobs/{job_id}": ("read", 404, "unknown_job"),
    "POST /v1/jobs/{job_id}/cancel": ("admin", 404, "unknown_job"),
    "GET /v1/classifiers": ("read", 200, None),
    "POST /v1/classifiers": ("admin", 202, None),
    "GET /v1/classifiers/{classifier_id}/curve": ("read", 404, "unknown_classifier"),
    "GET /v1/classifiers/{classifier_id}": ("read", 404, "unknown_classifier"),
    "POST /v1/classifiers/{classifier_id}/cancel": ("admin", 404, "unknown_classifier"),
    "DELETE /v1/classifiers/{classifier_id}": ("admin", 404, "unknown_classifier"),
    "GET /v1/agents": ("read", 200, None),
    "POST /v1/agents": ("admin", 400, "missing_field"),
    "DELETE /v1/agents": ("admin", 400, "missing_field"),
    "GET /v1/agents/{agent_id}": ("read", 404, "unknown_agent"),
    "PATCH /v1/agents/{agent_id}": ("admin", 404, "unknown_agent"),
    "DELETE /v1/agents/{agent_id}": ("admin", 404, "unknown_agent"),
    "GET /v1/routers": ("read", 200, None),
    "POST /v1/routers": ("admin", 400, "missing_field"),
    "GET /v1/routers/{router_id}": ("read", 404, "unknown_router"),
    "PATCH /v1/routers/{router_id}": ("admin", 404, "unknown_router"),
    "DELETE /v1/routers/{router_id}": ("admin", 404, "unknown_router"),
    "GET /v1/rules": ("read", 200, None),
    "POST /v1/rules": ("admin", 400, "missing_field"),
    "POST /v1/rules/test": ("admin", 400, "missing_field"),
    "POST /v1/outcomes/preview": ("read", 200, None),
    "POST /v1/outcomes/curve": ("read", 400, "missing_field"),
    "GET /v1/rules/{rule_id}": ("read", 404, "unknown_rule"),
    "PATCH /v1/rules/{rule_id}": ("admin", 404, "unknown_rule"),
    "DELETE /v1/rules/{rule_id}": ("admin", 404, "unknown_rule"),
    "GET /v1/installation": ("admin", 200, None),
    "PUT /v1/installation": ("admin", 200, None),
    "GET /v1/webhooks": ("admin", 200, None),
    "POST /v1/webhooks": ("admin", 400, "missing_field"),
    "GET /v1/webhooks/{webhook_id}": ("admin", 404, "unknown_webhook"),
    "PATCH /v1/webhooks/{webhook_id}": ("admin", 404, "unknown_webhook"),
    "DELETE /v1/webhooks/{webhook_id}": ("admin", 404, "unknown_webhook"),
    "POST /v1/webhooks/{webhook_id}/rotate": ("admin", 404, "unknown_webhook"),
    "POST /v1/webhooks/{webhook_id}/test": ("admin", 404, "unknown_webhook"),
    "GET /v1/webhooks/{webhook_id}/deliveries": ("admin", 404, "unknown_webhook"),
    "POST /v1/webhooks/{webhook_id}/deliveries/{delivery_id}/retry": (
        "admin",
        404,
        "unknown_webhook",
    ),
    "GET /v1/providers": ("admin", 200, None),
    "POST /v1/providers": ("admin", 400, "missing_field"),
    "GET /v1/providers/{provider_id}": ("admin", 404, "unknown_provider"),
    "PATCH /v1/providers/{provider_id}": ("admin", 404, "unknown_provider"),
    "DELETE /v1/providers/{provider_id}": ("admin", 404, "unknown_provider"),
    "GET /v1/me": ("any", 200, None),
    "GET /v1/config": ("read", 200, None),
    "PATCH /v1/config": ("admin", 200, None),
    "DELETE /v1/cache": ("admin", 200, None),
    "GET /v1/logs": ("read", 200, None),
    "GET /v1/logs/export": ("read", 200, None),
    "GET /v1/logs/histogram": ("read", 200, None),
    "GET /v1/logs/{log_id}": ("read", 404, "unknown_log"),
    "PUT /v1/logs/{log_id}/label": ("label", 400, "missing_field"),
    "DELETE /v1/logs/{log_id}/label": ("label", 404, "unknown_log"),
    "GET /v1/labels": ("read", 200, None),
    "POST /v1/labels": ("label", 400, "invalid_value"),
    "GET /v1/labels/queue": ("read", 200, None),
    "GET /v1/labels/queue/size": ("read", 200, None),
    "GET /v1/labels/stats": ("read", 200, None),
    "GET /v1/labels/confirmable": ("read", 400, "missing_field"),
    "POST /v1/labels/confirm": ("label", 400, "missing_field"),
    "POST /v1/labels/remove": ("label", 400, "missing_field"),
    "GET /v1/labels/disagreements": ("read", 200, None),
    "GET /v1/labels/training": ("read", 200, None),
    "GET /v1/labels/suspects": ("read", 200, None),
    "GET /v1/labels/{query_hash}/history": ("read", 404, "unknown_question"),
    "PUT /v1/labels/{query_hash}/label": ("label", 400, "missing_field"),
    "DELETE /v1/labels/{query_hash}/label": ("label", 404, "not_labelled"),
    "GET /v1/datasets/export": ("read", 200, None),
    "GET /v1/datasets/stats": ("read", 200, None),
    "POST /v1/datasets/import": ("label", 400, "invalid_lines"),
    "POST /v1/datasets/import/preview": ("label", 200, None),
    "GET /v1/datasets/imports": ("read", 200, None),
    "GET /v1/datasets/imports/{import_id}": ("read", 404, "unknown_import"),
    "DELETE /v1/datasets/imports/{import_id}": ("label", 404, "unknown_import"),
    "GET /v1/unmatched": ("read", 200, None),
    "POST /v1/unmatched": ("label", 409, "nothing_unmatched"),
    "POST /v1/unmatched/{cluster_id}/agent": ("admin", 400, "missing_field"),
    "POST /v1/unmatched/{cluster_id}/labels": ("label", 400, "missing_field"),
    "POST /v1/unmatched/{cluster_id}/dismiss": ("label", 404, "unknown_cluster"),
    "GET /v1/analytics": ("read", 200, None),
    "GET /v1/analytics/totals": ("read", 200, None),
    "GET /v1/analytics/latency": ("read", 200, None),
    "GET /v1/analytics/confusions": ("read", 200, None),
    "POST /v1/analytics/rebuild": ("admin", 400, "missing_field"),
    "GET /v1/dead_letters": ("read", 200, None),
    "POST /v1/dead_letters/retry": ("admin", 200, None),
    "DELETE /v1/dead_letters": ("admin", 200, None),
    "GET /v1/costs": ("read", 200, None),
    "GET /v1/users": ("admin", 200, None),
    "POST /v1/users": ("admin", 400, "missing_field"),
    "GET /v1/users/{user_id}": ("admin", 404, "unknown_user"),
    "PATCH /v1/users/{user_id}": ("admin", 404, "unknown_user"),
    "DELETE /v1/users/{user_id}": ("admin", 404, "unknown_user"),
    "DELETE /v1/users/{user_id}/data": ("admin", 404, "unknown_user"),
    "DELETE /v1/labels/{query_hash}": ("admin", 404, "unknown_question"),
    "DELETE /v1/logs": ("admin", 400, "invalid_value"),
    "GET /v1/teams": ("admin", 200, None),
    "POST /v1/teams": ("admin", 400, "missing_field"),
    "GET /v1/teams/{team_id}": ("admin", 404, "unknown_team"),
    "PATCH /v1/teams/{team_id}": ("admin", 404, "unknown_team"),
    "DELETE /v1/teams/{team_id}": ("admin", 404, "unknown_team"),
    "GET /v1/keys": ("admin", 200, None),
    "POST /v1/keys": ("admin", 400, "missing_field"),
    "GET /v1/keys/{key_id}": ("admin", 404, "unknown_key"),
    "PATCH /v1/keys/{key_id}": ("admin", 404, "unknown_key"),
    "DELETE /v1/keys/{key_id}": ("admin", 404, "unknown_key"),
    "GET /v1/audit": ("admin", 200, None),
    "GET /v1/jwks": ("public", 200, None),
    "GET /healthz": ("public", 200, None),
    "GET /openapi.json": ("public", 200, None),
    "GET /metrics": ("admin", 200, None),
}
REFUSED = {
    "nobody": "invalid_api_key",
    "unknown": "invalid_api_key",
    "malformed": "invalid_api_key",
    "expired": "key_expired",
    "revoked": "key_revoked",
    "disabled user": "user_disabled",
    "deleted user": "key_revoked",
}
MAY = {
    "scope route": {"route"},
    "scope read": {"read"},
    "scope label": {"read", "label"},
    "scope admin": {"route", "read", "label", "admin"},
    "viewer": {"read"},
    "labeler": {"route", "read", "label"},
    "admin user": {"route", "read", "label", "admin"},
    "admin token": {"route", "read", "label", "admin"},
}


@pytest.fixture
async def callers(empty_product: Product) -> dict[str, str | None]:
    """The key of every kind of caller."""
    product = empty_product
    assert (await product.call("POST", "/v1/agents", HR)).status == 201
    keys: dict[str, str | None] = {
        "nobody": None,
        "unknown": "en_" + "0" * 40,
        "malformed": "no key at all",
        "admin token": ADMIN_TOKEN,
    }
    for scope in ("route", "read", "label", "admin"):
        keys[f"scope {scope}"] = (await create(product, scopes=[scope]))["key"]
    for role, granted in SCOPES_OF_ROLE.items():
        user = await create_user(product, role)
        caller = "admin user" if role == "admin" else str(role)
        keys[caller] = (await create(product, scopes=list(granted), user_id=user["id"]))["key"]
    keys["expired"] = await admin_key(product, expires_at="2027-01-15T08:00:01Z")
    revoked = await create(product, scopes=["admin"])
    await product.call("DELETE", f"/v1/keys/{revoked['id']}")
    keys["revoked"] = revoked["key"]
    for name, end in (("disabled user", "PATCH"), ("deleted user", "DELETE")):
        body = {"email": f"{end}@example.com", "name": "Gone", "role": "admin"}
        user = (await product.call("POST", "/v1/users", body)).json()
        keys[name] = await admin_key(product, user_id=user["id"])
        await product.call(end, f"/v1/users/{user['id']}", {"enabled": False})
    product.clock.seconds += 1
    return keys


async def admin_key(product: Product, **fields: Any) -> str:
    key: str = (await create(product, scopes=["admin"], **fields))["key"]
    return key


def expected(caller: str, route: str) -> tuple[int, str | None]:
    asked, status, code = TABLE[route]
    if asked == "public":
        return status, code
    if caller in REFUSED:
        return 401, REFUSED[caller]
    if asked != "any" and asked not in MAY[caller]:
        return 403, "missing_scope"
    return status, code


def test_the_table_has_every_route_and_no_other() -> None:
    assert set(TABLE) == {f"{each.method} {each.path.replace(':path', '')}" for each in ROUTES}


@pytest.mark.parametrize("route", TABLE)
async def test_every_caller_gets_exactly_this(
    empty_product: Product, callers: dict[str, str | None], route: str
) -> None:
    assert set(callers) == set(REFUSED) | set(MAY)
    method, _, path = route.partition(" ")
    path = path.replace("{", "").replace("}", "").replace("_id", "-none")
    before = empty_product.rows("SELECT id FROM audit")
    body: dict[str, str] | None = None if method in ("GET", "DELETE") else {}
    for caller, key in callers.items():
        answered = await empty_product.call(method, path, body, key=key)
        code = answered.json()["error"]["code"] if answered.status >= 400 else None
        assert (answered.status, code) == expected(caller, route), caller
    # What is begun, and the flush of the caches, which needs no body.
    audited = 200 if route == "DELETE /v1/cache" else 202
    done = sum(expected(caller, route)[0] == audited for caller in callers)
    assert len(empty_product.rows("SELECT id FROM audit")) == len(before) + done


async def test_a_caller_who_may_not_is_told_before_anything_is_read(
    empty_product: Product, callers: dict[str, str | None]
) -> None:
    await empty_product.call("GET", "/v1/models", key=callers["viewer"])
    empty_product.database.statements.clear()
    body = {"name": "x", "scopes": ["admin"]}
    answered = await empty_product.call("POST", "/v1/keys", body, key=callers["viewer"])
    assert answered.status == 403
    [counted] = empty_product.database.statements  # after the answer
    assert counted.sql.startswith("INSERT INTO refusals")


async def test_a_caller_is_told_who_it_is_and_what_it_may(
    empty_product: Product, callers: dict[str, str | None]
) -> None:
    for caller, may in MAY.items():
        shown = (await empty_product.call("GET", "/v1/me", key=callers[caller])).json()
        assert set(shown["scopes"]) == may, caller
    shown = (await empty_product.call("GET", "/v1/me")).json()
    assert (shown["id"], shown["name"]) == ("admin_token", None)
    assert not shown["emulated"]
    assert shown["scopes"] == ["route", "read", "label", "admin"]


# A body, because their input is too large for a query string; they change nothing.
READING_POSTS = {"/v1/evaluations/estimate", "/v1/outcomes/curve", "/v1/outcomes/preview"}


def test_reading_and_changing_are_apart() -> None:
    """What only reads never asks for more than `read`, unless it is the administrators' own."""
    for route in ROUTES:
        if route.method == "GET" or route.path in READING_POSTS:
            assert route.access in (Access.PUBLIC, Access.ANY, Access.READ, Access.ADMIN)
        else:
            assert route.access in (Access.ROUTE, Access.LABEL, Access.ADMIN)


def test_admin_includes_every_scope() -> None:
    assert scopes(["admin"]) == frozenset(Access)
    assert scopes([]) == {Access.PUBLIC, Access.ANY}


async def test_without_an_admin_token_keys_still_work(
    database: SqliteDatabase, settings: Settings, product: Product
) -> None:
    key = await create(product)
    settings = Settings(**{**vars(settings), "admin_token": ""})
    later = Product(database, settings)
    assert (await later.call("GET", "/v1/models", key=key["key"])).status == 200
    assert (await later.call("GET", "/v1/models", key="en_" + "0" * 40)).status == 401
    assert (await later.call("GET", "/v1/models", key=ADMIN_TOKEN)).status == 503
