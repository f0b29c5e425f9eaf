"""An HTTP request made ready for the wire. Secrets are revealed here, last of all."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote, unquote_plus, urljoin, urlsplit

from requests import PreparedRequest, exceptions

from step_ops.errors import ErrorType, StepError
from step_ops.exchanges import HttpRequest
from step_ops.secrets import Secret, reveal

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_CLIMBING = re.compile(r"(?:^|[/\\])(?:\.|%2e){2}(?:$|[/\\])", re.IGNORECASE)
_CREDENTIAL = re.compile(r"auth|cookie|token|key|secret|passw|session|^host$", re.IGNORECASE)
_HEADERS = {"User-Agent": "runbook-engine", "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}
_TELLING = 8  # characters from which a word of a secret is not in an address by chance


@dataclass(frozen=True, kw_only=True)
class Message:
    """A request with its secrets revealed; only its `place` is fit for error messages."""

    prepared: PreparedRequest
    confidential: frozenset[str]  # names of the headers that stay with the first origin
    secrets: frozenset[str]
    private: bool  # the address came from a secret, as that of a web hook does

    @property
    def url(self) -> str:
        """The whole address, query and all."""
        return self.prepared.url or ""

    @property
    def peer(self) -> str:
        """Host and port of the other side."""
        url = urlsplit(self.url)
        host = url.netloc.removesuffix(f":{url.port}")
        return f"{host}:{url.port or (443 if url.scheme == 'https' else 80)}"

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"{urlsplit(self.url).scheme}://{self.peer}"

    @property
    def place(self) -> str:
        """Method and address without the query, nor a path that holds a secret."""
        path = urlsplit(self.url).path
        if self.private or any(secret in unquote(path) for secret in self.secrets):
            path = "/<secret>"
        return f"{self.prepared.method} {self.origin}{path}"

    def redirected(self, location: str) -> "Message":
        """The next request; another origin gets no credentials, and no secret in its address."""
        following = replace(self, prepared=self.prepared.copy())
        _aim(following.prepared, location, {})
        if following.origin == self.origin:
            return following
        there = unquote(following.url) + unquote_plus(following.url)
        if any(word in there for word in self.secrets):
            what = f"{self.place}: redirected to {following.origin} with a secret in the address"
            raise StepError(ErrorType.POLICY, what, hint="name the final address in the runbook")
        for name in self.confidential:
            following.prepared.headers.pop(name, None)
        return following


def prepare(request: HttpRequest, *, base_url: str | None) -> Message:
    """The request as it is to be sent; raises `StepError` (config, policy) for one that may not be."""
    if not _TOKEN.fullmatch(request.method):
        raise StepError(ErrorType.CONFIG, f"{request.method!r} is not an HTTP method")
    if request.json is not None and request.data is not None:
        raise StepError(ErrorType.CONFIG, "a request has either a JSON body or a data body")
    given = _HEADERS | {name: value for name, value in request.headers.items() if value is not None}
    prepared = PreparedRequest()
    prepared.prepare_method(request.method)
    _aim(prepared, _join(reveal(request.url), base_url), request.params)
    prepared.prepare_headers({name: _header(name, value) for name, value in given.items()})
    try:
        prepared.prepare_body(request.data, None, reveal(request.json))
    except (exceptions.InvalidJSONError, TypeError):
        hint = "it may hold only text, finite numbers, true, false, null, lists and mappings"
        raise StepError(ErrorType.CONFIG, "the body cannot be written as JSON", hint=hint) from None
    return Message(
        prepared=prepared,
        confidential=frozenset(
            name for name, value in given.items() if _CREDENTIAL.search(name) or any(_secrets(value))
        ),
        secrets=_telling_words(request),
        private=isinstance(request.url, Secret),
    )


def _join(url: str, base_url: str | None) -> str:
    """`url` itself when it is absolute, else the path below the base."""
    if _ABSOLUTE.match(url):
        return url
    if base_url is None:
        hint = "start it with http:// or https://, or name a connection"
        raise StepError(ErrorType.CONFIG, "the address is relative, to no base", hint=hint)
    if _CLIMBING.search(url.partition("?")[0]):
        hint = "write the path from the connection's base downwards"
        raise StepError(ErrorType.POLICY, "the address leaves its base by '..'", hint=hint)
    return f"{base_url.rstrip('/')}/{url.lstrip('/')}" if url else base_url


def _aim(prepared: PreparedRequest, url: str, params: Mapping[str, Any]) -> None:
    """Turn to the address, when it may be used; nothing of its text is put into an error."""
    if _CONTROL.search(url):
        hint = "look for a line break in the values that are interpolated into it"
        raise StepError(ErrorType.POLICY, "the address holds a control character", hint=hint)
    try:
        url = urljoin(prepared.url or "", url)
        scheme = urlsplit(url).scheme
        prepared.prepare_url(url, {name: _plain(value) for name, value in params.items()})
    except ValueError:
        hint = "check the host and the port"
        raise StepError(ErrorType.CONFIG, "the address is not a URL", hint=hint) from None
    if scheme not in ("http", "https"):
        hint = "start it with http:// or https://"
        raise StepError(ErrorType.POLICY, "the scheme of the address is refused", hint=hint)
    if "@" in urlsplit(prepared.url or "").netloc:
        hint = "use a secret in an Authorization header"
        raise StepError(ErrorType.POLICY, "the address holds a user or password", hint=hint)


def _header(name: str, value: Any) -> bytes:
    text = str(_plain(value)).strip(" \t")
    several = isinstance(value, list | tuple)
    if several or not _TOKEN.fullmatch(name) or _CONTROL.search(text.replace("\t", " ")):
        hint = "look for a line break in the value, or at the end of a secret"
        raise StepError(ErrorType.POLICY, f"the header {name!r} cannot stand in a line", hint=hint)
    return text.encode("utf-8", "surrogateescape")


def _plain(value: Any) -> Any:
    """Text as JSON and YAML write it, where Python would write True."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(reveal(value))


def _telling_words(request: HttpRequest) -> frozenset[str]:
    """The secrets of the request, and those of their words that are long enough to tell of them."""
    secrets = _secrets(request.url, *request.headers.values(), *request.params.values())
    words = {word for secret in secrets for word in (secret, *re.split(r"[\s/?&=]+", secret))}
    return frozenset(word for word in words if len(word) >= _TELLING)


def _secrets(*values: Any) -> Iterator[str]:
    for value in values:
        if isinstance(value, Secret):
            yield value.reveal()
        elif isinstance(value, list | tuple):
            yield from _secrets(*value)
