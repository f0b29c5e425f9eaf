"""The graph of a runbook as text for a terminal, or as a Mermaid flowchart."""

from collections.abc import Iterator

from cli.reporters.style import paint, plain
from runbook_defs.graph import levels
from runbook_defs.model import OnFailure, Step
from runbook_factory.catalog import LoadedRunbook
from step_ops.step_type import Effect

MAX_CONDITION = 60  # characters of a `when` that are shown

_ENTITIES = {"&": "#amp;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "#": "#35;", "`": "#96;"}


def as_text(runbook: LoadedRunbook) -> str:
    """Level by level, each step with what it waits for; steps of one level hang on one branch."""
    steps = {step.id: step for step in runbook.runbook.steps}
    rows = levels({step.id: step.depends_on for step in steps.values()})
    ids = max(len(name) for name in steps)
    types = max(len(step.type) for step in steps.values())
    lines = [
        paint(f"{runbook.id} {runbook.runbook.version}", "bold") + f"  {plain(runbook.runbook.name)}",
        "",
    ]
    for number, row in enumerate(rows):
        if number:
            lines.append("  " + paint("↓", "dim"))
        for position, name in enumerate(row):
            step = steps[name]
            line = f"{_branch(position, len(row))} {name:{ids}}  {plain(step.type):{types}}"
            if step.depends_on:
                line += "  " + paint(f"← {', '.join(step.depends_on)}", "dim")
            lines.append("  " + line.rstrip())
            lines += [f"  {_stem(position, len(row))}   {mark}" for mark in _marks(runbook, step)]
    return "\n".join(lines)


def _branch(position: int, many: int) -> str:
    if many == 1:
        return "●"
    return "┌" if position == 0 else "└" if position == many - 1 else "├"


def _stem(position: int, many: int) -> str:
    """What stands below a step in the column of branches."""
    return "│" if position < many - 1 else " "


def _marks(runbook: LoadedRunbook, step: Step) -> Iterator[str]:
    """What is special about a step."""
    if runbook.effect(step) is Effect.WRITE:
        yield paint("writes", "yellow")
    if step.when is not None:
        yield f"when {_cut(step.when)}"
    if step.for_each is not None:
        yield f"for each {_cut(str(step.for_each))}"
    match step.on_failure:
        case OnFailure.LOG_AND_CONTINUE:
            yield "on failure: goes on"
        case OnFailure.ROLLBACK:
            yield "on failure: rolls back"
        case OnFailure.ABORT:
            pass


def _cut(text: str) -> str:
    line = " ".join(plain(text).split())
    return line if len(line) <= MAX_CONDITION else line[: MAX_CONDITION - 1] + "…"


def as_mermaid(runbook: LoadedRunbook) -> str:
    """A flowchart: a step that writes has a thick border, the way into one with a `when` is dotted."""
    lines = ["flowchart TD"]
    writing = []
    for step in runbook.runbook.steps:
        said = [f"<b>{_escaped(step.id)}</b>", _escaped(step.type)]
        if step.for_each is not None:
            said.append(_escaped(f"for each {_cut(str(step.for_each))}"))
        if step.when is not None and not step.depends_on:
            said.append(_escaped(f"when {_cut(step.when)}"))
        if step.on_failure is not OnFailure.ABORT:
            said.append(_escaped(step.on_failure.value.replace("_", " ")))
        lines.append(f'    {_node(step.id)}["{"<br/>".join(said)}"]')
        if runbook.effect(step) is Effect.WRITE:
            writing.append(_node(step.id))
    for step in runbook.runbook.steps:
        arrow = "-->" if step.when is None else f'-. "{_escaped(_cut(step.when))}" .->'
        lines += [f"    {_node(up)} {arrow} {_node(step.id)}" for up in step.depends_on]
    if writing:
        lines.append("    classDef writes stroke-width:3px")
        lines.append(f"    class {','.join(writing)} writes")
    return "\n".join(lines)


def _node(step_id: str) -> str:
    """A name for the step that is no word of Mermaid's, as `end` would be."""
    return f"step_{step_id}"


def _escaped(text: str) -> str:
    return "".join(_ENTITIES.get(char, char) for char in _cut(text))
