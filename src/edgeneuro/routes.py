"""The HTTP surface, whole: method, path, handler, access, status of a success if it is not 200."""

from edgeneuro.controlplane import agents, audit, datasets, health, logs, models
from edgeneuro.synapsecore import api as synapsecore
from edgeneuro.web.auth import Access
from edgeneuro.web.routing import Route

PUBLIC, ROUTE, LABEL, ADMIN = Access.PUBLIC, Access.ROUTE, Access.LABEL, Access.ADMIN

# fmt: off
ROUTES = (
    Route("POST",   "/v1/route",                  synapsecore.route,     ROUTE),

    Route("GET",    "/v1/models",                 models.list_models,    ROUTE),
    Route("POST",   "/v1/models/select",          models.select_model,   ADMIN),
    Route("GET",    "/v1/models/{model_id:path}", models.get_model,      ROUTE),

    Route("GET",    "/v1/agents",                 agents.list_agents,    ADMIN),
    Route("POST",   "/v1/agents",                 agents.create_agent,   ADMIN, 201),
    Route("GET",    "/v1/agents/{agent_id}",      agents.get_agent,      ADMIN),
    Route("PATCH",  "/v1/agents/{agent_id}",      agents.update_agent,   ADMIN),
    Route("DELETE", "/v1/agents/{agent_id}",      agents.delete_agent,   ADMIN),

    Route("GET",    "/v1/logs",                   logs.list_logs,        LABEL),

    Route("GET",    "/v1/datasets/export",        datasets.export_labels, LABEL),
    Route("GET",    "/v1/datasets/stats",         datasets.show_stats,   LABEL),
    Route("POST",   "/v1/datasets/import",        datasets.import_labels, LABEL,
          max_body_bytes=datasets.MAX_FILE_BYTES),

    Route("GET",    "/v1/audit",                  audit.list_audit,      ADMIN),

    Route("GET",    "/healthz",                   health.show_health,    PUBLIC),
    Route("GET",    "/openapi.json",              health.show_openapi,   PUBLIC),
    Route("GET",    "/metrics",                   health.show_metrics,   ADMIN),
)
# fmt: on
