"""The floor: the least that a Python Worker can do."""

from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):  # type: ignore[misc]  # the SDK is untyped here
    async def fetch(self, request: object) -> Response:
        return Response("hi")
