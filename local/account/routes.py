"""Cloudflare's API of an account, as far as wrangler and a deployment call it.

Each step can be made to fail by its name, as `d1:create` or `workers:upload`.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request

from local.account.database import Database, QueryError
from local.account.state import Account
from local.account.transfers import file_table, transfer_table
from local.account.worker_routes import worker_table
from local.account.workers import WorkerError
from local.answers import Answer
from local.api_steps import named_step
from local.envelope import Endpoint, failure, json_only, page, result
from local.http import read_json
from local.serving import Serving
from local.uploads import UploadError

_API = "/client/v4"
_ACCOUNT = f"{_API}/accounts/{{account}}"
Table = list[tuple[str, str, str, Endpoint]]


def account_table(account: Account, serving: Serving) -> list[tuple[str, str, Endpoint]]:
    own = [*_general(account), *_databases(account), *worker_table(_ACCOUNT, account)]
    steps = [
        (method, path, named_step(step, json_only(endpoint), serving, _refusing))
        for method, path, step, endpoint in own
    ]
    return [*steps, *file_table(account)]


def _general(account: Account) -> Table:
    listed = {"id": account.id, "name": account.name, "type": "standard"}

    async def accounts(request: Request) -> Answer:
        return page(request, [listed], per_page=20, shown=dict)

    async def memberships(request: Request) -> Answer:
        return page(request, [{"id": "m", "account": listed}], per_page=20, shown=dict)

    async def user(request: Request) -> Answer:
        return result({"id": "u", "email": "local@example.com"})

    async def subscriptions(request: Request) -> Answer:
        return result([{"id": "s", "rate_plan": {"id": account.plan, "public_name": account.plan}}])

    async def subdomain(request: Request) -> Answer:
        if not account.subdomain:
            return failure(404, 10007, "You do not have a workers.dev subdomain")
        return result({"subdomain": account.subdomain})

    async def set_subdomain(request: Request) -> Answer:
        account.subdomain = str((await read_json(request))["subdomain"])
        return result({"subdomain": account.subdomain})

    async def zones(request: Request) -> Answer:
        named = request.query_params.get("name")
        found = [{"id": f"zone-{each}", "name": each} for each in account.zones if each == named]
        return page(request, found, per_page=20, shown=dict)

    async def gateways(request: Request) -> Answer:
        return page(request, account.gateways, per_page=20, shown=lambda each: {"id": each})

    async def create_gateway(request: Request) -> Answer:
        name = str((await read_json(request))["id"])
        if name in account.gateways:
            return failure(400, 7001, "The gateway exists already")
        account.gateways.append(name)
        return result({"id": name})

    return [
        ("GET", f"{_API}/accounts", "accounts:list", accounts),
        ("GET", f"{_API}/memberships", "accounts:list", memberships),
        ("GET", f"{_API}/user", "accounts:list", user),
        ("GET", f"{_API}/zones", "zones:list", zones),
        ("GET", f"{_ACCOUNT}/subscriptions", "subscriptions:list", subscriptions),
        ("GET", f"{_ACCOUNT}/workers/subdomain", "subdomain:read", subdomain),
        ("PUT", f"{_ACCOUNT}/workers/subdomain", "subdomain:write", set_subdomain),
        ("GET", f"{_ACCOUNT}/ai-gateway/gateways", "gateways:list", gateways),
        ("POST", f"{_ACCOUNT}/ai-gateway/gateways", "gateways:create", create_gateway),
    ]


def _databases(account: Account) -> Table:
    async def list_all(request: Request) -> Answer:
        named = request.query_params.get("name")
        found = [each for each in account.databases if named in (None, each.name)]
        return page(request, found, per_page=20, shown=lambda each: each.as_dict())

    async def create(request: Request) -> Answer:
        name = str((await read_json(request))["name"])
        if account.database(name):
            return failure(400, 7502, f"A database with the name {name!r} already exists")
        made = Database(name)
        account.databases.append(made)
        return result(made.as_dict())

    def of_one(answer: Callable[[Database, object], Answer]) -> Endpoint:
        async def endpoint(request: Request) -> Answer:
            found = account.database(request.path_params["database"])
            if found is None:
                return failure(404, 7404, "The database was not found")
            body = await read_json(request) if request.method == "POST" else None
            return answer(found, body)

        return endpoint

    def query(database: Database, body: object) -> Answer:
        if not isinstance(body, dict) or not isinstance(body.get("sql"), str):
            return failure(400, 7400, "The body needs the text sql")
        try:
            return result(database.query(body["sql"], body.get("params") or ()))
        except QueryError as error:
            return failure(400, 7500, str(error))

    one = f"{_ACCOUNT}/d1/database/{{database}}"
    return [
        ("GET", f"{_ACCOUNT}/d1/database", "d1:list", list_all),
        ("POST", f"{_ACCOUNT}/d1/database", "d1:create", create),
        ("GET", one, "d1:list", of_one(lambda database, _: result(database.as_dict()))),
        ("POST", f"{one}/query", "d1:query", of_one(query)),
        *transfer_table(one, account),
    ]


async def _refusing(endpoint: Endpoint, request: Request) -> Answer:
    if not request.headers.get("authorization", "").startswith("Bearer "):
        return failure(403, 10000, "Authentication error")
    try:
        return await endpoint(request)
    except WorkerError as error:
        return failure(400, error.code, str(error))
    except UploadError as error:
        return failure(400, 10021, str(error))
    except (KeyError, TypeError, ValueError) as error:
        return failure(400, 7001, f"The body is not what the endpoint takes: {error}")
