"""A recorded scenario with the real secrets in place of the fake ones, as nobody should write it."""

import json
import shutil
from pathlib import Path
from typing import Any

from tests.canary.deployment import Deployment

# Expectations that are not met: a report shows what was expected beside what was sent and what came.
_WRONG: dict[str, Any] = {
    "status": "success",
    "outputs": {
        "fetch": {"words": [], "number": 3, "keys": {}},
        "moved": {"words": "matches ^nothing$"},
        "rows": {"rows": [{"word": "another"}]},
    },
    "kpis": {"plain": 18},
    "errors": {"count": 1},
}
_EXPECT = {
    "method": "GET",
    "headers": {"Cookie": "another"},
    "params": {"q": "another"},
    "body": {"whole": "x"},
}


def with_real_secrets(deployment: Deployment, scenario: str) -> Path:
    """A project of its own beside the deployment's; gives its folder."""
    root = deployment.root.with_name("testing")
    shutil.copytree(deployment.root, root, ignore=shutil.ignore_patterns(".runbook"))
    pack = root / "acceptance" / "canary-echoes"
    fixture = json.loads((pack / "fixtures" / f"{scenario}.json").read_text(encoding="utf-8"))
    real = {canary.name: canary.value for canary in deployment.canaries}
    fakes = {fake: real[name] for name, fake in fixture["secrets"].items()}
    fakes[fixture["inputs"]["customer"]] = real["customer"]
    for path in (pack / "fixtures").rglob("*"):
        if path.suffix in {".json", ".har"}:
            data = json.loads(path.read_text(encoding="utf-8"))
            path.write_text(json.dumps(_replaced(data, fakes)), encoding="utf-8")
    told = json.loads((pack / "fixtures" / f"{scenario}.json").read_text(encoding="utf-8"))
    told["steps"]["ask"][0]["expect"] = _EXPECT
    (pack / "fixtures" / "told.json").write_text(json.dumps(told), encoding="utf-8")
    scenarios = [
        {"name": name, "fixture": f"fixtures/{name}.json", "expected": _WRONG} for name in (scenario, "told")
    ]
    (pack / "acceptance.yml").write_text(json.dumps({"scenarios": scenarios}), encoding="utf-8")
    return root


def _replaced(data: Any, fakes: dict[str, str]) -> Any:
    match data:
        case dict():
            return {_replaced(key, fakes): _replaced(item, fakes) for key, item in data.items()}
        case list():
            return [_replaced(item, fakes) for item in data]
        case str():
            for fake, value in fakes.items():
                data = data.replace(fake, value)
            return data
        case _:
            return data
