"""The set of routing tests: what an operator keeps in a file beside the agents, checked line by
line, stored as a whole."""

import json

from pydantic import ValidationError

from edgeneuro import bounded_json
from edgeneuro.call import Call
from edgeneuro.controlplane.access.audit import commit
from edgeneuro.controlplane.labels.import_rows import Row, RowFault, read_rows
from edgeneuro.domain.proposal import fingerprint
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.domain.routing_test import (
    MAX_TESTS,
    RoutingTest,
    RoutingTestRun,
    RoutingTestSet,
    RoutingTestsQuery,
)
from edgeneuro.errors import ConflictError, InvalidLinesError, InvalidRequestError, LineFault
from edgeneuro.store import routing_tests as store
from edgeneuro.store.database import Database
from edgeneuro.store.routing_tests import StoredTests, newest_run
from edgeneuro.web.handler import invalid_request
from edgeneuro.web.response import Reply, Response


async def show_routing_tests(
    call: Call, query: RoutingTestsQuery
) -> Reply[RoutingTestSet] | Response:
    """Read the routing tests: as an object, or with `format` "jsonl" as the file."""
    found = await store.find_set(call.services.db)
    if query.format == "json":
        return Reply(_shown(found, await call.services.routing.current()))
    items = [] if found is None else found.items
    lines = [json.dumps(each, ensure_ascii=False) + "\n" for each in items]
    disposition = 'attachment; filename="routing_tests.jsonl"'
    headers = {"content-type": "application/jsonl", "content-disposition": disposition}
    return Response(200, "".join(lines), headers)


async def replace_routing_tests(call: Call, body: bytes) -> RoutingTestSet:
    """Replace the stored routing tests: JSON Lines with one test per line, a JSON array, or an
    object with `items`. Every test is checked before any is stored; an empty array removes all
    tests."""
    tests = _read(_text(body))
    services = call.services
    before = await store.find_set(services.db)
    change = store.delete_set()
    after = None
    if tests:
        by = call.credential.key_id
        after = store.new_set(tests, now_ms=services.now_ms(), by=by)
        change = store.store_set(after)
    await commit(
        call,
        [change],
        action="update",
        resource="routing_tests",
        resource_id="routing_tests",
        before=None if before is None else before.identity,
        after=None if after is None else after.identity,
    )
    return _shown(after, await services.routing.current())


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequestError(
            "The file is not UTF-8; save it as UTF-8, and send that.", code="unsupported_file"
        ) from error


def _read(text: str) -> list[RoutingTest]:
    """Raises InvalidLinesError where any line is wrong."""
    tests: list[RoutingTest] = []
    lines: dict[str, int] = {}
    faults: list[LineFault] = []
    for line, found in read_rows(_items_of_object(text), "jsonl"):
        if len(tests) + len(faults) >= MAX_TESTS:
            raise InvalidRequestError(
                f"There are more than {MAX_TESTS:,} tests; keep those that matter most.",
                code="too_many_lines",
            )
        try:
            if isinstance(found, RowFault):
                raise found
            test = _test(found)
            first = lines.setdefault(test.id, line)
            if first != line:
                raise RowFault("query", f"query: line {first} asks the same; keep one of them")
            tests.append(test)
        except RowFault as fault:
            faults.append(LineFault(line, fault.param, fault.message))
    if faults:
        first_fault = faults[0]
        raise InvalidLinesError(
            f"{len(faults)} of the tests are wrong, so nothing was stored. The first is line"
            f" {first_fault.line}: {first_fault.message}.",
            faults,
        )
    if not tests and text.strip() != "[]":
        raise InvalidRequestError(
            "There are no tests; send some, or [] to take all out.", code="empty_file"
        )
    return tests


def _items_of_object(text: str) -> str:
    """An object as GET shows it becomes the array of its items."""
    if not text.lstrip().startswith("{"):
        return text
    try:
        whole = bounded_json.loads(text)
    except bounded_json.InvalidJsonError:
        return text  # several lines
    if isinstance(whole, dict) and isinstance(whole.get("items"), list):
        return json.dumps(whole["items"])
    return text


def _test(found: Row) -> RoutingTest:
    try:
        test = RoutingTest.model_validate(found)
    except ValidationError as error:
        wrong = invalid_request(error)
        raise RowFault(wrong.param, wrong.message.rstrip(".")) from error
    refused = set(test.must_not or ())
    if not test.expects and not refused:
        raise RowFault(
            "expect", "expect: this field is missing; name the agent, null for none, or `must_not`"
        )
    if test.expect is not None and test.expect in refused:
        raise RowFault("must_not", f"must_not: {test.expect!r} is also what is expected")
    if test.expect is not None and test.candidates and test.expect not in test.candidates:
        raise RowFault("candidates", f"candidates: {test.expect!r}, which is expected, is missing")
    return test


def _shown(found: StoredTests | None, config: RoutingConfig) -> RoutingTestSet:
    if found is None:
        return RoutingTestSet(unknown_agents=[], items=[])
    named = {
        agent
        for each in found.items
        for agent in (each.get("expect"), *each.get("must_not", ()), *each.get("candidates", ()))
        if agent is not None
    }
    return RoutingTestSet(
        **found.identity.model_dump(exclude={"object"}),
        unknown_agents=sorted(named - config.agents.keys()),
        items=found.items,
    )


# The check by routing tests, where the setting `routing_tests_required` is on: what is selected
# must have passed them as it would route, with the agents and the tests as they are now.


async def require_tests(db: Database, config: RoutingConfig, proposed: RoutingConfig) -> None:
    """`proposed` is the configuration with the selection. Raises ConflictError
    `routing_tests_failed`."""
    if not config.routing_tests_required:
        return
    run = await newest_run(db, fingerprint=fingerprint(proposed))
    if run is None or not run.passed:
        raise ConflictError(
            f"Routing tests failed: {_why(run, config, proposed)}; or select with `check` false.",
            code="routing_tests_failed",
            param="check",
        )


def _why(run: RoutingTestRun | None, config: RoutingConfig, proposed: RoutingConfig) -> str:
    if run is None:
        return (
            "no run has tried this selection with the agents, tests and settings as they are now"
            f" (`routing_tests_required`). Start one: POST /v1/routing-tests/runs"
            f" {_body(config, proposed)}"
        )
    outcome = run.outcome
    wrong = 0 if outcome is None else outcome.failed + outcome.errors
    return (
        f"{wrong} of {run.tests} tests did not pass in the newest run with this selection. See GET"
        f" /v1/routing-tests/runs/{run.id}/results?only=failed"
    )


def _body(config: RoutingConfig, proposed: RoutingConfig) -> str:
    if proposed.active.id != config.active.id:
        return f'{{"model_id": "{proposed.active.id}"}}'
    if proposed.classifier != config.classifier:
        return f'{{"classifier_id": "{proposed.classifier}"}}'
    return "{}"
