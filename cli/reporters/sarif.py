"""Problems as SARIF 2.1.0, which code hosts and editors show beside the lines they are about."""

import json
import os
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from cli.reporters.places import relative_path
from cli.reporters.style import plain
from runbook_defs.problems import Code, Problem, Severity

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
PAGE = "docs/problems.md"
_ROOT = "%SRCROOT%"  # what consumers call the root of the repository


def as_sarif(files: Sequence[tuple[Path, Sequence[Problem]]]) -> str:
    """One run with a rule for every code, and a result for each problem of all files."""
    rules = list(Code)
    driver = {
        "name": "rb validate",
        "semanticVersion": version("runbook-engine"),
        "rules": [_rule(code) for code in rules],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(problem, rules) for _, problems in files for problem in problems],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _rule(code: Code) -> dict[str, Any]:
    words = code.name.replace("_", " ").lower()
    said = f"{code.value}, {words}: {PAGE} says what it means and how to mend it."
    return {
        "id": code.value,
        "name": "".join(word.capitalize() for word in words.split()),
        "shortDescription": {"text": f"{words[:1].upper()}{words[1:]}"},
        "help": {"text": said, "markdown": said.replace(PAGE, f"[{PAGE}]({PAGE})")},
    }


def _result(problem: Problem, rules: Sequence[Code]) -> dict[str, Any]:
    text = plain(problem.message) + (f" ({plain(problem.hint)})" if problem.hint else "")
    return {
        "ruleId": problem.code.value,
        "ruleIndex": rules.index(problem.code),
        "level": "error" if problem.severity is Severity.ERROR else "warning",
        "message": {"text": text},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": _artifact(problem.path),
                    "region": {"startLine": problem.line, "startColumn": problem.column},
                }
            }
        ],
    }


def _artifact(path: Path) -> dict[str, str]:
    name = relative_path(path)
    if PurePosixPath(name).is_absolute():
        return {"uri": Path(name).as_uri()}
    return {"uri": quote(os.fsencode(name)), "uriBaseId": _ROOT}
