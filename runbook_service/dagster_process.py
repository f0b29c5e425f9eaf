"""The environment in which a process of Dagster's own finds our project and its database."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from runbook_factory import database, project
from runbook_factory.instance import SETTINGS
from runbook_factory.project import Project


def dagster_environment(of: Project) -> Mapping[str, str]:
    """This process's environment, with what Dagster needs; starts the embedded database if that is used."""
    url = database.as_text(database.database_url(of))
    scripts = str(Path(sys.executable).parent)
    return {
        **os.environ,
        "DAGSTER_HOME": str(_home(of)),
        "PATH": os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)]),
        project.VARIABLE: str(of.root),
        database.VARIABLE: url,
    }


def _home(of: Project) -> Path:
    """The folder with `dagster.yaml`: the project's, else one with the same settings in its state."""
    if (of.root / "dagster.yaml").is_file():
        return of.root
    home = of.state_folder() / "dagster"
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text(yaml.safe_dump(dict(SETTINGS)), encoding="utf-8")
    return home
