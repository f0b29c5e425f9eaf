"""What `workspace.yaml` names: the definitions of the project that Dagster was started in."""

from runbook_factory.definitions import build_definitions
from runbook_factory.project import find_project

defs = build_definitions(find_project().root)
