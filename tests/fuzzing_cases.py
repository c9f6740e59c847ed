"""Which cases of its coverage phase schemathesis sends: it loads this module itself. Of those left
out others say the same, and a request takes 3 ms of CPU.

- The headers that any operation takes are read by the same code for all of them, and methods that
  a path does not have are refused by it. The first operations get each case of these.
- Of the wrong types for one place (null, a number, a list and so on) a query gets every fifth, and
  the next place the next ones. A body gets every twentieth: each of its fields meets all types in
  tests/unit/test_hostile.py.
- A value beside a bound says no more than the bound itself and the value beyond it, and some of the
  optional properties no more than each alone and all of them.
- Objects within objects are the same in several operations: rules, agents, messages. What such an
  object holds is sent to two of them.
- A document of the installation is made of the bodies of other operations: it gets a few cases.
"""

from collections import Counter
from typing import Any

import schemathesis
from schemathesis import Case, HookContext
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.meta import CoveragePhaseData, CoverageScenario

_OF_ANY_OPERATION = (
    CoverageScenario.MALFORMED_CONTENT_TYPE,
    CoverageScenario.UNSUPPORTED_CONTENT_TYPE,
)
_SAY_NO_MORE = ("Near-boundary", "subset of optional properties")  # in a case's description
_OPERATIONS = 5  # that get all cases of the shared headers, and all methods
_EVERY_IN_QUERY, _EVERY_IN_BODY = 5, 20
_WITHIN = " value: "  # in a case's description, before what a property holds
_OBJECTS = 2
_OF_OTHERS = "PUT /v1/installation"
_OF_OTHERS_EVERY = 10
_seen: Counter[tuple[object, ...]] = Counter()


@schemathesis.hook
def filter_case(context: HookContext, case: Case[Any]) -> bool:
    data = case.meta.phase.data if case.meta is not None else None
    if not isinstance(data, CoveragePhaseData):
        return True
    operation, where = case.operation.label, data.parameter_location
    if operation == _OF_OTHERS and _count(operation, "cases") % _OF_OTHERS_EVERY:
        return False
    if where == ParameterLocation.HEADER:
        return _count(data.scenario, data.description) < _OPERATIONS
    if data.scenario == CoverageScenario.UNSPECIFIED_HTTP_METHOD:
        return _count(case.method) < 2 * _OPERATIONS
    if data.scenario in _OF_ANY_OPERATION:
        return _count(data.scenario, data.description) < 2 * _OPERATIONS
    if data.scenario == CoverageScenario.VALID_OBJECT and data.description.count(_WITHIN) > 1:
        *_, holder, held = data.description.split(_WITHIN)
        return _count(holder.rpartition(": ")[2], held) < _OBJECTS
    if data.scenario == CoverageScenario.INCORRECT_TYPE:
        place = (operation, where, data.parameter, data.location)
        types = _count(*place)
        if types == 0:
            _seen["places",] += 1
        every = _EVERY_IN_BODY if where == ParameterLocation.BODY else _EVERY_IN_QUERY
        return (types + _seen["places",]) % every == 0
    return not any(words in data.description for words in _SAY_NO_MORE)


def _count(*what: object) -> int:
    """How often it was counted before."""
    _seen[what] += 1
    return _seen[what] - 1
