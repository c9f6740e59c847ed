"""Classifiers in the control plane: having one learned from the labels, and what came of it."""

from edgeneuro.call import Call
from edgeneuro.classifier.model import InvalidModelError, loads
from edgeneuro.domain.classifier import Classifier
from edgeneuro.errors import ConflictError, InvalidRequestError
from edgeneuro.store import classifiers as store


async def require_usable(call: Call, classifier_id: str, *, param: str) -> Classifier:
    """The classifier of that id, if it can answer. Raises InvalidRequestError, or ConflictError
    where its model is damaged."""
    found = await store.find_classifier(call.services.db, classifier_id)
    if found is None:
        raise InvalidRequestError(
            f"{param}: there is no classifier {classifier_id!r}. GET /v1/classifiers lists them.",
            code="classifier_not_found",
            param=param,
        )
    if found.state != "succeeded":
        raise InvalidRequestError(
            f"{param}: the classifier {classifier_id!r} is {found.state}; choose one that has"
            " succeeded.",
            code="classifier_not_ready",
            param=param,
        )
    try:
        loads(await store.read_model(call.services.db, classifier_id))
    except InvalidModelError as error:
        raise ConflictError(
            f"{param}: the model of {classifier_id!r} cannot be used ({error}). Train another one"
            " with POST /v1/classifiers.",
            code="classifier_damaged",
            param=param,
        ) from error
    return found
