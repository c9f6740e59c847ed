"""The HTTP surface, whole: method, path, handler, access, status of a success if it is not 200."""

from edgeneuro.controlplane import (
    agents,
    analytics,
    audit,
    config,
    health,
    label_stats,
    labels,
    logs,
    metrics,
    models,
    providers,
    queue,
)
from edgeneuro.synapsecore import api as synapsecore
from edgeneuro.synapsecore import feedback
from edgeneuro.web.auth import Access
from edgeneuro.web.routing import Route

_BULK_BYTES = 1024 * 1024  # 1,000 labels with queries of 1,000 bytes
PUBLIC, ROUTE, LABEL, ADMIN = Access.PUBLIC, Access.ROUTE, Access.LABEL, Access.ADMIN

# fmt: off
ROUTES = (
    Route("POST",   "/v1/route",                  synapsecore.route,     ROUTE),
    Route("POST",   "/v1/feedback",               feedback.give_feedback, ROUTE, 201),

    Route("GET",    "/v1/models",                 models.list_models,    ROUTE),
    Route("POST",   "/v1/models/select",          models.select_model,   ADMIN),
    Route("POST",   "/v1/models/refresh",         models.refresh_models, ADMIN),
    Route("POST",   "/v1/models",                 models.register_model, ADMIN, 201),
    Route("GET",    "/v1/models/{model_id:path}", models.get_model,      ROUTE),
    Route("PATCH",  "/v1/models/{model_id:path}", models.update_model,   ADMIN),
    Route("DELETE", "/v1/models/{model_id:path}", models.retire_model,   ADMIN),

    Route("GET",    "/v1/agents",                 agents.list_agents,    ADMIN),
    Route("POST",   "/v1/agents",                 agents.create_agent,   ADMIN, 201),
    Route("GET",    "/v1/agents/{agent_id}",      agents.get_agent,      ADMIN),
    Route("PATCH",  "/v1/agents/{agent_id}",      agents.update_agent,   ADMIN),
    Route("DELETE", "/v1/agents/{agent_id}",      agents.delete_agent,   ADMIN),

    Route("GET",    "/v1/providers",              providers.list_providers,  ADMIN),
    Route("POST",   "/v1/providers",              providers.create_provider, ADMIN, 201),
    Route("GET",    "/v1/providers/{provider_id}", providers.get_provider,   ADMIN),
    Route("PATCH",  "/v1/providers/{provider_id}", providers.update_provider, ADMIN),
    Route("DELETE", "/v1/providers/{provider_id}", providers.delete_provider, ADMIN),

    Route("GET",    "/v1/config",                 config.get_config,     ADMIN),
    Route("PATCH",  "/v1/config",                 config.update_config,  ADMIN),

    Route("GET",    "/v1/logs",                   logs.list_logs,        LABEL),
    Route("GET",    "/v1/logs/{log_id}",          logs.get_log,          LABEL),
    Route("PUT",    "/v1/logs/{log_id}/label",    labels.label_log,      LABEL),
    Route("DELETE", "/v1/logs/{log_id}/label",    labels.unlabel_log,    LABEL),

    Route("GET",    "/v1/labels",                 labels.list_labels,    LABEL),
    Route("POST",   "/v1/labels",                 labels.label_many,     LABEL,
          max_body_bytes=_BULK_BYTES),
    Route("GET",    "/v1/labels/queue",           queue.list_queue,      LABEL),
    Route("GET",    "/v1/labels/stats",           label_stats.show_label_stats, LABEL),
    Route("GET",    "/v1/labels/{query_hash}/history", labels.list_history, LABEL),

    Route("GET",    "/v1/analytics",              analytics.show_analytics, ADMIN),
    Route("POST",   "/v1/analytics/rebuild",      analytics.rebuild,     ADMIN),

    Route("GET",    "/v1/audit",                  audit.list_audit,      ADMIN),

    Route("GET",    "/healthz",                   health.show_health,    PUBLIC),
    Route("GET",    "/openapi.json",              health.show_openapi,   PUBLIC),
    Route("GET",    "/metrics",                   metrics.show_metrics,  ADMIN),
)
# fmt: on
