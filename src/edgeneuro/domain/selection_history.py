"""Which model or classifier was selected when, by whom, and with what result of the check."""

from typing import Literal

from pydantic import BaseModel

from edgeneuro.domain.fields import PageQuery
from edgeneuro.domain.model import ClassifierCheck, PromotionCheck

SelectionType = Literal["model", "classifier"]


class SelectionHistoryQuery(PageQuery):
    type: SelectionType = "model"


class PastSelection(BaseModel):
    """`model_id` was in force from `selected_at` to `until`, null for now. It is null for no
    classifier, and for the model that the variables of the installation name; so is `previous`,
    what was in force before. `actor` is who selected it, null for callers without the scope
    `admin`; `by_rule` says that a rule did. `check` is the result of the promotion check, null if
    there was none; `reason` is why a rule did it."""

    object: Literal["model.past_selection"] = "model.past_selection"
    id: str
    type: SelectionType
    model_id: str | None
    previous: str | None
    selected_at: str
    until: str | None
    actor: str | None
    by_rule: bool
    check: PromotionCheck | ClassifierCheck | None
    reason: str | None
