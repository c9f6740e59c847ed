"""The documents say what exists: every link, name, setting, variable and request in them."""

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from edgeneuro.app.routes import ROUTES
from edgeneuro.domain.config import ROUTER_SETTINGS, SETTINGS
from edgeneuro.domain.config_models import ConfigPatch
from edgeneuro.domain.decision import Attempt
from edgeneuro.domain.outcome import ChosenAgent
from edgeneuro.errors import Reason
from edgeneuro.synapsecore.router import PIPELINE
from edgeneuro.web.routing import RouteTable
from local.errors import AI_ERRORS
from local.faults import EMBEDDING_KINDS, FIELDS
from scripts.api_docs import current_page
from tests.unit.documents import ROOT, Document, Request, document, documents
from tests.varied_questions import questions
from tests.worker import fault_matrix
from tests.worker.fault_matrix import MATRIX

CONFIG = tomllib.loads((ROOT / "wrangler.toml").read_text())
TABLE = RouteTable(ROUTES)
WRITTEN = documents()
OTHERS = ("ARCHITECTURE.md", "local/README.md", "docs/api.md")
PROJECT = ("CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md", "CHANGELOG.md")
LINKED = [*WRITTEN, *map(document, (*OTHERS, *PROJECT))]
SOURCES = ("src", "local", "scripts", "trainer", "bench", "public", "tests/ui")
# Fields that other products define.
FOREIGN_NAMES = {
    *("model_id", "model_name", "api_base", "api_key_name", "service_tier", "extra_body"),
    *("additional_properties", "workers_trace_events"),
}
MAX_README_LINES = 150
MIN_REASON = 10  # characters
OWN_VARIABLES = {"CRON_TOKEN"}  # `npm start` makes it for each run; nobody sets it


def ids(values: list[Document]) -> list[str]:
    return [each.name for each in values]


@pytest.fixture(scope="module")
def source_words() -> set[str]:
    """All words of the product's sources."""
    words: set[str] = set()
    files = [ROOT / name for name in ("wrangler.toml", "schema.sql", "package.json")]
    files += (ROOT / ".github" / "workflows").glob("*.yml")
    for folder in SOURCES:
        files += (path for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".js"))
    for path in files:
        words.update(re.findall(r"\w+", path.read_text(encoding="utf-8")))
    return words


def test_the_readme_is_short() -> None:
    assert len(document("README.md").text.splitlines()) <= MAX_README_LINES


@pytest.mark.parametrize("page", LINKED, ids=ids(LINKED))
def test_every_link_leads_somewhere(page: Document) -> None:
    broken = []
    for link in page.links:
        path, _, anchor = link.partition("#")
        target = (ROOT / page.name).parent / path if path else ROOT / page.name
        name = str(target.resolve().relative_to(ROOT))
        if not target.exists() or (anchor and anchor not in document(name).anchors):
            broken.append(link)
    assert broken == []


def test_the_index_has_every_page() -> None:
    linked = {link.partition("#")[0] for link in document("docs/README.md").links}
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages <= linked


def test_the_page_of_the_api_is_current() -> None:
    assert document("docs/api.md").text == current_page(), "run: npm run api-docs"


@pytest.mark.parametrize("page", WRITTEN, ids=ids(WRITTEN))
def test_every_endpoint_that_is_named_exists(page: Document) -> None:
    named = re.findall(r"`(GET|POST|PUT|PATCH|DELETE) (/[^\s`?]*)", page.text)
    known = {(route.method, route.path.replace(":path}", "}")) for route in ROUTES}
    assert [each for each in named if each not in known] == []


def all_requests() -> list[Request]:
    return [request for page in WRITTEN for request in page.requests]


@pytest.mark.parametrize("request_", all_requests(), ids=str)
def test_every_request_is_one_that_its_endpoint_takes(request_: Request) -> None:
    found = TABLE.find(request_.method, request_.path)
    takes_json = found.handler.body is not None and request_.body is not None
    body = request_.body if request_.body is not None else b""
    handler = found.handler
    if not takes_json and handler.body is not None:
        return  # a file or a form
    handler.arguments(body, request_.query, found.path_values)


def test_the_requests_are_found() -> None:
    """So that a change of how commands are written does not end the test above."""
    paths = {request.path for request in all_requests()}
    assert {"/v1/route", "/v1/chat/completions", "/v1/loras", "/v1/analytics"} <= paths
    assert len(all_requests()) >= 25


@pytest.mark.parametrize("page", WRITTEN, ids=ids(WRITTEN))
def test_blocks_of_code_can_be_read(page: Document) -> None:
    for block in page.code("python"):
        compile(block, page.name, "exec")
    for block in page.code("json"):
        for value in [block] if block.startswith("{\n") else block.splitlines():
            json.loads(value)


@pytest.mark.parametrize("page", WRITTEN, ids=ids(WRITTEN))
def test_commands_that_are_not_run_have_a_reason(page: Document) -> None:
    """tests/worker/test_written_commands.py runs the others."""
    marked = [each for each in page.commands if each.not_run is not None]
    comments = re.findall(r"^ *<!-- not run", page.text, re.M)
    assert len(marked) == len(comments), "a comment stands before no block"
    assert [each.line for each in marked if len(each.not_run or "") < MIN_REASON] == []


@pytest.mark.parametrize("page", WRITTEN, ids=ids(WRITTEN))
def test_every_name_is_one_of_the_sources(page: Document, source_words: set[str]) -> None:
    names = {
        name
        for span in page.spans
        for name in re.findall(r"(?<![\w/.@-])[A-Za-z]\w*_\w+(?![\w/.…-])", span)
    }
    assert names - source_words - FOREIGN_NAMES == set()


@pytest.mark.parametrize("page", WRITTEN, ids=ids(WRITTEN))
def test_every_file_that_is_named_exists(page: Document) -> None:
    files = {str(path) for folder in (*SOURCES, "tests") for path in (ROOT / folder).rglob("*.py")}
    files.add("train_lora.py")
    named = {name for span in page.spans for name in re.findall(r"^[\w/]+\.py\b", span)}
    assert [
        name for name in named if not any(f"/{each}".endswith(f"/{name}") for each in files)
    ] == []


def test_the_table_of_the_classifiers_modules_is_complete() -> None:
    text = document("docs/classifier-design.md").text
    modules = {path.name for path in (ROOT / "src/edgeneuro/classifier").glob("*.py")}
    assert {name for name in modules - {"__init__.py"} if f"`{name}`" not in text} == set()


def test_the_classifiers_package_is_used_as_the_page_shows() -> None:
    agents = ("it_support", "hr", "none")
    labels = [
        (query, None if agent == "none" else agent)
        for agent in agents
        for query in questions(agent)
    ]
    names: dict[str, Any] = {"labels": labels}
    exec(document("docs/classifier-design.md").code("python")[0], names)
    assert names["prediction"].agent_id == "it_support"


def test_the_response_in_the_readme_has_fields_of_a_decision() -> None:
    (response,) = map(json.loads, document("README.md").code("json"))
    content = TABLE.find("POST", "/v1/route").handler.content
    assert content is not None
    assert set(response) <= set(content.model_fields)
    assert set(response["attempts"][0]) <= set(Attempt.model_fields)
    assert set(response["agent"]) <= set(ChosenAgent.model_fields)


def test_every_npm_script_that_is_named_exists() -> None:
    scripts = json.loads((ROOT / "package.json").read_text())["scripts"]
    for page in (*WRITTEN, *map(document, PROJECT)):
        assert set(re.findall(r"npm run ([\w-]+)", page.text)) <= set(scripts)


def test_every_setting_is_listed_as_it_is_declared() -> None:
    rows = {
        row[0].strip("`"): row[1:] for row in document("docs/configuration.md").table("## Settings")
    }
    assert list(rows) == list(SETTINGS)
    fields = ConfigPatch.model_json_schema()["properties"]
    for name, (default, *bounds, meaning) in rows.items():
        declared = SETTINGS[name]
        assert meaning == declared.about.text, name
        if not declared.about.variable:
            assert default.strip("`") == _written(declared.default), name
        expected = _limits(fields[name])
        assert [float(number) for number in re.findall(r"[\d.]+", "".join(bounds))] == expected, (
            name
        )


def _written(value: object) -> str:
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _limits(schema: Any) -> list[float]:
    """The lowest and the highest number, or how many items a list may have."""
    names = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "maxItems")
    kinds = [kind for kind in schema["anyOf"] if kind.get("type") != "string"]
    return [float(kind[name]) for kind in kinds for name in names if name in kind]


def test_every_variable_is_listed() -> None:
    listed = {
        name
        for page in ("docs/configuration.md", "docs/deploy.md")
        for name in re.findall(r"`([A-Z][A-Z_]+)`", document(page).text)
    }
    assert set(CONFIG["vars"]) <= listed
    assert set(variables_in_code()) - listed == OWN_VARIABLES


def variables_in_code() -> Iterator[str]:
    """Those that the Worker, the emulator and the commands read."""
    read = re.compile(r"(?:\btext|\bwords|_secret|environ\.get|\benv\.get)\(\s*\"([A-Z][A-Z_]+)\"")
    for folder in ("src/edgeneuro", "local", "scripts", "trainer"):
        for path in (ROOT / folder).rglob("*.py"):
            yield from read.findall(path.read_text(encoding="utf-8"))


def test_both_environments_have_the_same_variables_and_limits() -> None:
    local = CONFIG["env"]["local"]
    assert set(local["vars"]) == set(CONFIG["vars"])
    for name in ("assets", "triggers", "observability"):
        assert local[name] == CONFIG[name]
    # Here the id is the name of a file; an account's is not in the repository.
    [database] = ({**each, "database_id": None} for each in local["d1_databases"])
    assert [database] == [{**each, "database_id": None} for each in CONFIG["d1_databases"]]


def test_every_page_of_the_control_plane_is_listed() -> None:
    menu = (ROOT / "public" / "menu.js").read_text()
    titles = re.findall(r'^ +\["\w+", "([^"]+)", "\w+"(?:, "\w")?\],$', menu, re.M)
    listed = " ".join(cell for row in document("docs/pages.md").table("# Pages") for cell in row)
    assert len(titles) > 10 and [title for title in titles if title not in listed] == []


def test_the_settings_of_a_router_are_listed() -> None:
    rows = document("docs/routers.md").table("## Settings of a router")
    assert sorted(re.findall("`([a-z_]+)`", " ".join(row[0] for row in rows))) == sorted(
        ROUTER_SETTINGS
    )


def test_the_stages_are_listed_in_their_order() -> None:
    rows = document("docs/concepts.md").table("## Pipeline")
    assert [row[0].split("`")[1] for row in rows] == [ranker.name for ranker in PIPELINE]


def test_every_reason_is_explained() -> None:
    rows = document("docs/routing.md").table("## Reasons")
    assert [row[0].strip("`") for row in rows] == list(get_args(Reason))


def test_the_architecture_names_every_room() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    rooms = {path.name for path in (ROOT / "src" / "edgeneuro").iterdir() if path.is_dir()}
    rooms -= {"__pycache__"}
    assert all(f"`{room}/`" in text for room in rooms)
    tables = re.findall(r"CREATE TABLE (\w+)", (ROOT / "schema.sql").read_text())
    assert all(table in text for table in tables)


def test_the_table_of_faults_is_the_one_that_is_tried() -> None:
    text = document("docs/faults.md").text
    assert text == fault_matrix.document(), (
        "write it again: python -m tests.worker.fault_matrix > docs/faults.md"
    )


def test_every_fault_of_the_emulator_is_in_the_matrix() -> None:
    kinds = {row.emulator["kind"] for row in MATRIX if row.emulator}
    # Not faults: late answers in time and any text. "reject" is error 5006. Embedding models are
    # not called for an answer (tests/worker/test_embedding.py).
    assert kinds == set(FIELDS) - {"slow", "text", "reject"} - EMBEDDING_KINDS
    assert {row.emulator["code"] for row in MATRIX if "code" in row.emulator} == set(AI_ERRORS)
