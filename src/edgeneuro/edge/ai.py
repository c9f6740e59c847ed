"""env.AI: Workers AI's binding, or in local development the service that stands for it."""

import inspect
from typing import Any

import js
from pyodide.ffi import JsException

from edgeneuro.edge.fetch import JsHttpResponse, network_error, stoppable
from edgeneuro.gateway.http import HttpResponse


class EdgeAi:
    def __init__(self, binding: Any) -> None:
        self._binding = binding

    async def run(
        self, model: str, inputs: dict[str, Any], options: dict[str, Any], /
    ) -> HttpResponse:
        controller = js.AbortController.new()
        raw = {"returnRawResponse": True, "signal": controller.signal}
        asked = self._binding.run(model, inputs, {**options, **raw})
        response = await stoppable(asked, controller)
        return JsHttpResponse(response.js_object, controller.abort)

    async def models(self, query: dict[str, Any], /) -> Any:
        try:
            return await self._binding.models(query)
        except JsException as error:
            raise network_error(error) from error

    async def patch_log(self, gateway_id: str, log_id: str, fields: dict[str, int], /) -> None:
        try:
            gateway = self._binding.gateway(gateway_id)
            if inspect.isawaitable(gateway):  # over a service binding
                gateway = await gateway
            await gateway.patchLog(log_id, fields)
        except JsException as error:
            raise network_error(error) from error
