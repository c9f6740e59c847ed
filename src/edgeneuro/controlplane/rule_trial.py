"""POST /v1/rules/test: what a rule would have changed in the newest log rows. Nothing is called and
nothing is written: what the later stages would decide among other agents is not known."""

from collections.abc import Sequence

from edgeneuro.call import Call
from edgeneuro.controlplane.rules import new_rule
from edgeneuro.domain.catalogue import find_model
from edgeneuro.domain.pattern_search import Budget, StepLimitError
from edgeneuro.domain.router_names import DEFAULT_ROUTER
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.domain.rule import (
    MAX_EXAMPLES,
    Rule,
    RuleCreate,
    RuleTest,
    RuleTestExample,
    RuleTestRequest,
    rules_of_router,
)
from edgeneuro.domain.rule_matching import EffectName, Message, apply_rules, matches
from edgeneuro.errors import NotFoundError
from edgeneuro.store.rules import LoggedDecision, list_rules, read_routed
from edgeneuro.synapsecore.rankers.rule import model_refusal

MAX_ROWS = 1_000
_PAGE = 100  # rows with texts of 8,000 characters each stay far below what an isolate can hold
# Bounds on the work of one test, for an isolate's CPU time.
_MAX_CHARACTERS = 2_000_000
_MAX_STEPS = 2_000_000


async def try_rule(call: Call, body: RuleTestRequest) -> RuleTest:
    """Test a rule before it is saved: which decisions among the newest 1,000 log rows it would
    change. No model is called."""
    others = await list_rules(call.services.db)
    others = _without(others, body.replaces)
    create = RuleCreate.model_validate(body.model_dump(exclude={"replaces", "enabled"}))
    rule = await new_rule(call, create, others=others)
    config = await call.services.routing.fresh()
    test = _Test(config, rule, others)
    before: int | None = None
    for _ in range(MAX_ROWS // _PAGE):
        rows, before = await read_routed(call.services.db, before=before, limit=_PAGE)
        if not test.run(rows) or before is None:
            break
    return test.result()


def _without(rules: list[Rule], replaced: str | None) -> list[Rule]:
    if replaced is None:
        return rules
    if all(rule.id != replaced for rule in rules):
        raise NotFoundError(
            f"There is no rule {replaced[:100]!r}. GET /v1/rules lists them.",
            code="unknown_rule",
            param="replaces",
        )
    return [rule for rule in rules if rule.id != replaced]


class _Test:
    """The rule in its place among the enabled ones, put to one row after the other."""

    def __init__(self, config: RoutingConfig, rule: Rule, others: Sequence[Rule]) -> None:
        at = rule.position - 1
        in_order = [*others[:at], rule, *others[at:]]
        self._config = config
        self._rule = rule
        self._rules = [each for each in in_order if each.enabled]
        self._budget = Budget(_MAX_STEPS)
        self._characters = _MAX_CHARACTERS
        self._tested = self._matched = self._changed = self._undecided = 0
        self._complete = True
        self._examples: list[RuleTestExample] = []

    def run(self, rows: Sequence[LoggedDecision]) -> bool:
        """Whether there is time for more rows."""
        for row in rows:
            config = self._config.for_router(row.router or DEFAULT_ROUTER)
            if config is None or not rules_of_router([self._rule], config.router):
                continue  # the router was deleted, or the rule is for another one
            self._characters -= len(row.query)
            try:
                if self._characters < 0:
                    raise StepLimitError
                self._row(row, config)
            except StepLimitError:
                self._complete = False
                return False
        return True

    def _row(self, row: LoggedDecision, config: RoutingConfig) -> None:
        """`config` is that of the router which decided."""
        message = Message(
            query=row.query,
            agents=config.agents,
            key_id=row.key_id,
            user=row.user,
            metadata=row.metadata,
            budget=self._budget,
        )
        holds = matches(self._rule.when, message)
        self._tested += 1
        if not holds:
            return
        self._matched += 1
        found = self._effect(row, message, config)
        if found is None:
            return
        effect, agent_after = found
        self._changed += 1
        self._undecided += agent_after is None
        if len(self._examples) < MAX_EXAMPLES:
            self._examples.append(
                RuleTestExample(
                    log_id=row.id,
                    created_at=row.created_at,
                    query=row.query,
                    agent_before=row.agent_id,
                    agent_after=agent_after,
                    effect=effect,
                )
            )

    def _effect(
        self, row: LoggedDecision, message: Message, config: RoutingConfig
    ) -> tuple[EffectName, str | None] | None:
        """What the rule does to the decision of the row, and the agent that it leads to; None if it
        changes nothing."""
        agent_before, wanted = row.agent_id, row.candidates
        allowed = [each for each in config.agents if wanted is None or each in wanted]
        outcome = apply_rules(
            rules_of_router(self._rules, config.router),
            message,
            allowed=allowed,
            model_refusal=lambda name: model_refusal(config, name),
        )
        # The expressions of other rules may have used up the budget.
        if self._budget.steps < 0:
            raise StepLimitError
        own = [effect for rule, effect in outcome.effective if rule.id == self._rule.id]
        if not own:
            return None
        effect = own[0]
        if effect == "agent_id":
            return None if outcome.agent_id == agent_before else (effect, outcome.agent_id)
        if outcome.agent_id is not None:  # a later rule names the agent
            return None
        if effect == "never":
            excludes = self._rule.then is not None and agent_before in (self._rule.then.never or ())
            return (effect, None) if excludes else None
        if effect == "model":
            return None if self._routed_by(row, outcome.model or "") else (effect, None)
        undecided = row.outcome in ("fallback", "none") or row.reason is not None
        return (effect, outcome.prefer) if undecided and outcome.prefer != agent_before else None

    def _routed_by(self, row: LoggedDecision, name: str) -> bool:
        """Whether this model has made the decision."""
        model = find_model(self._config.models, name)
        made_by = (row.model, row.adapter)
        return model is not None and made_by == (model.base_model, model.adapter)

    def result(self) -> RuleTest:
        return RuleTest(
            tested=self._tested,
            matched=self._matched,
            changed=self._changed,
            undecided=self._undecided,
            complete=self._complete,
            warning=self._warning(),
            examples=self._examples,
        )

    def _warning(self) -> str | None:
        if self._rule.when.is_empty:
            return "The rule has no condition: it holds for every message."
        if self._tested and self._matched == self._tested:
            return (
                f"The rule holds for all {self._tested} tested queries. Check that its conditions"
                " are not too wide."
            )
        return None
