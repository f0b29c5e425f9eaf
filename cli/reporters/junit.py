"""The outcome of `rb test` as JUnit XML: a suite for each runbook, a test case for each scenario."""

import re
from datetime import datetime
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from cli.reporters.case import all_lines
from cli.reporters.outcome import Broken, Outcome
from cli.reporters.problems import as_text

if TYPE_CHECKING:
    from runbook_factory.acceptance import CaseFinished

_COLOUR = re.compile("\033\\[[0-9;]*m")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_junit(outcome: Outcome) -> bytes:
    """The XML document."""
    suites = ElementTree.Element("testsuites", name="rb test")
    of_runbook: dict[str, ElementTree.Element] = {}

    def suite(runbook_id: str) -> ElementTree.Element:
        if runbook_id not in of_runbook:
            of_runbook[runbook_id] = ElementTree.SubElement(suites, "testsuite", name=runbook_id)
        return of_runbook[runbook_id]

    for broken in outcome.broken:
        _error(suite(broken.runbook_id), broken)
    for finished in outcome.finished:
        _case(suite(finished.case.runbook.id), finished)
    for case in outcome.not_run:
        left = _testcase(suite(case.runbook.id), case.runbook.id, case.name, 0.0)
        ElementTree.SubElement(left, "skipped", message="not run: an earlier scenario failed")
    for element in of_runbook.values():
        count_cases(element, outcome.started_at)
    count_cases(suites, outcome.started_at)
    suites.set("time", f"{outcome.seconds:.3f}")
    ElementTree.indent(suites)
    return bytes(ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)) + b"\n"


def _case(suite: ElementTree.Element, finished: "CaseFinished") -> None:
    case = finished.case
    element = _testcase(suite, case.runbook.id, case.name, finished.seconds)
    if finished.findings:
        details = "\n".join("\n".join((item.what, *item.details)) for item in finished.findings)
        first, more = finished.findings[0].what, len(finished.findings) - 1
        message = f"{first} (and {more} more)" if more else first
        failure = ElementTree.SubElement(element, "failure", type="unexpected", message=clean(message))
        failure.text = clean(details)
    ElementTree.SubElement(element, "system-out").text = clean("\n".join(all_lines(finished)))


def _error(suite: ElementTree.Element, broken: Broken) -> None:
    element = _testcase(suite, broken.runbook_id, broken.path.name, 0.0)
    message = f"{broken.path.name} has {len(broken.problems)} problem(s)"
    error = ElementTree.SubElement(element, "error", type="invalid", message=clean(message))
    error.text = clean("\n".join(as_text(problem, ()) for problem in broken.problems))


def _testcase(suite: ElementTree.Element, runbook_id: str, name: str, seconds: float) -> ElementTree.Element:
    return ElementTree.SubElement(
        suite, "testcase", classname=runbook_id, name=clean(name), time=f"{seconds:.3f}"
    )


def count_cases(element: ElementTree.Element, started_at: datetime) -> None:
    """Notes how many test cases `element` has, how they ended and how long they took."""
    cases = list(element.iter("testcase"))
    element.set("tests", str(len(cases)))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(attribute, str(sum(case.find(tag) is not None for case in cases)))
    element.set("time", f"{sum(float(case.get('time', '0')) for case in cases):.3f}")
    element.set("timestamp", started_at.isoformat(timespec="seconds"))


def clean(text: str) -> str:
    """`text` as XML can hold it, without colours."""
    return _NOT_XML.sub("\ufffd", _COLOUR.sub("", text))
