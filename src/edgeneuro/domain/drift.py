"""How a classifier does in use: its share of the answers, where the model differs, and whether the
questions are still those that it was learned for."""

from pydantic import BaseModel


class ClassifierShares(BaseModel):
    """Of `asked` questions the classifier answered some and passed the others on (`abstained`); of
    `requests` no agent fitted `out_of_scope`. A share of nothing is null."""

    requests: int
    asked: int
    answered: int
    abstained: int
    answered_share: float | None
    out_of_scope: int
    out_of_scope_share: float | None


class ClassifierDay(ClassifierShares):
    """A day in UTC, as far as it is in the range."""

    start: str


class Disagreement(BaseModel):
    """Of `compared` sure answers of the classifier the model gave another one to `differing`; `low`
    to `high` is the 95 % Wilson interval of the rate."""

    compared: int
    differing: int
    rate: float | None
    low: float | None
    high: float | None


class Drift(BaseModel):
    """The selected classifier's shares since it was learned, beside those of its training; null
    where they are not known."""

    classifier: str
    asked: int
    abstained_share: float | None
    training_abstained_share: float | None
    requests: int
    out_of_scope_share: float | None
    training_out_of_scope_share: float | None


class ClassifierAnalytics(ClassifierShares):
    """`days` are those of the range; `drift` is null where no classifier is selected, and `alert` a
    text where the questions have changed so far that it should be learned anew."""

    days: list[ClassifierDay]
    disagreement: Disagreement
    drift: Drift | None
    alert: str | None
