"""HTTP over the network: bounded in time and size, kept away from forbidden addresses.

Secrets are revealed here, last of all. Each request has a connection of its own, no cookie jar and
no proxy; nothing of one request is left for the next.
"""

import contextlib
import functools
import ipaddress
import json
import os
import re
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from http.client import BadStatusLine, HTTPException, RemoteDisconnected
from time import monotonic
from typing import Any, TypeAlias
from urllib.parse import unquote, unquote_plus, urlencode, urljoin

import certifi
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    DecodeError,
    HTTPError,
    LocationParseError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.response import BaseHTTPResponse
from urllib3.util import Timeout, Url, parse_url

from step_ops.errors import ErrorType, StepError
from step_ops.exchanges import HttpRequest, HttpResponse
from step_ops.secrets import Secret, reveal

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

# Where clouds hand out credentials to whoever asks from inside; no step has business there.
METADATA: tuple[Network, ...] = (
    ipaddress.ip_network("169.254.0.0/16"),
    ipaddress.ip_network("fe80::/10"),
    ipaddress.ip_network("fd00:ec2::254/128"),  # AWS
    ipaddress.ip_network("fd20:ce::254/128"),  # Google
    ipaddress.ip_network("100.100.100.200/32"),  # Alibaba
    ipaddress.ip_network("168.63.129.16/32"),  # Azure
    ipaddress.ip_network("192.0.0.192/32"),  # Oracle
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CONTROL_BUT_TAB = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_CLIMBING = re.compile(r"(?:^|[/\\])(?:\.|%2e){2}(?:$|[/\\])", re.IGNORECASE)
_CREDENTIAL = re.compile(r"auth|cookie|token|key|secret|passw|session|^host$", re.IGNORECASE)
_BLOCK = 64 * 1024
_TELLING = 8  # characters from which a word of a secret is not in an address by chance
_CANCEL_POLL_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How far an exchange may go. `max_bytes` counts the body after decompression.

    `denied` adds networks to those of `METADATA`, always denied; private ones are allowed.
    """

    max_bytes: int = 50 * 1024 * 1024
    max_redirects: int = 5
    connect_seconds: float = 5.0
    denied: tuple[Network, ...] = ()


DEFAULT_LIMITS = Limits()


def send(
    request: HttpRequest,
    *,
    base_url: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
    cancelled: threading.Event | None = None,
) -> HttpResponse:
    """The answer, of any status, after redirects; raises `StepError` when there is none.

    Redirects are followed for GET and HEAD without a body. Any other redirect is returned as it
    came: to repeat a write elsewhere, or to turn it into a read, is for the runbook to say.
    """
    if not 0 < request.timeout <= threading.TIMEOUT_MAX:
        raise StepError(ErrorType.CONFIG, "the timeout is not a positive number of seconds")
    message = _message(request, base_url)
    line = _Line(limits=limits, seconds=request.timeout, message=message)
    line.check(cancelled)
    future: Future[HttpResponse] = Future()
    # A thread of its own, because neither a name look-up nor a dripping server can be interrupted.
    threading.Thread(target=_work, args=(future, message, line), name="http", daemon=True).start()
    try:
        line.wait(future, cancelled)
    finally:
        line.hang_up()
    return future.result()


@dataclass(frozen=True, kw_only=True)
class _Message:
    """A request ready for the wire, secrets revealed; its `place` is fit for error messages."""

    method: str
    target: Url
    headers: Mapping[str, bytes]
    body: bytes | None
    confidential: frozenset[str]  # names of the headers that stay with the first origin
    secrets: frozenset[str]
    private: bool  # the address came from a secret, as that of a web hook does

    @property
    def origin(self) -> tuple[str, str, int]:
        target = self.target
        scheme = target.scheme or ""
        return scheme, target.host or "", target.port or {"https": 443}.get(scheme, 80)

    @property
    def peer(self) -> str:
        return f"{self.origin[1]}:{self.origin[2]}"

    @property
    def place(self) -> str:
        path = self.target.path or "/"
        if self.private or any(secret in unquote(path) for secret in self.secrets):
            path = "/<secret>"
        return f"{self.method} {self.origin[0]}://{self.peer}{path}"


def _message(request: HttpRequest, base_url: str | None) -> _Message:
    if not _TOKEN.fullmatch(request.method):
        raise StepError(ErrorType.CONFIG, f"{request.method!r} is not an HTTP method")
    if request.json is not None and request.data is not None:
        raise StepError(ErrorType.CONFIG, "a request has either a JSON body or a data body")
    url = _join(reveal(request.url), None if base_url is None else reveal(base_url))
    if request.params:
        pairs = {name: _plain(value) for name, value in request.params.items() if value is not None}
        url = url.partition("#")[0]
        url += ("&" if "?" in url else "?") + urlencode(pairs, doseq=True)
    given = {"User-Agent": "runbook-engine", "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}
    headers = {name.lower(): _header(name, value) for name, value in given.items()}
    body = request.data
    if request.json is not None:
        body = _json(request.json)
        headers["content-type"] = b"application/json"
    for name, value in request.headers.items():
        if value is not None:
            headers[name.lower()] = _header(name, value)
    return _Message(
        method=request.method.upper(),
        target=_target(url),
        headers=headers,
        body=body,
        confidential=frozenset(
            name.lower()
            for name, value in request.headers.items()
            if _CREDENTIAL.search(name) or any(_secrets(value))
        ),
        secrets=frozenset(
            word
            for secret in _secrets([request.url, base_url, request.headers, request.params])
            for word in (secret, *re.split(r"[\s/?&=]+", secret))  # "Bearer" and a token
            if len(word) >= _TELLING
        ),
        private=any(_secrets([request.url, base_url])),
    )


def _json(value: Any) -> bytes:
    try:
        return json.dumps(reveal(value), allow_nan=False).encode()
    except (TypeError, ValueError):
        raise StepError(
            ErrorType.CONFIG,
            "the body cannot be written as JSON",
            hint="it may hold only text, finite numbers, true, false, null, lists and mappings",
        ) from None


def _join(url: str, base_url: str | None) -> str:
    """`url` itself when it is absolute, else the path below the base."""
    if _ABSOLUTE.match(url):
        return url
    if base_url is None:
        raise StepError(
            ErrorType.CONFIG,
            "the address is relative and there is no base to join it to",
            hint="start it with http:// or https://, or name a connection",
        )
    if _CLIMBING.search(url.partition("?")[0]):
        raise StepError(
            ErrorType.POLICY,
            "the address leaves the base of its connection by '..'",
            hint="write the path from the connection's base downwards",
        )
    return f"{base_url.rstrip('/')}/{url.lstrip('/')}" if url else base_url


def _target(url: str) -> Url:
    """The parts of `url`, percent-encoded; nothing of the text itself is put into an error."""
    if _CONTROL.search(url):
        raise StepError(
            ErrorType.POLICY,
            "the address holds a line break or another control character",
            hint="look at the values that are interpolated into it",
        )
    try:
        target = parse_url(url)
    except LocationParseError:
        raise StepError(
            ErrorType.CONFIG, "the address is not a URL", hint="check the host and the port"
        ) from None
    if target.scheme not in ("http", "https"):
        raise StepError(
            ErrorType.POLICY,
            f"the scheme {target.scheme!r} is refused: only http and https are sent",
        )
    if target.auth is not None:
        raise StepError(
            ErrorType.POLICY,
            f"the address of {target.host} holds a user name or password",
            hint="use a secret in an Authorization header",
        )
    if not target.host:
        raise StepError(ErrorType.CONFIG, "the address names no host")
    return target._replace(fragment=None)


def _header(name: str, value: Any) -> bytes:
    text = _plain(value)
    if not (_TOKEN.fullmatch(name) and isinstance(text, str)) or _CONTROL_BUT_TAB.search(text):
        raise StepError(
            ErrorType.POLICY,
            f"the header {name!r} is refused: its name or value cannot stand in one line",
            hint="look for a line break at the end of a secret, or in an interpolated value",
        )
    return text.encode("utf-8", "surrogateescape")


def _plain(value: Any) -> Any:
    """Text as JSON and YAML write it, where Python would write True."""
    match value:
        case Secret():
            return value.reveal()
        case bool():
            return "true" if value else "false"
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return str(value)


def _secrets(value: Any) -> Iterator[str]:
    match value:
        case Secret():
            yield value.reveal()
        case Mapping():
            for item in value.values():
                yield from _secrets(item)
        case list() | tuple():
            for item in value:
                yield from _secrets(item)


class _Line:
    """The one socket of an exchange at a time, which another thread can cut."""

    def __init__(self, *, limits: Limits, seconds: float, message: _Message) -> None:
        self.limits = limits
        self.phase = "looking up and connecting"
        self.place = message.place
        self._seconds = seconds
        self._deadline = monotonic() + seconds
        self._lock = threading.Lock()
        self._cut = False
        self._handle: socket.socket | None = None

    def left(self) -> float:
        """Seconds until the deadline, never quite zero, which would mean no waiting at all."""
        return max(self._deadline - monotonic(), 0.001)

    def check(self, cancelled: threading.Event | None) -> None:
        """Raise when the event is set."""
        if cancelled is not None and cancelled.is_set():
            raise StepError(ErrorType.CANCELLED, f"{self.place}: cancelled while {self.phase}")

    def wait(self, future: Future[HttpResponse], cancelled: threading.Event | None) -> None:
        """Return when the future is done; raise at the deadline or when the event is set."""
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        while not done.is_set():
            self.check(cancelled)
            if monotonic() >= self._deadline:
                raise self.too_late()
            left = self.left()
            done.wait(left if cancelled is None else min(left, _CANCEL_POLL_SECONDS))

    def too_late(self) -> StepError:
        """The error of an exchange that outlasts its timeout."""
        return StepError(
            ErrorType.TIMEOUT,
            f"{self.place}: no complete answer within {self._seconds:g} s (still {self.phase})",
            hint="raise the timeout, ask for less at once, or look at the load of the other side",
        )

    def hang_up(self) -> None:
        """Cut the line now and for good; a thread that waits on it wakes up with an error."""
        with self._lock:
            self._cut = True
            self._drop()

    def dial(self, host: str, port: int) -> socket.socket:
        """A connected socket to an address that is allowed; nothing has been sent on it."""
        addresses = _look_up(host, port, self.place)
        for *_, address in addresses:
            self._check(address[0], host)
        problem: OSError | None = None
        for family, kind, protocol, _, address in addresses:
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(min(self.limits.connect_seconds, self.left()))
                sock.connect(address)
                self._check(sock.getpeername()[0], host)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._hold(sock)
            except OSError as error:
                sock.close()
                problem = error
            except StepError:
                sock.close()
                raise
            else:
                sock.settimeout(self.left())
                self.phase = "waiting for the answer"
                return sock
        raise _unreachable(problem, f"{host}:{port}", self.place)

    def _check(self, address: str, host: str) -> None:
        for ip in _meanings(ipaddress.ip_address(address)):
            for network in (*METADATA, *self.limits.denied):
                if ip in network:
                    raise StepError(
                        ErrorType.POLICY,
                        f"{self.place}: {host} is at {address}, in the denied network {network}",
                        hint="name another host; metadata addresses are never allowed",
                    )

    def _hold(self, sock: socket.socket) -> None:
        # TLS moves the descriptor into another object; a duplicate shuts down the same connection.
        with self._lock:
            if self._cut:
                raise OSError("the exchange has ended")
            self._drop()
            self._handle = sock.dup()

    def _drop(self) -> None:
        if self._handle is not None:
            with contextlib.suppress(OSError):  # the other side was faster
                self._handle.shutdown(socket.SHUT_RDWR)
            self._handle.close()
            self._handle = None


def _look_up(host: str, port: int, place: str) -> list[Any]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not a host name"
        raise StepError(
            ErrorType.CONNECTION,
            f"{place}: the name {host!r} could not be looked up ({reason})",
            hint="check the spelling of the host, and the name server of this machine",
        ) from None


def _meanings(ip: Address) -> list[Address]:
    """The address, and the IPv4 address that it wraps, if any."""
    if isinstance(ip, ipaddress.IPv4Address):
        return [ip]
    wrapped = ip.ipv4_mapped or ip.sixtofour
    if wrapped is None and ip in _NAT64:
        wrapped = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return [ip] if wrapped is None else [ip, wrapped]


def _unreachable(problem: OSError | None, peer: str, place: str) -> StepError:
    match problem:
        case TimeoutError():
            return StepError(
                ErrorType.TIMEOUT,
                f"{place}: {peer} did not accept a connection in time",
                hint="check that the host is up and that no firewall swallows the packets",
            )
        case ConnectionRefusedError():
            return StepError(
                ErrorType.CONNECTION,
                f"{place}: connection refused by {peer}",
                hint="check that the service runs and listens on that port",
            )
        case _:
            reason = (problem and problem.strerror) or "no address"
            return StepError(
                ErrorType.CONNECTION,
                f"{place}: no connection to {peer} ({reason})",
                hint="check the address and the route to it",
            )


class _PlainConnection(HTTPConnection):
    """Dials through the line, so that the address checked is the address used."""

    def __init__(self, *args: Any, line: _Line, **options: Any) -> None:
        super().__init__(*args, **options)
        self._line = line

    def _new_conn(self) -> socket.socket:
        return self._line.dial(self._dns_host.strip("[]"), self.port)


class _TlsConnection(HTTPSConnection):
    """The same below TLS: the check comes before the first byte of the handshake."""

    def __init__(self, *args: Any, line: _Line, **options: Any) -> None:
        super().__init__(*args, **options)
        self._line = line

    def _new_conn(self) -> socket.socket:
        return self._line.dial(self._dns_host.strip("[]"), self.port)


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


def _pool(message: _Message, line: _Line) -> HTTPConnectionPool:
    scheme, host, port = message.origin
    if scheme == "http":
        return _PlainPool(host, port, line=line)
    authorities = os.environ.get("SSL_CERT_FILE") or certifi.where()
    try:
        return _TlsPool(host, port, line=line, ssl_context=_trust(authorities))
    except OSError as error:
        raise StepError(
            ErrorType.CONFIG,
            f"the certificate authorities in {authorities} cannot be read: {error.strerror}",
            hint="SSL_CERT_FILE names a PEM file, or is unset",
        ) from error


@functools.lru_cache(maxsize=4)
def _trust(authorities: str) -> ssl.SSLContext:
    """Reading the certificates costs more than most requests."""
    return ssl.create_default_context(cafile=authorities)


def _work(future: Future[HttpResponse], message: _Message, line: _Line) -> None:
    try:
        future.set_result(_follow(message, line))
    except Exception as error:
        future.set_exception(error)


def _follow(message: _Message, line: _Line) -> HttpResponse:
    for _ in range(line.limits.max_redirects + 1):
        answer = _exchange(message, line)
        location = answer.headers.get("location")
        if answer.status not in _REDIRECTS or not location or not _repeatable(message):
            return answer
        message = _redirected(message, location)
    raise StepError(
        ErrorType.POLICY,
        f"{line.place}: redirected more than {line.limits.max_redirects} times",
        hint="name the final address; a loop often means that a login is missing",
    )


def _repeatable(message: _Message) -> bool:
    return message.method in ("GET", "HEAD") and message.body is None


def _redirected(message: _Message, location: str) -> _Message:
    """The next request; another origin gets no credentials, and no secret in its address."""
    there = urljoin(message.target.url, location.encode("latin-1").decode("utf-8", "replace"))
    following = replace(message, target=_target(there))
    if following.origin == message.origin:
        return following
    if any(
        secret in text
        for secret in message.secrets
        for text in (unquote(there), unquote_plus(there))
    ):
        raise StepError(
            ErrorType.POLICY,
            f"{message.place}: redirected to {following.peer} with a secret in the address",
            hint="name the final address in the runbook",
        )
    kept = {
        name: value for name, value in message.headers.items() if name not in message.confidential
    }
    return replace(following, headers=kept)


def _exchange(message: _Message, line: _Line) -> HttpResponse:
    line.phase, line.place = "looking up and connecting", message.place
    pool = _pool(message, line)
    response: BaseHTTPResponse | None = None
    try:
        response = pool.urlopen(
            message.method,
            message.target.request_uri,
            body=message.body,
            headers=message.headers,  # type: ignore[arg-type]  # bytes go through as they are
            retries=False,
            redirect=False,
            preload_content=False,
            timeout=Timeout(connect=line.left(), read=line.left()),
        )
        line.phase = "reading the answer"
        headers = {name.lower(): value for name, value in response.headers.items()}
        leaving = response.status in _REDIRECTS and "location" in headers and _repeatable(message)
        body = b"" if leaving or message.method == "HEAD" else _body(response, message, line)
        return HttpResponse(status=response.status, headers=headers, body=body)
    except (HTTPError, HTTPException, OSError) as error:
        # The chain is cut: what the client library says may hold the address with its query.
        raise _translated(error, message, line) from None
    finally:
        if response is not None:
            response.close()
        pool.close()


def _body(response: BaseHTTPResponse, message: _Message, line: _Line) -> bytes:
    limit = line.limits.max_bytes
    declared = response.headers.get("content-length", "")
    body = bytearray()
    if not (declared.isdecimal() and int(declared) > limit):
        while block := response.read(_BLOCK, decode_content=True):
            body += block
            if len(body) > limit:
                break
        else:
            return bytes(body)
    raise StepError(
        ErrorType.POLICY,
        f"{message.place}: the answer is larger than {limit} bytes",
        hint="ask for less at once, with paging or a filter",
    )


def _translated(error: Exception, message: _Message, line: _Line) -> StepError:
    cause = error.args[-1] if isinstance(error, ProtocolError) and error.args else error
    match error, cause:
        case ReadTimeoutError() | TimeoutError(), _:
            return line.too_late()
        case DecodeError(), _:
            return StepError(
                ErrorType.DATA,
                f"{message.place}: the answer is not compressed in the way its headers say",
                hint="look at what sits in front of the service",
            )
        case SSLError() | ssl.SSLError(), _:
            return StepError(
                ErrorType.CONNECTION,
                f"{message.place}: TLS failed with {message.peer} ({_tls_reason(error)})",
                hint="check that the port speaks TLS and who signed its certificate; "
                "SSL_CERT_FILE names the authorities to trust",
            )
        case _, RemoteDisconnected():
            what, hint = "closed the connection without an answer", "look at its log"
        case _, BadStatusLine() | HTTPException() if line.phase != "reading the answer":
            what = "answered with something that is not HTTP"
            hint = "check the port, and whether it wants https"
        case _, ConnectionResetError() | BrokenPipeError():
            what, hint = f"reset the connection while {line.phase}", "look at its log"
        case _:
            what, hint = "closed the connection before the whole answer had come", "look at its log"
    return StepError(ErrorType.CONNECTION, f"{message.place}: {message.peer} {what}", hint=hint)


def _tls_reason(error: Exception) -> str:
    """What OpenSSL says, without the source lines."""
    inner = error.args[0] if error.args and isinstance(error.args[0], Exception) else error
    reason = getattr(inner, "verify_message", "") or getattr(inner, "reason", "") or "no handshake"
    return str(reason).replace("_", " ").lower()
