"""`data_fetch`: gets records over HTTP, as JSON, CSV or NDJSON."""

import csv
import io
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urljoin, urlsplit

from pydantic import Field, model_validator

from step_ops.errors import ErrorType, StepError
from step_ops.exchanges import HttpRequest, HttpResponse
from step_ops.http_steps import authorized, expect_success
from step_ops.step_type import Effect, Headers, Result, SecretText, StepConfig, StepType, Text

if TYPE_CHECKING:
    from step_ops.gate import Gate

MAX_PAGES = 1000


class Paging(StepConfig):
    """How to go on: `next` is the JSONPath of the next page's URL or, with `param`, of its cursor."""

    next: Annotated[Text, Field(pattern=r"^\$")]
    param: Text | None = None


class Config(StepConfig):
    """Inputs of `data_fetch`."""

    source_url: Text
    auth_token: SecretText = None
    method: Literal["GET", "POST"] = "GET"
    headers: Headers = {}
    params: dict[str, Any] = {}
    body: Any = None
    format: Literal["json", "csv", "ndjson"] = "json"
    paging: Paging | None = None

    @model_validator(mode="after")
    def _body_needs_post(self) -> "Config":
        if self.body is not None and self.method == "GET":
            raise ValueError("a GET has no body: remove it, or use `method: POST`")
        if self.paging is not None and self.format != "json":
            raise ValueError("only JSON can be paged")
        return self


def run(config: Config, gate: "Gate") -> Result:
    """The parsed body; of several pages, one body in which their lists are joined."""
    request = HttpRequest(
        method=config.method,
        url=config.source_url,
        headers=authorized(config.headers, config.auth_token),
        params=config.params,
        json=config.body,
    )
    whole = _page(request, config, gate)
    if config.paging is None:
        return Result(value=whole)
    page, asked = whole, 1
    while (following := _following(request, config.paging, page)) is not None:
        if asked == MAX_PAGES or following == request:
            message = f"paging does not end: page {asked} names a next page again"
            raise StepError(ErrorType.DATA, message, hint="check `paging.next`")
        request, asked = following, asked + 1
        page = _page(request, config, gate)
        whole = _joined(whole, page)
    return Result(value=whole)


def _page(request: HttpRequest, config: Config, gate: "Gate") -> Any:
    return _parse(expect_success(request, gate.http(request)), config.format)


def _following(request: HttpRequest, paging: Paging, page: Any) -> HttpRequest | None:
    import jsonpath  # only steps that page pay for it

    try:
        found = jsonpath.findall(paging.next, page)
    except jsonpath.JSONPathError as error:
        raise StepError(ErrorType.CONFIG, f"`paging.next` is not a JSONPath: {error}") from None
    if not found or found[0] in (None, ""):
        return None
    if paging.param is not None:
        return replace(request, params={**request.params, paging.param: found[0]})
    url = urljoin(request.url, str(found[0]))
    if urlsplit(url)[:2] != urlsplit(request.url)[:2]:
        # Following it would hand the token to whoever wrote the answer.
        raise StepError(ErrorType.POLICY, "the next page lies on another host than the first")
    return replace(request, url=url, params={})


def _joined(one: Any, other: Any) -> Any:
    """Two pages as one: lists one after the other, mappings key by key, else the later value."""
    if isinstance(one, list) and isinstance(other, list):
        return [*one, *other]
    if isinstance(one, dict) and isinstance(other, dict):
        both = {key: _joined(one[key], other[key]) for key in one.keys() & other.keys()}
        return {**one, **other, **both}
    return other


def _parse(response: HttpResponse, form: str) -> Any:
    match form:
        case "csv":
            return list(csv.DictReader(io.StringIO(response.text())))
        case "ndjson":
            return [
                _line(number, line, response)
                for number, line in enumerate(response.text().splitlines(), 1)
                if line.strip()
            ]
        case _:
            return response.json()


def _line(number: int, line: str, response: HttpResponse) -> Any:
    try:
        return replace(response, headers={}, body=line.encode()).json()
    except StepError as error:
        error.message = f"line {number}: {error.message}"
        raise


def summary(result: Result, outputs: Mapping[str, Any]) -> str:
    """Such as `200 entities fetched`."""
    counts = [f"{len(value)} {name}" for name, value in outputs.items() if isinstance(value, list)]
    return f"{', '.join(counts) or 'data'} fetched"


STEP = StepType(name="data_fetch", config=Config, run=run, effect=Effect.READ, summary=summary)
