"""A load test as JUnit XML: a test case for each threshold."""

from xml.etree import ElementTree

from cli.reporters.junit import clean, count_cases
from cli.reporters.loadtest import LoadTest, figures, verdict_line


def as_junit(test: LoadTest) -> bytes:
    """The XML document."""
    suites = ElementTree.Element("testsuites", name="rb loadtest")
    suite = ElementTree.SubElement(suites, "testsuite", name=test.runbook_id)
    for verdict in test.tested.summary.thresholds:
        case = _case(suite, test, f"{verdict.metric} {verdict.limit}")
        if not verdict.good:
            said = clean(verdict_line(verdict))
            ElementTree.SubElement(case, "failure", type="threshold", message=said).text = said
    if test.tested.aborted or test.tested.stopped:
        case = _case(suite, test, "the test ran to its end")
        said = clean(test.tested.aborted or "it was interrupted")
        ElementTree.SubElement(case, "error", type=test.word.lower(), message=said).text = said
    told = "\n".join(f"{name}: {value}" for name, value in figures(test).items())
    ElementTree.SubElement(suite, "system-out").text = clean(told)
    for element in (suite, suites):
        count_cases(element, test.started_at)
        element.set("time", f"{test.seconds:.3f}")
    ElementTree.indent(suites)
    return bytes(ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)) + b"\n"


def _case(suite: ElementTree.Element, test: LoadTest, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(
        suite, "testcase", classname=test.runbook_id, name=clean(name), time=f"{test.seconds:.3f}"
    )
