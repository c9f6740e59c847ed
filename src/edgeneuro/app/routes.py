"""All HTTP routes: method, path, handler, access, the status of a success if it is not 200, and how
a POST uses an Idempotency-Key if not in the default way."""

from edgeneuro.adapter.preflight import CONFIG_FILE, WEIGHTS_FILE
from edgeneuro.controlplane import (
    agents,
    config,
    demonstration,
    endpoints,
    outcome_curve,
    outcome_preview,
    routers,
    rule_trial,
    rules,
    sessions,
    unmatched,
)
from edgeneuro.controlplane.access import audit, keys, teams, users
from edgeneuro.controlplane.adapters import lora_intake, loras
from edgeneuro.controlplane.evaluations import (
    evaluation_estimate,
    evaluations,
    routing_test_runs,
    routing_tests,
)
from edgeneuro.controlplane.installation import installation
from edgeneuro.controlplane.jobs import jobs
from edgeneuro.controlplane.labels import (
    confirmations,
    datasets,
    erasure,
    import_preview,
    imports,
    label_stats,
    labels,
    next_training,
    queue,
)
from edgeneuro.controlplane.learning import classifier_curve, classifiers, learning
from edgeneuro.controlplane.models import (
    calibration,
    models,
    providers,
    selection,
    selection_history,
)
from edgeneuro.controlplane.observe import (
    analytics,
    breakdowns,
    costs,
    dead_letters,
    log_export,
    log_histogram,
    logs,
    monitoring,
)
from edgeneuro.controlplane.replays import apply, replays
from edgeneuro.controlplane.webhooks import webhooks
from edgeneuro.domain.chat import MAX_BODY_BYTES, MAX_TEXT_BYTES
from edgeneuro.domain.chat_answer import ChatCompletionChunk
from edgeneuro.domain.import_mapping import ImportForm
from edgeneuro.domain.lora import LoraCreate
from edgeneuro.domain.routing_test import MAX_BYTES
from edgeneuro.synapsecore import api as synapsecore
from edgeneuro.synapsecore import feedback, reroute
from edgeneuro.synapsecore.chat import api as chat
from edgeneuro.synapsecore.decisions import api as decisions
from edgeneuro.synapsecore.decisions import body as decision_body
from edgeneuro.web.auth import Access
from edgeneuro.web.routing import Described, Idempotency, Route

_BULK_BYTES = 1024 * 1024  # 1,000 labels with queries of 1,000 bytes
_INSTALLATION_BYTES = 8 * 1024 * 1024  # 250 agents with the longest texts
PUBLIC, ANY, READ = Access.PUBLIC, Access.ANY, Access.READ
ROUTE, LABEL, ADMIN = Access.ROUTE, Access.LABEL, Access.ADMIN
REPEATABLE, ONCE = Idempotency.REPEATABLE, Idempotency.SHOWN_ONCE
# What /openapi.json says about a route in addition to its row.
UPSTREAM = (502, 504)
FILES = (CONFIG_FILE, WEIGHTS_FILE)
TEST_FILES = ("application/jsonl", "application/json", "application/octet-stream")
LABEL_FILES = ("application/jsonl", "text/csv", "application/octet-stream")
IMPORT = Described((409,), file_media=LABEL_FILES, form=ImportForm, files=("file",))
ROUTING = Described((404, 409, *UPSTREAM))
DECISIONS = Described((404, 409, *UPSTREAM))
CHAT = Described((404, 409, 422, *UPSTREAM), events=ChatCompletionChunk)
LORA = Described((409, *UPSTREAM), form=LoraCreate, files=FILES, or_json=True)
PREFLIGHT = Described((409,), form=LoraCreate, files=FILES)

# fmt: off
ROUTES = (
    Route("POST",   "/v1/route",                  synapsecore.route,     ROUTE, 200, REPEATABLE,
          max_body_bytes=MAX_TEXT_BYTES, awaits_limit=True, described=ROUTING),
    Route("POST",   "/v1/chat/completions",       chat.create_chat_completion, ROUTE, 200,
          REPEATABLE, max_body_bytes=MAX_BODY_BYTES, awaits_limit=True, described=CHAT),
    Route("POST",   "/v1/decisions",              decisions.create_decisions, ROUTE, 200,
          REPEATABLE, max_body_bytes=decision_body.MAX_BODY_BYTES, awaits_limit=True,
          described=DECISIONS),
    Route("POST",   "/v1/systemone",              decisions.answer_systemone, ROUTE, 200,
          REPEATABLE, max_body_bytes=decision_body.MAX_BODY_BYTES, awaits_limit=True,
          described=DECISIONS),
    Route("POST",   "/v1/decisions/{decision_id}/reroute", reroute.reroute, ROUTE, 200,
          described=Described((404, 409, *UPSTREAM))),
    Route("POST",   "/v1/feedback",               feedback.give_feedback, ROUTE, 201,
          REPEATABLE, described=Described((404,))),
    Route("DELETE", "/v1/feedback/{decision_id}", feedback.take_back_feedback, ROUTE),

    Route("GET",    "/v1/sessions/{session_id}",  sessions.get_session, ANY),
    Route("DELETE", "/v1/sessions/{session_id}",  sessions.end_session, ROUTE),

    Route("GET",    "/v1/models",                 models.list_models,    ANY),
    Route("GET",    "/v1/models/select",          selection.show_selection, READ),
    Route("POST",   "/v1/models/select",          models.select_model,   ADMIN),
    Route("GET",    "/v1/models/selections",      selection_history.list_selections, READ),
    Route("POST",   "/v1/models/refresh",         models.refresh_models, ADMIN,
          described=Described(UPSTREAM)),
    Route("POST",   "/v1/models",                 models.register_model, ADMIN, 201),
    # Before the ids: one that ends so is sent with encoded slashes.
    Route("DELETE", "/v1/models/{model_id:path}/calibration", calibration.end_calibration, ADMIN),
    Route("GET",    "/v1/models/{model_id:path}", models.get_model,      ANY),
    Route("PATCH",  "/v1/models/{model_id:path}", models.update_model,   ADMIN),
    Route("DELETE", "/v1/models/{model_id:path}", models.retire_model,   ADMIN),

    Route("GET",    "/v1/loras",                  loras.list_loras,      READ),
    Route("POST",   "/v1/loras",                  lora_intake.create_lora, ADMIN, 202, REPEATABLE,
          max_body_bytes=lora_intake.MAX_UPLOAD_BYTES, described=LORA),
    Route("POST",   "/v1/loras/preflight",        lora_intake.check_files, ADMIN, 200, REPEATABLE,
          max_body_bytes=lora_intake.MAX_UPLOAD_BYTES, described=PREFLIGHT),
    Route("GET",    "/v1/loras/{lora_id}",        loras.get_lora,        READ),
    Route("POST",   "/v1/loras/{lora_id}/retry",  loras.retry_lora,      ADMIN, 202),
    Route("POST",   "/v1/loras/{lora_id}/check",  loras.check_lora,      ADMIN),
    Route("DELETE", "/v1/loras/{lora_id}",        loras.retire_lora,     ADMIN),

    Route("GET",    "/v1/evaluations",            evaluations.list_evaluations, READ),
    Route("POST",   "/v1/evaluations",            evaluations.create_evaluation, ADMIN, 202),
    Route("POST",   "/v1/evaluations/estimate",   evaluation_estimate.estimate_evaluation, READ,
          200, REPEATABLE, described=Described((409,))),
    Route("GET",    "/v1/evaluations/{evaluation_id}", evaluations.get_evaluation, READ),
    Route("GET",    "/v1/evaluations/{evaluation_id}/answers", evaluations.list_answers, READ),
    Route("GET",    "/v1/evaluations/{evaluation_id}/differences", evaluations.show_differences,
          READ),
    Route("POST",   "/v1/evaluations/{evaluation_id}/cancel", evaluations.cancel_evaluation, ADMIN),
    Route("POST",   "/v1/evaluations/{evaluation_id}/calibrate", calibration.calibrate_model,
          ADMIN, described=Described((409,))),
    Route("DELETE", "/v1/evaluations/{evaluation_id}", evaluations.delete_evaluation, ADMIN),

    Route("GET",    "/v1/routing-tests",          routing_tests.show_routing_tests, READ,
          described=Described(media=("application/jsonl",))),
    Route("PUT",    "/v1/routing-tests",          routing_tests.replace_routing_tests, ADMIN,
          max_body_bytes=MAX_BYTES, described=Described(file_media=TEST_FILES)),
    Route("GET",    "/v1/routing-tests/runs",     routing_test_runs.list_runs, READ),
    Route("POST",   "/v1/routing-tests/runs",     routing_test_runs.create_run, ADMIN, 202),
    Route("GET",    "/v1/routing-tests/runs/{run_id}", routing_test_runs.get_run, READ),
    Route("GET",    "/v1/routing-tests/runs/{run_id}/results", routing_test_runs.list_results,
          READ),
    Route("POST",   "/v1/routing-tests/runs/{run_id}/cancel", routing_test_runs.cancel_run, ADMIN),

    Route("GET",    "/v1/replays",                replays.list_replays,  READ),
    Route("POST",   "/v1/replays",                replays.create_replay, ADMIN, 202),
    Route("GET",    "/v1/replays/{replay_id}",    replays.get_replay,    READ),
    Route("GET",    "/v1/replays/{replay_id}/changes", replays.list_replay_changes, READ),
    Route("POST",   "/v1/replays/{replay_id}/cancel", replays.cancel_replay, ADMIN),
    Route("POST",   "/v1/replays/{replay_id}/apply", apply.apply_replay, ADMIN),
    Route("DELETE", "/v1/replays/{replay_id}",    replays.delete_replay, ADMIN),

    Route("GET",    "/v1/classifiers",            classifiers.list_classifiers, READ),
    Route("POST",   "/v1/classifiers",            classifiers.create_classifier, ADMIN, 202),
    Route("GET",    "/v1/classifiers/{classifier_id}", classifiers.get_classifier, READ),
    Route("GET",    "/v1/classifiers/{classifier_id}/curve", classifier_curve.get_classifier_curve,
          READ),
    Route("POST",   "/v1/classifiers/{classifier_id}/cancel", classifiers.cancel_classifier, ADMIN),
    Route("DELETE", "/v1/classifiers/{classifier_id}", classifiers.delete_classifier, ADMIN),

    Route("GET",    "/v1/learning",               learning.show_learning, READ),

    Route("GET",    "/v1/jobs",                   jobs.list_jobs,        READ),
    Route("GET",    "/v1/jobs/{job_id}",          jobs.get_job,          READ),
    Route("POST",   "/v1/jobs/{job_id}/cancel",   jobs.cancel_job,       ADMIN),

    Route("GET",    "/v1/agents",                 agents.list_agents,    READ),
    Route("POST",   "/v1/agents",                 agents.create_agent,   ADMIN, 201),
    Route("DELETE", "/v1/agents",                 demonstration.delete_demonstration_agents, ADMIN),
    Route("GET",    "/v1/agents/{agent_id}",      agents.get_agent,      READ),
    Route("PATCH",  "/v1/agents/{agent_id}",      agents.update_agent,   ADMIN),
    Route("DELETE", "/v1/agents/{agent_id}",      agents.delete_agent,   ADMIN),

    Route("GET",    "/v1/routers",                routers.list_routers,  READ),
    Route("POST",   "/v1/routers",                routers.create_router, ADMIN, 201),
    Route("GET",    "/v1/routers/{router_id}",    routers.get_router,    READ),
    Route("PATCH",  "/v1/routers/{router_id}",    routers.update_router, ADMIN),
    Route("DELETE", "/v1/routers/{router_id}",    routers.delete_router, ADMIN),

    Route("GET",    "/v1/rules",                  rules.list_rules,      READ),
    Route("POST",   "/v1/rules",                  rules.create_rule,     ADMIN, 201),
    Route("POST",   "/v1/rules/test",             rule_trial.try_rule,   ADMIN, 200, REPEATABLE,
          described=Described((404, 409))),
    Route("GET",    "/v1/rules/{rule_id}",        rules.get_rule,        READ),
    Route("PATCH",  "/v1/rules/{rule_id}",        rules.update_rule,     ADMIN),
    Route("DELETE", "/v1/rules/{rule_id}",        rules.delete_rule,     ADMIN),

    Route("POST",   "/v1/outcomes/curve",         outcome_curve.curve_of_outcomes, READ, 200,
          REPEATABLE, described=Described((404,))),
    Route("POST",   "/v1/outcomes/preview",       outcome_preview.preview_outcomes, READ, 200,
          REPEATABLE, described=Described((404,))),

    Route("GET",    "/v1/installation",           installation.show_installation, ADMIN),
    Route("PUT",    "/v1/installation",           installation.replace_installation, ADMIN,
          max_body_bytes=_INSTALLATION_BYTES, described=Described(takes_if_match=True)),

    Route("GET",    "/v1/providers",              providers.list_providers,  ADMIN),
    Route("POST",   "/v1/providers",              providers.create_provider, ADMIN, 201),
    Route("GET",    "/v1/providers/{provider_id}", providers.get_provider,   ADMIN),
    Route("PATCH",  "/v1/providers/{provider_id}", providers.update_provider, ADMIN),
    Route("DELETE", "/v1/providers/{provider_id}", providers.delete_provider, ADMIN),

    Route("GET",    "/v1/config",                 config.get_config,     READ),
    Route("PATCH",  "/v1/config",                 config.update_config,  ADMIN),
    Route("DELETE", "/v1/cache",                  config.flush_cache,     ADMIN),

    Route("GET",    "/v1/logs",                   logs.list_logs,        READ),
    Route("DELETE", "/v1/logs",                   erasure.erase_logs,    ADMIN),
    Route("GET",    "/v1/logs/export",            log_export.export_logs, READ,
          described=Described((404,), media=("application/jsonl",))),
    Route("GET",    "/v1/logs/histogram",         log_histogram.show_histogram, READ),
    Route("GET",    "/v1/logs/{log_id}",          logs.get_log,          READ),
    Route("PUT",    "/v1/logs/{log_id}/label",    labels.label_log,      LABEL),
    Route("DELETE", "/v1/logs/{log_id}/label",    labels.unlabel_log,    LABEL),

    Route("GET",    "/v1/dead_letters",           dead_letters.list_dead_letters, READ),
    Route("POST",   "/v1/dead_letters/retry",     dead_letters.retry_dead_letters, ADMIN),
    Route("DELETE", "/v1/dead_letters",           dead_letters.delete_dead_letters, ADMIN),

    Route("GET",    "/v1/labels",                 labels.list_labels,    READ),
    Route("POST",   "/v1/labels",                 labels.label_many,     LABEL,
          max_body_bytes=_BULK_BYTES),
    Route("GET",    "/v1/labels/queue",           queue.list_queue,      READ),
    Route("GET",    "/v1/labels/queue/size",      queue.show_queue_size, READ),
    Route("GET",    "/v1/labels/confirmable",     confirmations.list_confirmable, READ),
    Route("POST",   "/v1/labels/confirm",         confirmations.confirm_decisions, LABEL),
    Route("POST",   "/v1/labels/remove",          confirmations.remove_labels, LABEL),
    Route("GET",    "/v1/labels/disagreements",   queue.list_disagreements, READ),
    Route("GET",    "/v1/labels/training",        next_training.show_next_training, READ),
    Route("GET",    "/v1/labels/suspects",        queue.list_suspects, READ),
    Route("GET",    "/v1/labels/stats",           label_stats.show_label_stats, READ),
    Route("GET",    "/v1/labels/{query_hash}/history", labels.list_history, READ),
    Route("PUT",    "/v1/labels/{query_hash}/label", labels.label_question, LABEL),
    Route("DELETE", "/v1/labels/{query_hash}/label", labels.unlabel_question, LABEL),
    Route("DELETE", "/v1/labels/{query_hash}",    erasure.erase_question, ADMIN),

    Route("GET",    "/v1/unmatched",              unmatched.list_unmatched, READ),
    Route("POST",   "/v1/unmatched",              unmatched.start_clustering, LABEL, 202),
    Route("POST",   "/v1/unmatched/{cluster_id}/agent", unmatched.create_agent_of, ADMIN, 201,
          described=Described((404, 409))),
    Route("POST",   "/v1/unmatched/{cluster_id}/labels", unmatched.label_cluster, LABEL,
          described=Described((404, 409))),
    Route("POST",   "/v1/unmatched/{cluster_id}/dismiss", unmatched.dismiss_cluster, LABEL,
          described=Described((404, 409))),

    Route("GET",    "/v1/analytics",              analytics.show_analytics, READ),
    Route("GET",    "/v1/analytics/totals",       breakdowns.show_totals, READ),
    Route("GET",    "/v1/analytics/latency",      breakdowns.show_latencies, READ),
    Route("GET",    "/v1/analytics/confusions",   breakdowns.show_confusions, READ),
    Route("POST",   "/v1/analytics/rebuild",      analytics.rebuild,     ADMIN),
    Route("GET",    "/v1/costs",                  costs.show_costs,      READ),

    Route("GET",    "/v1/users",                  users.list_users,      ADMIN),
    Route("POST",   "/v1/users",                  users.create_user,     ADMIN, 201),
    Route("GET",    "/v1/users/{user_id}",        users.get_user,        ADMIN),
    Route("PATCH",  "/v1/users/{user_id}",        users.update_user,     ADMIN),
    Route("DELETE", "/v1/users/{user_id}",        users.delete_user,     ADMIN),
    Route("DELETE", "/v1/users/{user_id}/data",   erasure.erase_user,    ADMIN),

    Route("GET",    "/v1/teams",                  teams.list_teams,      ADMIN),
    Route("POST",   "/v1/teams",                  teams.create_team,     ADMIN, 201),
    Route("GET",    "/v1/teams/{team_id}",        teams.get_team,        ADMIN),
    Route("PATCH",  "/v1/teams/{team_id}",        teams.update_team,     ADMIN),
    Route("DELETE", "/v1/teams/{team_id}",        teams.delete_team,     ADMIN),

    Route("GET",    "/v1/keys",                   keys.list_keys,        ADMIN),
    Route("POST",   "/v1/keys",                   keys.create_key,       ADMIN, 201, ONCE),
    Route("GET",    "/v1/keys/{key_id}",          keys.get_key,          ADMIN),
    Route("PATCH",  "/v1/keys/{key_id}",          keys.update_key,       ADMIN),
    Route("DELETE", "/v1/keys/{key_id}",          keys.revoke_key,       ADMIN),

    Route("GET",    "/v1/datasets/export",        datasets.export_labels, READ,
          described=Described((409,), media=("application/jsonl",))),
    Route("GET",    "/v1/datasets/stats",         datasets.show_stats,   READ),
    Route("POST",   "/v1/datasets/import",        imports.import_labels, LABEL, 200, REPEATABLE,
          max_body_bytes=imports.MAX_FILE_BYTES, described=IMPORT),
    Route("POST",   "/v1/datasets/import/preview", import_preview.preview_import, LABEL, 200,
          REPEATABLE, max_body_bytes=imports.MAX_FILE_BYTES, described=IMPORT),
    Route("GET",    "/v1/datasets/imports",       imports.list_imports,  READ),
    Route("GET",    "/v1/datasets/imports/{import_id}", imports.get_import, READ),
    Route("DELETE", "/v1/datasets/imports/{import_id}", imports.roll_back, LABEL,
          described=Described((409,))),

    Route("GET",    "/v1/webhooks",               webhooks.list_webhooks, ADMIN),
    Route("POST",   "/v1/webhooks",               webhooks.create_webhook, ADMIN, 201, ONCE),
    Route("GET",    "/v1/webhooks/{webhook_id}",  webhooks.get_webhook,  ADMIN),
    Route("PATCH",  "/v1/webhooks/{webhook_id}",  webhooks.update_webhook, ADMIN),
    Route("DELETE", "/v1/webhooks/{webhook_id}",  webhooks.delete_webhook, ADMIN),
    Route("POST",   "/v1/webhooks/{webhook_id}/rotate", webhooks.rotate_secret, ADMIN, 200, ONCE),
    Route("POST",   "/v1/webhooks/{webhook_id}/test", webhooks.test_webhook, ADMIN),
    Route("GET",    "/v1/webhooks/{webhook_id}/deliveries", webhooks.list_deliveries, ADMIN),
    Route("POST",   "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/retry",
          webhooks.retry_delivery, ADMIN, described=Described((409,))),

    Route("GET",    "/v1/me",                     users.show_caller,        ANY),

    Route("GET",    "/v1/audit",                  audit.list_audit,      ADMIN),

    Route("GET",    "/v1/jwks",                   endpoints.show_public_keys, PUBLIC, limited=True),
    Route("GET",    "/healthz",                   monitoring.show_health,    PUBLIC),
    Route("GET",    "/openapi.json",              monitoring.show_openapi,   PUBLIC,
          limited=True, described=Described((304,), media=("application/json",))),
    Route("GET",    "/metrics",                   monitoring.show_metrics,  ADMIN,
          described=Described(media=("text/plain",))),
)
# fmt: on

# Paths that clients of other APIs call, and what to call instead.
ABSENT_PATHS = {
    "/v1/responses": "There is no Responses API here. Send the conversation to POST"
    " /v1/chat/completions as `messages`.",
    "/v1/completions": "There is no API for plain completions here. Send the prompt to POST"
    " /v1/chat/completions as a message of the role 'user'.",
    "/v1/messages": "Anthropic's Messages API is not offered here. Send the conversation to POST"
    " /v1/chat/completions, which takes OpenAI's `messages`.",
    "/v1/embeddings": "There are no embeddings here. EdgeNeuro routes queries (POST /v1/route) and"
    " answers chats (POST /v1/chat/completions); ask your model vendor for embeddings.",
}
