"""One account, as all of its tokens see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from local.account.database import Database
from local.account.workers import Worker

ACCOUNT_ID = "0123456789abcdef0123456789abcdef"
SUBDOMAIN = "local-account"


@dataclass
class Account:
    id: str = ACCOUNT_ID
    name: str = "Local account"
    subdomain: str = SUBDOMAIN
    plan: str = "workers_paid"
    databases: list[Database] = field(default_factory=list)
    workers: dict[str, Worker] = field(default_factory=dict)
    gateways: list[str] = field(default_factory=list)
    zones: list[str] = field(default_factory=lambda: ["example.com"])
    files: dict[str, bytes] = field(default_factory=dict)  # of exports and imports
    assets: set[str] = field(default_factory=set)  # hashes of the files that are there

    def database(self, name_or_id: str) -> Database | None:
        return next((each for each in self.databases if name_or_id in (each.id, each.name)), None)

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "databases": [each.as_dict() for each in self.databases],
            "workers": [each.as_dict() for each in self.workers.values()],
            "gateways": self.gateways,
            "assets": len(self.assets),
        }
