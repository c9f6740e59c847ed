"""What a checkout knows about a deployment: one file for each environment, which git ignores, so
that an update of the code meets no local change."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from scripts.paths import ROOT
from scripts.private import private_folder, write_private
from scripts.steps import StepFailed

FOLDER = ROOT / "deployments"
PRODUCTION = "production"


@dataclass
class Record:
    """`database_begun`: the database was asked for, its id is not known yet. `upload` is "begun" or
    "done", `admin_token` "made" until an upload has set it, then "set". An operator may change
    `vars` and `config`, which is merged into wrangler's configuration."""

    environment: str
    account_id: str = ""
    name: str = ""
    database_name: str = ""
    database_begun: bool = False
    database_id: str = ""
    gateway: str = ""
    domain: str = ""
    address: str = ""
    upload: str = ""
    admin_token: str = ""
    vars: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)

    def save(self, folder: Path = FOLDER) -> None:
        """Write the file as a whole; the one before stays until then."""
        private_folder(folder)
        content = asdict(self)
        del content["environment"]
        write_private(record_file(self.environment, folder), json.dumps(content, indent=2) + "\n")


def record_file(environment: str, folder: Path = FOLDER) -> Path:
    return folder / f"{environment}.json"


def read_record(environment: str, folder: Path = FOLDER) -> Record:
    """An empty record where there is no file. Raises StepFailed for one that cannot be read."""
    path = record_file(environment, folder)
    if not path.exists():
        return Record(environment)
    advice = f"repair {path}, or move it away: the deployment is then found in the account again."
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise StepFailed(f"{path} cannot be read: {error}.", advice) from error
    if problem := _problem(content):
        raise StepFailed(f"{path}: {problem}.", advice)
    return Record(environment, **content)


def _problem(content: object) -> str:
    if not isinstance(content, dict):
        return "it is no JSON object"
    kinds: Mapping[str, type] = {
        each.name: type(getattr(Record(""), each.name))
        for each in fields(Record)
        if each.name != "environment"
    }
    for name, value in content.items():
        if name not in kinds:
            return f'there is no field "{name}"; there are {", ".join(kinds)}'
        if not isinstance(value, kinds[name]):
            return f'"{name}" must be of the kind {kinds[name].__name__}'
    for name, value in content.get("vars", {}).items():
        if not isinstance(value, str):
            return f'the variable "{name}" must be a text'
    return ""
