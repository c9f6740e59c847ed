"""Applies what was replayed: the same changes, all in one batch, each with its audit row."""

from edgeneuro.call import Call
from edgeneuro.controlplane.access.audit import Change, audited, commit
from edgeneuro.controlplane.agents import plan_creation, plan_update
from edgeneuro.controlplane.evaluations.routing_tests import require_tests
from edgeneuro.controlplane.learning.classifiers import check_stored, require_usable
from edgeneuro.controlplane.models.models import selected_settings
from edgeneuro.controlplane.models.promotion_check import check_model
from edgeneuro.controlplane.proposals import Present, propose, touched
from edgeneuro.controlplane.replays.replays import find_stored, get_replay
from edgeneuro.domain.agent import AgentCreate
from edgeneuro.domain.config_models import DecidingSettings
from edgeneuro.domain.model import ClassifierCheck, ModelSelection, PromotionCheck
from edgeneuro.domain.proposal import Proposal, changed_rules
from edgeneuro.domain.replay import ProposedChanges, Replay, ReplayApply, field_of_changes
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.domain.rule import Rule
from edgeneuro.errors import ConflictError, ConstraintError, InvalidRequestError
from edgeneuro.store import replays as store
from edgeneuro.store.config import delete_settings, store_settings
from edgeneuro.store.database import Statement
from edgeneuro.store.rules import insert_rule, update_rule
from edgeneuro.store.sql import rfc3339


async def apply_replay(call: Call, replay_id: str, body: ReplayApply) -> Replay:
    """Make the changes of a replay that has succeeded, all of them or none. A second request
    changes nothing more. A changed model or classifier passes the same checks as with POST
    /v1/models/select. Refused if what the changes touch is no longer as it was when the replay
    started."""
    stored = await find_stored(call.services, replay_id)
    replay = stored.replay
    if replay.applied_at is not None:
        return await get_replay(call, replay_id)
    if replay.state != "succeeded":
        raise ConflictError(
            f"This replay is {replay.state}; only one that has succeeded can be applied.",
            code="replay_not_succeeded",
        )
    changes = ProposedChanges.model_validate(replay.changes)
    application = await _Application.of(call, changes, stored.basis["touched"])
    await application.check(body)
    batch = [
        store.require_unapplied(replay_id, at_revision=application.config.revision),
        *await application.statements(),
        store.mark_applied(replay_id, now_ms=call.services.now_ms(), by=call.credential.key_id),
    ]
    try:
        await commit(
            call, batch, action="apply", resource="replay", resource_id=replay_id, after=changes
        )
    except ConstraintError as error:
        again = await get_replay(call, replay_id)
        if again.applied_at is not None:  # by another request at the same time
            return again
        raise ConflictError(
            "The configuration has changed at the same time; nothing was applied. Try again.",
            code="changed_meanwhile",
        ) from error
    return await get_replay(call, replay_id)


class _Application:
    """The changes against the configuration as it is now."""

    def __init__(
        self, call: Call, proposal: Proposal, present: Present, config: RoutingConfig
    ) -> None:
        self._call = call
        self._proposal = proposal
        self._present = present
        self.config = config
        self._proposed = config
        self._model_check: PromotionCheck | None = None
        self._classifier_check: ClassifierCheck | None = None

    @classmethod
    async def of(
        cls, call: Call, changes: ProposedChanges, before: dict[str, str | None]
    ) -> "_Application":
        """`before` is what the changes touch, as it was. Raises ConflictError `replay_outdated`."""
        services, proposal = call.services, changes.proposal()
        config = await services.routing.fresh()
        present = await Present.read(services, proposal)
        now = touched(config, present, proposal)
        others = sorted(
            name for name in before.keys() | now.keys() if before.get(name) != now.get(name)
        )
        if others:
            raise ConflictError(
                f"Changed since the replay started: {', '.join(others)}. Start another replay with"
                " these changes.",
                code="replay_outdated",
            )
        found = cls(call, proposal, present, config)
        try:
            found._proposed = await propose(
                services, config, proposal, present=present, named=field_of_changes
            )
        except InvalidRequestError as error:
            raise ConflictError(
                f"The changes can no longer be made: {error.message}", code="replay_outdated"
            ) from error
        return found

    async def check(self, body: ReplayApply) -> None:
        """The checks of POST /v1/models/select for what is selected. Raises ConflictError."""
        call, config, proposal = self._call, self.config, self._proposal
        services = call.services
        model_id = proposal.model_id
        changes_model = model_id is not None and self._proposed.active.id != config.active.id
        if changes_model and body.check:
            self._model_check = await check_model(services.db, config, self._proposed.active)
        classifier_id = proposal.classifier_id
        changes_classifier = classifier_id is not None and classifier_id != config.classifier
        if classifier_id is not None and changes_classifier:
            made = await require_usable(call, classifier_id, param="changes.classifier")
            if body.check is not False:
                self._classifier_check = await check_stored(services, config, made)
        if body.check is not False and (changes_model or changes_classifier):
            await require_tests(services.db, config, self._proposed)

    async def statements(self) -> list[Statement]:
        changes = [
            *await self._agents(),
            *self._rules(),
            *self._settings(),
            *self._model(),
            *self._classifier(),
        ]
        return [each for change in changes for each in audited(self._call, change)]

    async def _agents(self) -> list[Change]:
        """One after the other: a change sees what those before it have made."""
        found: list[Change] = []
        known = {agent.id: agent for agent in self._present.agents}
        for change in self._proposal.agents:
            before = known.get(change.id)
            if before is None:
                given = change.model_dump(include=change.model_fields_set)
                planned = await plan_creation(self._call, AgentCreate.model_validate(given))
            else:
                planned = await plan_update(self._call, before, change)
            if planned.agent.default:
                known = {
                    key: agent.model_copy(update={"default": False}) for key, agent in known.items()
                }
            known[change.id] = planned.agent
            found.append(planned.change)
        return found

    def _rules(self) -> list[Change]:
        found: list[Change] = []
        rules = list(self._present.rules)
        now_ms = self._call.services.now_ms()
        for change in self._proposal.rules:
            rules_after = changed_rules(rules, [change])
            before = next((rule for rule in rules if rule.id == change.id), None)
            if before is None:
                made = next(rule for rule in rules_after if rule.id == "")
                after = self._new_rule(made, now_ms)
                statements = insert_rule(after)
            else:
                after = next(rule for rule in rules_after if rule.id == before.id)
                fields = change.model_fields_set - {"id"}
                given = {name: getattr(after, name) for name in fields}
                statements = update_rule(before.id, given, now_ms=now_ms)
            rules = [after if rule.id in ("", after.id) else rule for rule in rules_after]
            found.append(
                Change(
                    statements=statements,
                    action="create" if before is None else "update",
                    resource="rule",
                    resource_id=after.id,
                    before=before,
                    after=after,
                )
            )
        return found

    def _new_rule(self, made: Rule, now_ms: int) -> Rule:
        created = rfc3339(now_ms)
        return made.model_copy(
            update={
                "id": self._call.services.new_id("rul"),
                "created_at": created,
                "updated_at": created,
            }
        )

    def _settings(self) -> list[Change]:
        values = self._proposal.setting_values
        stored = {name: value for name, value in values.items() if value is not None}
        gone = [name for name in values if name not in stored]
        statements = [delete_settings(gone)] if gone else []
        if stored:
            statements.append(store_settings(stored, now_ms=self._call.services.now_ms()))
        if not statements:
            return []
        before = DecidingSettings(**{name: getattr(self.config, name) for name in values})
        after = DecidingSettings(**{name: getattr(self._proposed, name) for name in values})
        change = Change(
            statements=statements,
            action="update",
            resource="config",
            resource_id="config",
            before=before,
            after=after,
        )
        return [change]

    def _model(self) -> list[Change]:
        config, model = self.config, self._proposed.active
        if self._proposal.model_id is None or model.id == config.active.id:
            return []
        settings = selected_settings(config, model)
        return [
            Change(
                statements=[store_settings(settings, now_ms=self._call.services.now_ms())],
                action="select",
                resource="model",
                resource_id=model.id,
                before=ModelSelection(
                    active=config.active.id, previous=config.stored.previous_model
                ),
                after=ModelSelection(
                    active=model.id, previous=config.active.id, check=self._model_check
                ),
            )
        ]

    def _classifier(self) -> list[Change]:
        config, proposed = self.config, self._proposed
        if proposed.classifier == config.classifier:
            return []
        statement = delete_settings(["classifier"])
        if proposed.classifier is not None:
            settings = {"classifier": proposed.classifier}
            statement = store_settings(settings, now_ms=self._call.services.now_ms())
        return [
            Change(
                statements=[statement],
                action="select",
                resource="classifier",
                resource_id=proposed.classifier or config.classifier or "",
                before=ModelSelection(active=config.classifier, previous=None),
                after=ModelSelection(
                    active=proposed.classifier,
                    previous=config.classifier,
                    check=self._classifier_check,
                ),
            )
        ]
