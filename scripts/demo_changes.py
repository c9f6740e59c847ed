"""What `npm run demo` changes in an installation, and how it is undone: at its end, when it fails,
and, if it was killed, at the beginning of the next run. Each change is noted before it is made."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from scripts.http import Answers, HttpFailed

# With some 30 labels an agent few answers could be held to the default of 0.98.
TARGET = 0.9
LEARNING, IMPORT, CLASSIFIER, SELECTED = "learning", "import", "classifier", "selected"


class Changes:
    """`path` is where they are noted, by the address of the installation."""

    def __init__(self, api: Answers, base_url: str, path: Path) -> None:
        self._api = api
        self._base_url = base_url
        self._path = path

    def stop_learning(self) -> None:
        """A training that the router begins by itself would come before the demonstration's."""
        found = self._api.get("/v1/config")["learning"]
        if found["value"] != "off":
            self._note(LEARNING, found["value"] if found["source"] == "stored" else None)
            self._api.patch("/v1/config", {"learning": "off"})

    def import_labels(self, lines: bytes) -> dict[str, Any]:
        self._note(IMPORT, {"before": [each["id"] for each in self._imports()]})
        found = dict(self._api.post_file("/v1/datasets/import", lines))
        self._note(IMPORT, {"id": found["id"]})
        return found

    def train(self) -> dict[str, Any]:
        found = dict(self._api.post("/v1/classifiers", {"target": TARGET}))
        self._note(CLASSIFIER, found["id"])
        return found

    def enable(self, classifier: str) -> None:
        """Without the promotion check, which asks for 100 labels that no training has read."""
        self._note(SELECTED, self._api.get("/v1/models/select")["classifier"])
        self._api.post("/v1/models/select", {"model_id": classifier, "check": False})

    def keep(self) -> None:
        """The notes stay, so that the next run undoes them; the router learns again."""
        self._undo(LEARNING, self._restore_learning)

    def undo(self) -> None:
        """In the order in which it is possible; what is gone already is no failure."""
        self._undo(SELECTED, self._restore_selection)
        self._undo(CLASSIFIER, self._delete_classifier)
        self._undo(IMPORT, self._roll_back)
        self._undo(LEARNING, self._restore_learning)

    def _undo(self, name: str, work: Callable[[Any], None]) -> None:
        noted = self._noted()
        if name in noted:
            work(noted.pop(name))
            self._write(noted)

    def _restore_selection(self, classifier: str | None) -> None:
        body = {"model_id": classifier, "check": False}
        self._api.post("/v1/models/select", body if classifier else {**body, "type": "classifier"})

    def _delete_classifier(self, classifier: str) -> None:
        with suppress(HttpFailed):
            self._api.post(f"/v1/classifiers/{classifier}/cancel", {})
        with suppress(HttpFailed):
            self._api.delete(f"/v1/classifiers/{classifier}")

    def _roll_back(self, noted: dict[str, Any]) -> None:
        """An import that was cut off before its id was noted is one that was not there before."""
        found = [each["id"] for each in self._imports()]
        wanted = [noted["id"]] if "id" in noted else set(found) - set(noted["before"])
        for each in wanted:
            if each in found:  # None wrote nothing
                self._api.delete(f"/v1/datasets/imports/{each}")

    def _restore_learning(self, value: str | None) -> None:
        self._api.patch("/v1/config", {"learning": value})

    def _imports(self) -> list[dict[str, Any]]:
        return list(self._api.get("/v1/datasets/imports?limit=100")["data"])

    def _note(self, name: str, value: object) -> None:
        self._write({**self._noted(), name: value})

    def _noted(self) -> dict[str, Any]:
        return dict(self._all().get(self._base_url, {}))

    def _write(self, noted: dict[str, Any]) -> None:
        everything = {**self._all(), self._base_url: noted}
        self._path.parent.mkdir(exist_ok=True)
        self._path.write_text(json.dumps({url: each for url, each in everything.items() if each}))

    def _all(self) -> dict[str, Any]:
        if not self._path.exists():
            return {}
        return dict(json.loads(self._path.read_text(encoding="utf-8")))
