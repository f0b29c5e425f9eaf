"""The Kubernetes manifests: by the schemas of Kubernetes, and by what they must agree on."""

import shutil
import subprocess
from typing import Any

import kubernetes_validate
import pytest
import yaml
from sqlalchemy import create_engine

from runbook_service.web.door import OPEN
from runbook_service.web.health import Latency, health_routes
from step_ops.drivers.addresses import METADATA
from tests.deployment.parts import (
    KUBERNETES,
    STATE,
    USER,
    asked_by,
    containers,
    folder_of_secrets,
    known_variables,
    load,
    needed_secrets,
    parsed,
)
from tests.docs.pages import page

VERSION = "1.37"  # the newest of which the package has the schemas
OVERLAY: dict[str, Any] = load(KUBERNETES / "kustomization.yaml")
CONNECTIONS = KUBERNETES / "connections.yaml"
OBJECTS: list[dict[str, Any]] = [
    item
    for name in OVERLAY["resources"]
    for item in yaml.safe_load_all((KUBERNETES / name).read_text(encoding="utf-8"))
]
DEPLOYMENTS = {item["metadata"]["name"]: item for item in OBJECTS if item["kind"] == "Deployment"}
GENERATED = {item["name"] for item in OVERLAY["configMapGenerator"]}


def kind(name: str) -> list[dict[str, Any]]:
    return [item for item in OBJECTS if item["kind"] == name]


def names(kinds: str) -> set[str]:
    return {item["metadata"]["name"] for item in kind(kinds)}


def pod(name: str) -> dict[str, Any]:
    found: dict[str, Any] = DEPLOYMENTS[name]["spec"]["template"]["spec"]
    return found


def labels(name: str) -> dict[str, str]:
    found: dict[str, str] = DEPLOYMENTS[name]["spec"]["template"]["metadata"]["labels"]
    return found


def chosen(selector: dict[str, str]) -> set[str]:
    """The deployments whose pods a selector takes."""
    return {name for name in DEPLOYMENTS if selector.items() <= labels(name).items()}


@pytest.mark.parametrize("item", OBJECTS, ids=lambda item: f"{item['kind']} {item['metadata']['name']}")
def test_each_is_as_kubernetes_has_it_and_names_no_namespace(item: dict[str, Any]) -> None:
    kubernetes_validate.validate(item, VERSION, strict=True)
    assert "namespace" not in item["metadata"]


def test_the_schemas_refuse_a_key_that_is_none() -> None:
    (item,) = kind("Service")
    wrong = {**item, "spec": {**item["spec"], "selectors": {}}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSION, strict=True)


def test_every_file_is_in_the_base() -> None:
    listed = {*OVERLAY["resources"], "kustomization.yaml", "connections.yaml"}
    assert {path.name for path in KUBERNETES.iterdir()} == listed


def test_kustomize_makes_the_same_objects_of_them_and_the_schemas_hold_for_these_too() -> None:
    program = shutil.which("kubectl")
    if program is None:
        pytest.skip("kubectl is not installed")
    done = subprocess.run(
        [program, "kustomize", KUBERNETES], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    rendered = list(yaml.safe_load_all(done.stdout))
    for item in rendered:
        kubernetes_validate.validate(item, VERSION, strict=True)
    assert len(rendered) == len(OBJECTS) + len(GENERATED)
    assert "image: runbook-engine\n" not in done.stdout
    maps = {item["metadata"]["name"] for item in rendered if item["kind"] == "ConfigMap"}
    deployments = [item for item in rendered if item["kind"] == "Deployment"]
    for item in deployments:
        volumes = item["spec"]["template"]["spec"]["volumes"]
        inputs = item["spec"]["template"]["spec"]["containers"][0]["envFrom"]
        asked = {volume["configMap"]["name"] for volume in volumes if "configMap" in volume}
        assert asked | {source["configMapRef"]["name"] for source in inputs} == maps
    assert len(deployments) == len(DEPLOYMENTS)


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_rb_understands_its_arguments(name: str) -> None:
    for container in containers(DEPLOYMENTS[name]):
        assert "command" not in container  # the image's own is rb
        parsed(container["args"])


def test_no_service_runs_schedules_and_one_scheduler_does() -> None:
    (service,) = pod("runbook-service")["containers"]
    assert parsed(service["args"]) == {"host": "0.0.0.0", "port": 8080, "slots": 0, "daemon": False}
    assert DEPLOYMENTS["runbook-service"]["spec"]["replicas"] > 1
    assert DEPLOYMENTS["runbook-scheduler"]["spec"]["replicas"] == 1
    assert DEPLOYMENTS["runbook-scheduler"]["spec"]["strategy"] == {"type": "Recreate"}
    (scheduler,) = pod("runbook-scheduler")["containers"]
    program, *arguments = scheduler["livenessProbe"]["exec"]["command"]
    assert program == "rb"
    for command in (scheduler["args"], arguments):
        parsed(command)
        assert command[:3] == ["exec", "--", "dagster-daemon"]


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_tables_are_brought_up_to_date_before_it_starts(name: str) -> None:
    (first,) = pod(name)["initContainers"]
    assert first["args"] == ["db", "upgrade"]


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_each_variable_it_sets_means_something(name: str) -> None:
    literals = {
        line.split("=")[0] for item in OVERLAY["configMapGenerator"] for line in item.get("literals", ())
    }
    assert literals <= known_variables()
    for container in containers(DEPLOYMENTS[name]):
        given = {item["name"] for item in container["env"]}
        assert given <= known_variables()
        assert given >= {"RUNBOOK_DATABASE_URL", "RUNBOOK_KEY"} | asked_by(CONNECTIONS)


def test_the_probes_ask_routes_that_the_service_has_and_that_need_no_token() -> None:
    routes = {route.path for route in health_routes(create_engine("postgresql+psycopg2://"), Latency())}
    (service,) = pod("runbook-service")["containers"]
    probes = {key: value["httpGet"] for key, value in service.items() if key.endswith("Probe")}
    assert {key: probe["path"] for key, probe in probes.items()} == {
        "startupProbe": "/health/live",
        "livenessProbe": "/health/live",
        "readinessProbe": "/health/ready",
    }
    assert {probe["path"] for probe in probes.values()} <= routes & OPEN
    assert {probe["port"] for probe in probes.values()} == {"http"}


def test_one_port_leads_from_the_ingress_to_the_process() -> None:
    (container,) = pod("runbook-service")["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": parsed(container["args"])["port"]}]
    (service,) = kind("Service")
    assert [port["targetPort"] for port in service["spec"]["ports"]] == ["http"]
    (ingress,) = kind("Ingress")
    (rule,) = ingress["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert path["backend"]["service"] == {"name": service["metadata"]["name"], "port": {"name": "http"}}
    assert ingress["spec"]["tls"][0]["hosts"] == [rule["host"]]


def test_selectors_choose_what_they_are_meant_for() -> None:
    for name, item in DEPLOYMENTS.items():
        assert item["spec"]["selector"]["matchLabels"] == labels(name)
    (service,) = kind("Service")
    assert chosen(service["spec"]["selector"]) == {"runbook-service"}
    for budget in kind("PodDisruptionBudget"):
        (one,) = chosen(budget["spec"]["selector"]["matchLabels"])
        assert one == budget["metadata"]["name"]
        assert budget["spec"]["minAvailable"] < DEPLOYMENTS[one]["spec"]["replicas"]
    policies = {item["metadata"]["name"]: item["spec"] for item in kind("NetworkPolicy")}
    assert chosen(policies["runbook"]["podSelector"]["matchLabels"]) == set(DEPLOYMENTS)
    assert chosen(policies["runbook-service"]["podSelector"]["matchLabels"]) == {"runbook-service"}


def test_pods_are_closed_but_for_the_service_and_kept_from_the_metadata_of_clouds() -> None:
    policies = {item["metadata"]["name"]: item["spec"] for item in kind("NetworkPolicy")}
    assert policies["runbook"]["ingress"] == []
    assert policies["runbook-service"]["ingress"] == [{"ports": [{"protocol": "TCP", "port": "http"}]}]
    (outward,) = [rule for rule in policies["runbook"]["egress"] if "to" in rule]
    refused = {network for peer in outward["to"] for network in peer["ipBlock"]["except"]}
    assert refused == {str(network) for network in METADATA}


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_secrets_are_mounted_where_the_connections_file_looks(name: str) -> None:
    folder = folder_of_secrets(CONNECTIONS)
    volumes = {item["name"]: item for item in pod(name)["volumes"]}
    for container in containers(DEPLOYMENTS[name]):
        mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
        secret = volumes[mounts[folder]["name"]]["secret"]
        assert secret == {"secretName": "runbook-secrets", "defaultMode": 0o440}
        assert volumes[mounts["/srv/runbook/connections.yaml"]["name"]]["configMap"]["name"] in GENERATED
        assert set(mounts) >= {STATE, f"{STATE}/artifacts", "/tmp", "/dev/shm"}
        assert {mount["name"] for mount in mounts.values()} == set(volumes)


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_every_container_has_limits_and_no_rights(name: str) -> None:
    assert pod(name)["automountServiceAccountToken"] is False
    assert pod(name)["serviceAccountName"] in names("ServiceAccount")
    security = pod(name)["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert {security["runAsUser"], security["runAsGroup"], security["fsGroup"]} == {USER}
    for container in containers(DEPLOYMENTS[name]):
        assert (
            set(container["resources"]["limits"])
            == {"cpu", "memory"}
            == set(container["resources"]["requests"])
        )
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_all_pods_have_the_same_surroundings() -> None:
    """A run that works in one place must not fail in another."""
    first, *others = [pod(name) for name in DEPLOYMENTS]
    for other in others:
        for key in ("volumes", "securityContext", "initContainers"):
            assert other[key] == first[key]
        for key in ("env", "envFrom", "volumeMounts"):
            assert other["containers"][0][key] == first["containers"][0][key]


def test_a_worker_has_time_to_end_what_it_has() -> None:
    assert pod("runbook-worker")["terminationGracePeriodSeconds"] >= 600


def test_the_page_says_how_to_make_every_secret_that_is_asked_for() -> None:
    text = page("deployment.md").text
    asked = {"runbook-tls", "runbook-secrets"}
    for name in DEPLOYMENTS:
        for container in containers(DEPLOYMENTS[name]):
            asked |= {item["valueFrom"]["secretKeyRef"]["name"] for item in container["env"]}
    assert asked == {"runbook-tls", "runbook-secrets", "runbook-database", "runbook-key"}
    for name in asked:
        assert f" {name} " in text, name
    for name in needed_secrets():
        assert name in text
