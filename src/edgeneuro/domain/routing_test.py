"""Routing tests: questions with what the router is to decide, kept by an operator in a file beside
the agents, and what a run of them came to."""

import hashlib
import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from edgeneuro.domain.agent import NO_AGENT, AgentId
from edgeneuro.domain.conversation import PreviousTurn, RouteContext
from edgeneuro.domain.decision import MetadataKey, MetadataValue
from edgeneuro.domain.fields import PageQuery, QueryText
from edgeneuro.domain.proposal import Proposal

RUN_PREFIX = "rtr"
MAX_TESTS = 1_000
MAX_BYTES = 1_000_000  # of a file; they are stored as one value, and D1 takes 2 MB
TestName = Annotated[str, StringConstraints(min_length=1, max_length=200)]
RunState = Literal["queued", "running", "succeeded", "failed", "cancelled"]
Flip = Literal["broken", "fixed", "changed"]


def _no_agent(value: object) -> object:
    return None if value == NO_AGENT else value


class RoutingTest(BaseModel):
    """`context` is the turn before the query, as in POST /v1/route. `expect` is the agent that must
    answer; null or "none": no stage may name an agent. None of `must_not` may answer. One of the
    two is required. `candidates` are the allowed agents, as in POST /v1/route; `metadata` and
    `name` are for whoever reads the result."""

    model_config = ConfigDict(extra="forbid", strict=True)

    query: QueryText
    context: RouteContext | None = None
    expect: Annotated[AgentId | None, BeforeValidator(_no_agent)] = None
    must_not: Annotated[list[AgentId], Field(min_length=1, max_length=250)] | None = None
    candidates: Annotated[list[AgentId], Field(min_length=1, max_length=250)] | None = None
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=16)] | None = None
    name: TestName | None = None

    @property
    def expects(self) -> bool:
        return "expect" in self.model_fields_set

    @property
    def id(self) -> str:
        """What is asked, and of whom: a changed expectation is the same test."""
        asked: list[Any] = [self.query, sorted(self.candidates or []), self.metadata or {}]
        if previous := PreviousTurn.of(self.context):
            asked.append(previous.identity)
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:32]

    def passes(self, *, named: str | None, answers: str | None) -> bool:
        """`named` is the agent that a stage named and that answers, `answers` whoever does, the
        fallback agent too. A test that expects the fallback agent takes it either way."""
        if answers is not None and answers in (self.must_not or ()):
            return False
        if not self.expects:
            return True
        return named is None if self.expect is None else answers == self.expect

    def content(self) -> dict[str, Any]:
        """As it was sent, for storing and for the file."""
        return self.model_dump(mode="json", exclude_unset=True)


def tests_sha256(tests: Sequence[RoutingTest]) -> str:
    """The same for the same tests, whatever their order."""
    lines = sorted(json.dumps(each.content(), sort_keys=True) for each in tests)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


class RoutingTestsIdentity(BaseModel):
    """`sha256` is the same for the same tests in another order. It and the others are null where
    there are no tests."""

    object: Literal["routing_tests"] = "routing_tests"
    tests: int = 0
    sha256: str | None = None
    updated_at: str | None = None
    updated_by: str | None = None


class RoutingTestSet(RoutingTestsIdentity):
    """The tests in the order of the file. `unknown_agents` are named in tests and not enabled: such
    a test fails."""

    unknown_agents: list[str]
    items: list[dict[str, Any]]


class RoutingTestsQuery(BaseModel):
    """`format` "jsonl" gives the file back, a test a line."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["json", "jsonl"] = "json"


class RunCreate(Proposal):
    """The changes to test; without any: the present configuration. With `labels` false no label
    decides, so that only the classifier and the models are tested."""

    labels: bool = True


class RunOutcome(BaseModel):
    """Of `tests` tests `passed` and `failed`; `errors` are those for which no model answered."""

    tests: int
    passed: int
    failed: int
    errors: int


class Flips(BaseModel):
    """Compared with the run `compared_with`: `broken` tests passed there and fail now, `fixed`
    tests the other way, `changed` tests have another agent with the same outcome. `new` and `gone`
    tests are in only one of the two runs."""

    compared_with: str
    broken: int
    fixed: int
    changed: int
    new: int
    gone: int


class RoutingTestRun(BaseModel):
    """`active` and `classifier` are those of the tested configuration, `changes` its differences
    from the present one, `passed` null until the run has succeeded. `fingerprint` is the same for
    configurations that route in the same way."""

    object: Literal["routing_tests.run"] = "routing_tests.run"
    id: str
    state: RunState
    created_at: str
    created_by: str
    started_at: str | None
    finished_at: str | None
    error: str | None
    changes: dict[str, Any]
    active: str
    classifier: str | None
    labels: bool
    threshold: float
    agents_revision: str
    prompt_version: str
    fingerprint: str
    sha256: str
    tests: int
    done: int | None = None
    passed: bool | None = None
    outcome: RunOutcome | None = None
    flips: Flips | None = None


class RunQuery(BaseModel):
    """`compare_with` is the id of another run, else the newest one before this that succeeded."""

    model_config = ConfigDict(extra="forbid")

    compare_with: Annotated[str, Field(min_length=1, max_length=64)] | None = None


class ResultsQuery(PageQuery):
    """`only` "failed" are the tests that did not pass, "flips" those that differ from the run
    `compare_with`."""

    only: Literal["failed", "flips"] | None = None
    compare_with: Annotated[str, Field(min_length=1, max_length=64)] | None = None


class RoutingTestResult(BaseModel):
    """`agent` is the agent that answers, also the fallback agent, with the `reason`; null if nobody
    does. `layer` is what decided, with this `confidence`. `failed_to_answer`: no model answered.
    `before_…` is of the run that it is compared with."""

    id: str
    test: dict[str, Any]
    passed: bool
    failed_to_answer: bool
    agent: str | None
    layer: str | None
    confidence: float | None
    reason: str | None
    flip: Flip | None
    before_agent: str | None
    before_passed: bool | None
