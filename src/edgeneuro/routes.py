"""The HTTP surface, whole: method, path, handler, access, status of a success if it is not 200, and
what an Idempotency-Key means to a POST if it is not the usual."""

from edgeneuro.controlplane import agents, audit, health, keys, logs, models, users
from edgeneuro.synapsecore import api as synapsecore
from edgeneuro.web.auth import Access
from edgeneuro.web.routing import Idempotency, Route

PUBLIC, ANY, READ = Access.PUBLIC, Access.ANY, Access.READ
ROUTE, LABEL, ADMIN = Access.ROUTE, Access.LABEL, Access.ADMIN
REPEATABLE, ONCE = Idempotency.REPEATABLE, Idempotency.SHOWN_ONCE

# fmt: off
ROUTES = (
    Route("POST",   "/v1/route",                  synapsecore.route,     ROUTE, 200, REPEATABLE),

    Route("GET",    "/v1/models",                 models.list_models,    ANY),
    Route("POST",   "/v1/models/select",          models.select_model,   ADMIN),
    Route("GET",    "/v1/models/{model_id:path}", models.get_model,      ANY),

    Route("GET",    "/v1/agents",                 agents.list_agents,    READ),
    Route("POST",   "/v1/agents",                 agents.create_agent,   ADMIN, 201),
    Route("GET",    "/v1/agents/{agent_id}",      agents.get_agent,      READ),
    Route("PATCH",  "/v1/agents/{agent_id}",      agents.update_agent,   ADMIN),
    Route("DELETE", "/v1/agents/{agent_id}",      agents.delete_agent,   ADMIN),

    Route("GET",    "/v1/logs",                   logs.list_logs,        READ),

    Route("GET",    "/v1/users",                  users.list_users,      ADMIN),
    Route("POST",   "/v1/users",                  users.create_user,     ADMIN, 201),
    Route("GET",    "/v1/users/{user_id}",        users.get_user,        ADMIN),
    Route("PATCH",  "/v1/users/{user_id}",        users.update_user,     ADMIN),
    Route("DELETE", "/v1/users/{user_id}",        users.delete_user,     ADMIN),

    Route("GET",    "/v1/keys",                   keys.list_keys,        ADMIN),
    Route("POST",   "/v1/keys",                   keys.create_key,       ADMIN, 201, ONCE),
    Route("GET",    "/v1/keys/{key_id}",          keys.get_key,          ADMIN),
    Route("PATCH",  "/v1/keys/{key_id}",          keys.update_key,       ADMIN),
    Route("DELETE", "/v1/keys/{key_id}",          keys.revoke_key,       ADMIN),

    Route("GET",    "/v1/audit",                  audit.list_audit,      ADMIN),

    Route("GET",    "/healthz",                   health.show_health,    PUBLIC),
    Route("GET",    "/openapi.json",              health.show_openapi,   PUBLIC),
    Route("GET",    "/metrics",                   health.show_metrics,   ADMIN),
)
# fmt: on
