"""Settings over the API, in process."""

from typing import Any

import pytest

from tests.unit.conftest import Product, says

LORA = "intent-routing-v1"
LLAMA = "@cf/meta/llama-3.2-1b-instruct"
GRANITE = "@cf/ibm-granite/granite-4.0-h-micro"


async def config(product: Product) -> dict[str, Any]:
    shown: dict[str, Any] = (await product.call("GET", "/v1/config")).json()
    return shown


async def test_every_setting_is_shown_with_its_source(product: Product) -> None:
    assert await config(product) == {
        "object": "config",
        "routing_model": {"value": LLAMA, "source": "var"},
        "fallback_models": {"value": [GRANITE], "source": "var"},
        "confidence_threshold": {"value": 0.5, "source": "default"},
        "on_no_fit": {"value": "fallback", "source": "default"},
        "time_budget_ms": {"value": 5_000, "source": "default"},
        "chat_timeout_ms": {"value": 60_000, "source": "default"},
        "cache_ttl_seconds": {"value": 3_600, "source": "default"},
        "cache_scope": {"value": "all", "source": "default"},
        "clarify": {"value": False, "source": "default"},
        "clarify_margin": {"value": 0.15, "source": "default"},
        "clarify_min_probability": {"value": 0.2, "source": "default"},
        "clarify_threshold": {"value": 0.8, "source": "default"},
        "clarify_text": {"value": "Which of these should help you?", "source": "default"},
        "several": {"value": False, "source": "default"},
        "several_threshold": {"value": 0.8, "source": "default"},
        "several_min_probability": {"value": 0.2, "source": "default"},
        "several_answers": {"value": "first", "source": "default"},
        "several_text": {
            "value": "{agent} answered this. {others} can help with the rest of your message.",
            "source": "default",
        },
        "session_idle_minutes": {"value": 30, "source": "default"},
        "route_background_prompts": {"value": False, "source": "default"},
        "log_queries": {"value": True, "source": "default"},
        "max_retries": {"value": 1, "source": "default"},
        "redact_personal_data": {"value": False, "source": "default"},
        "implicit_signals": {"value": False, "source": "default"},
        "retention_days": {"value": 90, "source": "default"},
        "audit_retention_days": {"value": None, "source": "default"},
        "classifier": {"value": None, "source": "default"},
        "learning": {"value": "observe", "source": "default"},
        "model_shortlist": {"value": "auto", "source": "default"},
        "embedding_model": {"value": None, "source": "default"},
        "classifier_target": {"value": 0.98, "source": "default"},
        "classifier_min_labels": {"value": 5, "source": "default"},
        "machine_label_confidence": {"value": 0.8, "source": "default"},
        "machine_labels_per_agent": {"value": 1000, "source": "default"},
        "follow_up_decisions": {"value": 2000, "source": "default"},
        "audit_sample_share": {"value": 0.02, "source": "default"},
        "retrain_after_labels": {"value": None, "source": "default"},
        "promotion_alpha": {"value": 0.05, "source": "default"},
        "promotion_margin": {"value": 0.02, "source": "default"},
        "promotion_min_labels": {"value": 100, "source": "default"},
        "promotion_max_cost_ratio": {"value": 2.0, "source": "default"},
        "promotion_max_latency_ratio": {"value": 2.0, "source": "default"},
        "auto_promote": {"value": False, "source": "default"},
        "auto_rollback": {"value": False, "source": "default"},
        "routing_tests_required": {"value": False, "source": "default"},
    }


async def test_stored_settings_win_and_null_takes_them_away(product: Product) -> None:
    changes = {
        "routing_model": LORA,
        "fallback_models": [],
        "confidence_threshold": 0.7,
        "time_budget_ms": 1_000,
        "log_queries": False,
    }
    patched = (await product.call("PATCH", "/v1/config", changes)).json()
    for name, value in changes.items():
        assert patched[name] == {"value": value, "source": "stored"}
    assert await config(product) == patched
    nulls = dict.fromkeys(("routing_model", "fallback_models", "confidence_threshold"))
    patched = (await product.call("PATCH", "/v1/config", {**nulls, "retention_days": 7})).json()
    assert patched["routing_model"] == {"value": LLAMA, "source": "var"}
    assert patched["fallback_models"] == {"value": [GRANITE], "source": "var"}
    assert patched["confidence_threshold"] == {"value": 0.5, "source": "default"}
    assert patched["retention_days"] == {"value": 7, "source": "stored"}
    assert patched["time_budget_ms"] == {"value": 1_000, "source": "stored"}


async def test_the_next_request_goes_by_what_is_stored(product: Product) -> None:
    await product.call("PATCH", "/v1/config", {"confidence_threshold": 0.95, "fallback_models": []})
    product.gateway.enqueue(says("hr", 0.9))
    decision = (await product.route("Leave?")).json()
    assert decision["reason"] == "low_confidence"
    decision = (await product.route("Another?")).json()
    assert {attempt["model"] for attempt in decision["attempts"]} == {LLAMA}


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"routing_model": "no-such"}, "model_not_found", "routing_model"),
        ({"fallback_models": [GRANITE, "no-such"]}, "model_not_found", "fallback_models[1]"),
        ({"confidence_threshold": 1.1}, "invalid_value", "confidence_threshold"),
        ({"confidence_threshold": True}, "invalid_value", "confidence_threshold"),
        ({"time_budget_ms": 99}, "invalid_value", "time_budget_ms"),
        ({"chat_timeout_ms": 99}, "invalid_value", "chat_timeout_ms"),
        ({"chat_timeout_ms": 300_001}, "invalid_value", "chat_timeout_ms"),
        ({"time_budget_ms": 1_000.5}, "invalid_value", "time_budget_ms"),
        ({"cache_ttl_seconds": 59}, "invalid_value", "cache_ttl_seconds"),
        ({"retention_days": 0}, "invalid_value", "retention_days"),
        ({"classifier_target": 0.4}, "invalid_value", "classifier_target"),
        ({"classifier_target": 1}, "invalid_value", "classifier_target"),
        ({"classifier_min_labels": 0}, "invalid_value", "classifier_min_labels"),
        ({"audit_sample_share": 1.5}, "invalid_value", "audit_sample_share"),
        ({"promotion_alpha": 0}, "invalid_value", "promotion_alpha"),
        ({"promotion_alpha": 0.5}, "invalid_value", "promotion_alpha"),
        ({"promotion_margin": 0}, "invalid_value", "promotion_margin"),
        ({"promotion_min_labels": 0}, "invalid_value", "promotion_min_labels"),
        ({"auto_promote": 1}, "invalid_value", "auto_promote"),
        ({"challenger": {"model_id": LORA, "percent": 1}}, "unknown_field", "challenger"),
        ({"retrain_after_labels": 0}, "invalid_value", "retrain_after_labels"),
        ({"learning": "always"}, "invalid_value", "learning"),
        ({"promotion_alpha": 0.5}, "invalid_value", "promotion_alpha"),
        ({"promotion_margin": 0}, "invalid_value", "promotion_margin"),
        ({"promotion_min_labels": 0}, "invalid_value", "promotion_min_labels"),
        ({"auto_promote": "yes"}, "invalid_value", "auto_promote"),
        ({"challenger": {}}, "unknown_field", "challenger"),
        ({"retrain_after_labels": 1_000_001}, "invalid_value", "retrain_after_labels"),
        ({"classifier": "clf_none"}, "classifier_not_found", "classifier"),
        ({"log_queries": "no"}, "invalid_value", "log_queries"),
        ({"colour": "red"}, "unknown_field", "colour"),
    ],
)
async def test_a_bad_setting_is_named_and_nothing_is_written(
    product: Product, changes: dict[str, Any], code: str, param: str
) -> None:
    answered = await product.call("PATCH", "/v1/config", {"retention_days": 7, **changes})
    error = answered.json()["error"]
    assert (answered.status, error["code"], error["param"]) == (400, code, param)
    assert product.rows("SELECT * FROM config") == []


async def test_changes_are_audited_and_empty_ones_are_none(product: Product) -> None:
    await product.call("PATCH", "/v1/config", {})
    await product.call("PATCH", "/v1/config", {"retention_days": 7})
    await product.call("PATCH", "/v1/config", {"retention_days": None})
    page = (await product.call("GET", "/v1/audit?resource=config")).json()
    days = [(e["before"]["retention_days"], e["after"]["retention_days"]) for e in page["data"]]
    assert days == [(7, 90), (90, 7)]


async def test_the_former_name_of_a_setting_is_still_accepted(product: Product) -> None:
    """Until the next version."""
    for value, shown in ((0.25, 0.25), (None, 0.02)):
        patch = {"classifier_shadow_share": value}
        answered = await product.call("PATCH", "/v1/config", patch)
        assert (answered.status, answered.json()["audit_sample_share"]["value"]) == (200, shown)
    both = {"classifier_shadow_share": 0.1, "audit_sample_share": 0.2}
    answered = await product.call("PATCH", "/v1/config", both)
    assert answered.json()["error"]["param"] == "classifier_shadow_share"


async def test_a_stored_model_that_is_gone_is_shown_as_the_var(product: Product) -> None:
    product.execute("INSERT INTO config VALUES ('routing_model', '\"gone\"', 0)")
    assert (await config(product))["routing_model"] == {"value": LLAMA, "source": "var"}
