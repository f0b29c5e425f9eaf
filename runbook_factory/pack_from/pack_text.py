"""A scenario added to the text of `acceptance.yml`, in which all else stays as it was written."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from runbook_defs.pack import FILE_NAME, parse_pack
from runbook_defs.source import parse_document
from runbook_factory.pack_from.refusal import NotPackable


def with_scenario(text: str | None, scenario: Mapping[str, Any]) -> str:
    """`text`, or a new pack without one, with the scenario at its end.

    Raises `NotPackable` when the pack is not good, has such a scenario, or is written in a way that
    nothing can be added to.
    """
    if text is None:
        return f"scenarios:\n{_as_item(scenario, indent=2)}"
    before = _scenarios(text)
    if any(item["name"] == scenario["name"] for item in before):
        message = f"{FILE_NAME} has a scenario called {scenario['name']!r} already"
        raise NotPackable(message, hint="choose another one with --name")
    line_end = "\r\n" if "\r\n" in text else "\n"
    changed = _added(text.replace("\r\n", "\n"), scenario).replace("\n", line_end)
    try:
        if _scenarios(changed) == [*before, scenario]:
            return changed
    except NotPackable:
        pass
    hint = "write it as `scenarios:` and, below it, an item with `- name:` for each"
    raise NotPackable(f"no scenario can be added to {FILE_NAME} as it is written", hint=hint)


def _scenarios(text: str) -> list[dict[str, Any]]:
    document = parse_document(text.encode(), path=Path(FILE_NAME))
    pack, problems = parse_pack(document)
    if problems or pack is None:
        first = problems[0]
        message = f"{FILE_NAME} has errors: line {first.line}: {first.message}"
        raise NotPackable(message, hint="`rb validate` shows them; mend them first")
    found: list[dict[str, Any]] = document.data.get("scenarios", [])
    return found


def _added(text: str, scenario: Mapping[str, Any]) -> str:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        return text
    for key, value in root.value:
        if key.value != "scenarios" or not isinstance(value, yaml.SequenceNode):
            continue
        if not value.flow_style:
            gap = "\n" if text.endswith("\n") else "\n\n"
            return text + gap + _as_item(scenario, indent=value.start_mark.column)
        if value.value:
            end = value.value[-1].end_mark.index
            return f"{text[:end]}, {json.dumps(scenario, ensure_ascii=False)}{text[end:]}"
        if not root.flow_style:
            head, tail = text[: value.start_mark.index].rstrip(), text[value.end_mark.index :]
            return f"{head}\n{_as_item(scenario, indent=2)}{tail.lstrip()}"
    return text


def _as_item(scenario: Mapping[str, Any], *, indent: int) -> str:
    """The scenario as an item of a list that is indented so far."""
    text = yaml.dump(
        scenario, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000, line_break="\n"
    )
    first, *rest = text.splitlines()
    margin = " " * indent
    return "\n".join([f"{margin}- {first}", *(f"{margin}  {line}" for line in rest), ""])


class _Dumper(yaml.SafeDumper):
    """Mappings line by line, lists in one line."""


_Dumper.add_representer(
    list, lambda dumper, items: dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)
)
