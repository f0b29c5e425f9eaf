"""The whole examination: everything looked at, all at the same time."""

from collections.abc import Iterator
from functools import partial

from runbook_factory.catalog import load_all
from runbook_factory.doctor import deployment, home, machine
from runbook_factory.doctor.finding import Finding, Look, good, look_at_all, missing
from runbook_factory.project import Project, ProjectError, find_project


def examine() -> Iterator[Finding]:
    """What is installed, reachable and missing, for the project around the current folder."""
    here: list[Look] = [
        ("python", machine.look_at_python),
        ("packages", machine.look_at_packages),
        ("step types", machine.look_at_step_types),
    ]
    try:
        project = find_project()
    except ProjectError as error:
        browser: Look = ("browser", partial(machine.look_at_browser, needed=False))
        yield from look_at_all([*here, browser, ("tools", machine.look_at_tools)])
        yield missing("project", error.message, then="rb init")
        return
    yield from look_at_all([*here, *_looks(project)])


def _looks(project: Project) -> Iterator[Look]:
    runbooks, broken = load_all(project)
    types = {step.type for item in runbooks for step in item.runbook.steps}
    connections, unreadable = deployment.named_connections(project)
    secrets, unusable = deployment.named_secrets(project)
    users = deployment.used_connections(runbooks)
    yield "browser", partial(machine.look_at_browser, needed="ui_screenshot" in types)
    yield "tools", machine.look_at_tools
    yield "project", lambda: [good("project", str(project.root))]
    yield "runbooks", partial(home.look_at_runbooks, runbooks, broken)
    yield "database", partial(home.look_at_database, project)
    yield "key", partial(home.look_at_key, project)
    yield "disk", partial(home.look_at_disk, project)
    yield "DAGSTER_HOME", home.look_at_dagster_home
    if unreadable:
        yield "connections", lambda: [unreadable]
    else:
        for name in sorted({*connections.named, *users}):
            look = partial(deployment.look_at_connection, name, connections, users.get(name, []), secrets)
            yield f"connection {name}", look
    if unusable and not unreadable:
        yield "secrets", lambda: [unusable]
    if unusable or unreadable:
        return
    for source in secrets.sources:
        yield f"secrets from {source.place}", partial(deployment.look_at_source, source)
    for name, askers in deployment.used_secrets(runbooks).items():
        yield f"secret {name}", partial(deployment.look_at_secret, name, askers, secrets)
