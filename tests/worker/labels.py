"""Labels in a running product, for as long as the tests of a module need them."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx


@contextmanager
def imported(client: httpx.Client, lines: Iterable[dict[str, Any]]) -> Iterator[None]:
    """These labels are there meanwhile. Later trainings would learn them too, which takes seconds
    of CPU each time."""
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    report = client.post("/v1/datasets/import", content=body).raise_for_status().json()
    try:
        yield
    finally:
        client.delete(f"/v1/datasets/imports/{report['id']}").raise_for_status()


def without_classifiers(client: httpx.Client) -> None:
    """Deletes all, also those in training. None may be selected."""
    for made in client.get("/v1/classifiers").raise_for_status().json()["data"]:
        client.post(f"/v1/classifiers/{made['id']}/cancel")
        client.delete(f"/v1/classifiers/{made['id']}").raise_for_status()
