"""Why steps deviated: one cause each, and what only follows from another step is not counted twice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runbook_defs.replay import Cause, Deviation, Part

# Of what the deviations of one step point to, the first of these is its cause.
_ORDER = (Cause.DEFINITION, Cause.AVAILABILITY, Cause.SCHEMA, Cause.DATA, Cause.TIMING)
_ENDS_THE_REST = {Part.PATH}


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """The cause of what a step deviates in, the step that it follows from, and the evidence."""

    cause: Cause
    follows: str = ""
    because: tuple[str, ...] = ()


def attribute(
    deviations: Mapping[str, Sequence[Deviation]],
    *,
    upstream: Mapping[str, frozenset[str]],
    changed: Mapping[str, Sequence[str]],
    environment: Sequence[str],
    pages: Mapping[str, Sequence[str]],
) -> dict[str, Attribution]:
    """The attribution of each step that deviates; `deviations` are in the order of the graph.

    `changed` says what is different in the definition of a step, `environment` what the two ran on,
    `pages` what a photographed page got that it did not get before.
    """
    found: dict[str, Attribution] = {}
    for step, those in deviations.items():
        if not those:
            continue
        above = [one for one in found if one in upstream.get(step, frozenset())]
        found[step] = _one(step, those, found, above, changed, environment, pages)
    return found


def _one(
    step: str,
    those: Sequence[Deviation],
    found: Mapping[str, Attribution],
    above: Sequence[str],
    changed: Mapping[str, Sequence[str]],
    environment: Sequence[str],
    pages: Mapping[str, Sequence[str]],
) -> Attribution:
    own = {each.cause for each in those if each.cause is not None}
    if step in changed or Cause.DEFINITION in own:
        return Attribution(cause=Cause.DEFINITION, because=tuple(changed.get(step, ())))
    fed = any(each.part in {Part.INPUTS, Part.PATH} for each in those)
    if above and fed:
        return _after(above[0], found)
    for cause in _ORDER:
        if cause in own:
            return Attribution(cause=cause)
    if above:
        return _after(above[0], found)
    ended = [one for one in found if all(each.part in _ENDS_THE_REST for each in those)]
    if ended:
        return _after(ended[0], found)
    if pages.get(step):
        return Attribution(cause=Cause.DATA, because=tuple(f"{one} answers otherwise" for one in pages[step]))
    because = environment or ("nothing that is recorded differs: the step does not do the same twice",)
    return Attribution(cause=Cause.ENVIRONMENT, because=tuple(because))


def _after(step: str, found: Mapping[str, Attribution]) -> Attribution:
    """Downstream of `step`, or of what that one is downstream of itself."""
    return Attribution(cause=Cause.DOWNSTREAM, follows=found[step].follows or step)
