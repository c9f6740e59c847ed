"""The endpoints of Workers: upload, versions and deployments, assets, secrets, addresses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request

from local.account.state import Account
from local.account.workers import Worker, take, version_of
from local.answers import Answer, json_answer
from local.envelope import Endpoint, failure, result
from local.http import read_json
from local.uploads import upload_of

OfWorker = Callable[[Request, Worker], Awaitable[Answer]]
_STARTUP_MS = 900


def worker_table(base: str, account: Account) -> list[tuple[str, str, str, Endpoint]]:
    def of(endpoint: OfWorker, code: int = 10007) -> Endpoint:
        async def found(request: Request) -> Answer:
            worker = account.workers.get(request.path_params["worker"])
            if worker is None:
                return failure(404, code, "This Worker does not exist on your account.")
            return await endpoint(request, worker)

        return found

    async def upload(request: Request) -> Answer:
        version = version_of(upload_of(request))
        name = request.path_params["worker"]
        worker = account.workers.setdefault(name, Worker(name))
        take(worker, version)
        worker.live = version.id
        return result({"id": name, "tag": worker.tag, **_uploaded(version.id)})

    async def session(request: Request) -> Answer:
        manifest = (await read_json(request))["manifest"]
        missing = sorted({each["hash"] for each in manifest.values()} - account.assets)
        jwt = "upload" if missing else "complete"
        return result({"jwt": jwt, "buckets": [missing] if missing else []})

    async def upload_assets(request: Request) -> Answer:
        account.assets |= {name for name, _ in upload_of(request).multi_items()}
        envelope = {"result": {"jwt": "complete"}, "success": True, "errors": [], "messages": []}
        return json_answer(201, envelope)

    async def domains(request: Request) -> Answer:
        host, service = map(request.query_params.get, ("hostname", "service"))
        return result(
            [
                {"hostname": each, "service": worker.name, "environment": "production"}
                for worker in account.workers.values()
                for each in worker.domains
                if host in (None, each) and service in (None, worker.name)
            ]
        )

    async def add_domain(request: Request) -> Answer:
        body = await read_json(request)
        host, worker = str(body["hostname"]), account.workers.get(str(body["service"]))
        if worker is None:
            return failure(404, 10007, "This Worker does not exist on your account.")
        if any(host in other.domains for other in account.workers.values() if other is not worker):
            return failure(409, 100116, f"{host} is already a domain of another Worker")
        worker.domains = sorted({*worker.domains, host})
        return result({"hostname": host, "service": worker.name, "environment": "production"})

    scripts = f"{base}/workers/scripts/{{worker}}"
    return [
        ("PUT", scripts, "workers:upload", upload),
        ("POST", f"{scripts}/assets-upload-session", "assets:session", session),
        ("POST", f"{base}/workers/assets/upload", "assets:upload", upload_assets),
        ("GET", f"{base}/workers/domains", "domains:list", domains),
        ("PUT", f"{base}/workers/domains", "domains:write", add_domain),
        ("GET", f"{base}/workers/services/{{worker}}", "workers:read", of(_service, 10090)),
        ("GET", f"{base}/workers/workers/{{worker}}", "workers:read", of(_worker)),
        ("GET", f"{scripts}/settings", "workers:read", of(_settings)),
        ("GET", f"{scripts}/secrets", "workers:read", of(_secrets)),
        ("PUT", f"{scripts}/secrets", "workers:secret", of(_set_secret)),
        ("GET", f"{scripts}/deployments", "workers:read", of(_deployments)),
        ("GET", f"{scripts}/versions/{{version}}", "workers:read", of(_version)),
        ("POST", f"{scripts}/versions", "workers:upload", of(_upload_version)),
        ("POST", f"{scripts}/deployments", "workers:deploy", of(_deploy)),
        ("PATCH", f"{scripts}/script-settings", "workers:settings", of(_patch)),
        ("PUT", f"{scripts}/schedules", "workers:schedules", of(_schedules)),
        ("GET", f"{scripts}/subdomain", "workers:read", of(_address)),
        ("POST", f"{scripts}/subdomain", "workers:subdomain", of(_set_address)),
    ]


def _uploaded(version_id: str) -> dict[str, Any]:
    """What wrangler reads of a new version."""
    return {
        "deployment_id": version_id,
        "startup_time_ms": _STARTUP_MS,
        "metadata": {"has_preview": False},
        "resources": {"script": {"etag": version_id}, "script_runtime": {}},
    }


async def _service(request: Request, worker: Worker) -> Answer:
    script = {"id": worker.name, "tag": worker.tag, "tags": [], "last_deployed_from": "wrangler"}
    environment = {"environment": "production", "script": script}
    return result({"id": worker.name, "default_environment": environment})


async def _worker(request: Request, worker: Worker) -> Answer:
    address = {"enabled": worker.on_workers_dev, "previews_enabled": worker.previews}
    return result({"id": worker.tag, "name": worker.name, "subdomain": address})


async def _settings(request: Request, worker: Worker) -> Answer:
    return result({"bindings": worker.bindings(), "tags": []})


async def _secrets(request: Request, worker: Worker) -> Answer:
    return result([{"name": each, "type": "secret_text"} for each in sorted(worker.secrets)])


async def _set_secret(request: Request, worker: Worker) -> Answer:
    name = str((await read_json(request))["name"])
    worker.secrets.add(name)
    return result({"name": name, "type": "secret_text"})


async def _deployments(request: Request, worker: Worker) -> Answer:
    shares = [{"version_id": worker.live, "percentage": 100}]
    live = {"id": worker.live, "source": "wrangler", "strategy": "percentage", "versions": shares}
    return result({"deployments": [live] if worker.live else []})


async def _version(request: Request, worker: Worker) -> Answer:
    wanted = request.path_params["version"]
    found = next((each for each in worker.versions if each.id == wanted), None)
    if found is None:
        return failure(404, 10007, "The version was not found.")
    resources = {"bindings": worker.bindings(), "script": {"etag": found.id}, "script_runtime": {}}
    return result({"id": found.id, "metadata": {}, "resources": resources})


async def _upload_version(request: Request, worker: Worker) -> Answer:
    version = version_of(upload_of(request))
    take(worker, version)
    return result({"id": version.id, **_uploaded(version.id)})


async def _deploy(request: Request, worker: Worker) -> Answer:
    worker.live = str((await read_json(request))["versions"][0]["version_id"])
    return result({"id": worker.live})


async def _patch(request: Request, worker: Worker) -> Answer:
    return result(await read_json(request))


async def _schedules(request: Request, worker: Worker) -> Answer:
    worker.schedules = [str(each["cron"]) for each in await read_json(request)]
    return result({"schedules": [{"cron": each} for each in worker.schedules]})


async def _address(request: Request, worker: Worker) -> Answer:
    return result({"enabled": worker.on_workers_dev, "previews_enabled": worker.previews})


async def _set_address(request: Request, worker: Worker) -> Answer:
    body = await read_json(request)
    worker.on_workers_dev = bool(body.get("enabled"))
    worker.previews = bool(body.get("previews_enabled"))
    return await _address(request, worker)
