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
    """A folder of Dagster's own in the project's state, with the project's `dagster.yaml` or the default.

    Not the project's root: Dagster would leave its logs there.
    """
    home = of.state_folder() / "dagster"
    home.mkdir(exist_ok=True)
    own = of.root / "dagster.yaml"
    text = own.read_text(encoding="utf-8") if own.is_file() else yaml.safe_dump(dict(SETTINGS))
    (home / "dagster.yaml").write_text(text, encoding="utf-8")
    return home
