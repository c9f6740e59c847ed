"""Cloudflare's API of finetunes: make one, upload its files, list them.

There is none to change, read or delete one. Each of the three can be made to fail, as
`finetunes:create`, `finetunes:assets` and `finetunes:list`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request

from local.answers import Answer, json_answer
from local.api_steps import named_step
from local.catalogue import Model
from local.envelope import Endpoint, failure, json_only, page, result
from local.errors import AiError
from local.finetunes import MAX_FINETUNES, Finetune, FinetuneError, FinetuneStore
from local.http import read_json
from local.serving import Serving
from local.uploads import UploadError, UploadTooLargeError, upload_of

_BAD_FIELD = 7001


def finetune_table(
    base: str, serving: Serving, finetunes: FinetuneStore, models: Mapping[str, Model]
) -> list[tuple[str, str, Endpoint]]:
    async def create(request: Request) -> Answer:
        fields = _fields(await read_json(request))
        _check_model(fields["model"], models)
        return result(asdict(finetunes.create(**fields)))

    async def assets(request: Request) -> Answer:
        form = upload_of(request)
        name, file = form.get("file_name"), form.get("file")
        if not isinstance(name, str) or not isinstance(file, UploadFile):
            raise FinetuneError(400, _BAD_FIELD, "The form needs the text file_name and the file")
        finetune = finetunes.find(request.path_params["finetune"])
        if finetune is None:
            raise AiError(3037, f"Finetune {request.path_params['finetune']} not found")
        await finetunes.add_file(finetune, name, file.file, file.size or 0)
        return json_answer(200, {"success": True})

    async def list_own(request: Request) -> Answer:
        return page(request, finetunes.all(), per_page=MAX_FINETUNES, shown=_listed)

    async def list_public(request: Request) -> Answer:
        public = [finetune for finetune in finetunes.all() if finetune.public]
        return page(request, public, per_page=MAX_FINETUNES, shown=asdict)

    root = f"{base}/ai/finetunes"
    table = [
        ("POST", root, "create", json_only(create)),
        ("GET", root, "list", list_own),
        ("GET", f"{root}/public", "list", list_public),
        ("POST", f"{root}/{{finetune}}/finetune-assets", "assets", assets),
    ]
    return [
        (method, path + slash, named_step(f"finetunes:{step}", endpoint, serving, _refusing))
        for method, path, step, endpoint in table
        for slash in ("", "/")
    ]


async def _refusing(endpoint: Endpoint, request: Request) -> Answer:
    try:
        return await endpoint(request)
    except FinetuneError as error:
        return failure(error.status, error.code, str(error))
    except UploadTooLargeError as error:
        return failure(413, 3006, str(error))
    except UploadError as error:
        return failure(400, _BAD_FIELD, str(error))
    except OSError as error:
        return failure(500, 3043, f"Internal server error: {error.strerror}")


def _listed(finetune: Finetune) -> dict[str, Any]:
    fields = asdict(finetune)
    del fields["public"]
    return fields


def _fields(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise FinetuneError(400, _BAD_FIELD, "The body must be an object")
    description, public = body.get("description") or "", body.get("public") or False
    for name in ("model", "name"):
        if not isinstance(body.get(name), str) or not body[name]:
            raise FinetuneError(400, _BAD_FIELD, f"{name} is required and must be a text")
    if not isinstance(description, str) or not isinstance(public, bool):
        raise FinetuneError(400, _BAD_FIELD, "description must be a text, and public true or false")
    own = {"description": description, "public": public}
    return {"model": body["model"], "name": body["name"], **own}


def _check_model(model_id: str, models: Mapping[str, Model]) -> None:
    """MODEL_NOT_SUPPORTED was seen from the live service; its code was not."""
    model = models.get(model_id)
    if model is None:
        raise FinetuneError(400, 5007, f"No such model {model_id} or task")
    if not model.lora:
        text = f"MODEL_NOT_SUPPORTED: {model_id} does not support LoRA"
        raise FinetuneError(400, 5005, text)
