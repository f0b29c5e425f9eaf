"""HTTP with `requests`: bounded in time and size, kept away from forbidden addresses.

Each hop has a connection of its own, no cookies and no proxy; nothing of one request is left for the next.
"""

import os
import socket
import threading
from concurrent.futures import Future
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from http.client import RemoteDisconnected
from time import monotonic
from typing import Any

from requests import PreparedRequest, Response, exceptions
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, ReadTimeoutError

from step_ops.drivers.addresses import METADATA, DeniedAddressError, Network, connect
from step_ops.drivers.http_message import Message, prepare
from step_ops.errors import ErrorType, StepError
from step_ops.exchanges import HttpRequest, HttpResponse

_BLOCK = 64 * 1024
_POLL_SECONDS = 0.05
_SLOW = "raise the timeout, ask for less at once, or look at the load of the other side"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How far an exchange may go. `max_bytes` counts the body after decompression.

    `denied` adds networks to those of `METADATA`, always denied; private ones are allowed.
    `authorities` is a PEM file of those to trust, in place of the usual ones.
    """

    max_bytes: int = 50 * 1024 * 1024
    max_redirects: int = 5
    connect_seconds: float = 5.0
    denied: tuple[Network, ...] = ()
    authorities: str | None = None


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
    message = prepare(request, base_url=base_url)
    line = _Line(message.place, request.timeout, limits)
    line.check(cancelled)
    future: Future[HttpResponse] = Future()
    # A thread of its own, because neither a name look-up nor a dripping server can be interrupted.
    threading.Thread(target=_work, args=(future, message, line), name="http", daemon=True).start()
    try:
        while not _is_done(future, min(line.left(), _POLL_SECONDS)):
            line.check(cancelled)
    finally:
        line.hang_up()
    return future.result()


def _is_done(future: Future[HttpResponse], seconds: float) -> bool:
    """Whether it is, so many seconds from now at most."""
    try:
        future.exception(seconds)
    except TimeoutError:
        return False
    return True


class _Line:
    """The time of an exchange, and its one socket at a time, which another thread can cut."""

    def __init__(self, place: str, seconds: float, limits: Limits) -> None:
        self.place = place
        self.limits = limits
        self._seconds = seconds
        self._deadline = monotonic() + seconds
        self._over = False
        self._handle: socket.socket | None = None

    def left(self) -> float:
        """Seconds until the deadline, never quite zero, which would mean no waiting at all."""
        return max(self._deadline - monotonic(), 0.001)

    def check(self, cancelled: threading.Event | None) -> None:
        """Raise when the event is set or the deadline has passed."""
        if cancelled is not None and cancelled.is_set():
            raise StepError(ErrorType.CANCELLED, f"{self.place}: cancelled")
        if monotonic() >= self._deadline:
            what = f"{self.place}: no complete answer within {self._seconds:g} s"
            raise StepError(ErrorType.TIMEOUT, what, hint=_SLOW)

    def dial(self, host: str, port: int) -> socket.socket:
        """A connected socket to an allowed address, held so that it can be cut."""
        seconds = min(self.limits.connect_seconds, self.left())
        try:
            sock = connect(host, port, seconds=seconds, denied=METADATA + self.limits.denied)
        except (DeniedAddressError, OSError, UnicodeError) as error:
            raise _failure(error, self.place, f"{host}:{port}") from None
        sock.settimeout(self.left())
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # TLS moves the descriptor into another object; a duplicate shuts down the same connection.
        self._drop()
        self._handle = sock.dup()
        if self._over:
            self._drop()
        return sock

    def hang_up(self) -> None:
        """Cut the line now and for good; a thread that waits on it wakes up with an error."""
        self._over = True
        self._drop()

    def _drop(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            with suppress(OSError):  # the other side was faster
                handle.shutdown(socket.SHUT_RDWR)
            handle.close()


class _Connection(HTTPConnection):
    """Dials through the line, so that the address that was checked is the one that is used."""

    def __init__(self, *args: Any, line: _Line, **options: Any) -> None:
        super().__init__(*args, **options)
        self._line = line

    def _new_conn(self) -> socket.socket:
        return self._line.dial(self._dns_host.strip("[]"), self.port)


class _TlsConnection(_Connection, HTTPSConnection):
    """The same below TLS: the check comes before the first byte of the handshake."""


class _Adapter(HTTPAdapter):
    def __init__(self, line: _Line) -> None:
        self._line = line
        super().__init__()

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
        """A pool whose connections dial through the line."""
        pool: Any = super().get_connection_with_tls_context(*args, **options)
        kind = _TlsConnection if pool.scheme == "https" else _Connection
        pool.ConnectionCls = partial(kind, line=self._line)
        return pool


def _work(future: Future[HttpResponse], message: Message, line: _Line) -> None:
    try:
        future.set_result(_follow(message, line))
    except Exception as error:
        future.set_exception(error)


def _follow(message: Message, line: _Line) -> HttpResponse:
    for _ in range(line.limits.max_redirects + 1):
        line.place = message.place
        try:
            answer = _exchange(message.prepared, line)
        except (exceptions.RequestException, HTTPError) as error:
            raise _failure(error, line.place, message.peer) from None
        if isinstance(answer, HttpResponse):
            return answer
        message = message.redirected(answer)
    what = f"{line.place}: redirected more than {line.limits.max_redirects} times"
    hint = "name the final address; a loop often means that a login is missing"
    raise StepError(ErrorType.POLICY, what, hint=hint)


def _exchange(prepared: PreparedRequest, line: _Line) -> HttpResponse | str:
    """The answer, or the address where a read is to look for it."""
    verify = _authorities(line.limits.authorities)
    # Without a session, which would keep cookies, ask the environment, and read the body of a redirect.
    with (
        closing(_Adapter(line)) as adapter,
        adapter.send(prepared, stream=True, timeout=line.left(), verify=verify) as response,
    ):
        location = response.headers.get("location")
        read = prepared.method in ("GET", "HEAD") and prepared.body is None
        if location and read and response.is_redirect:
            return location.encode("latin-1").decode("utf-8", "replace")
        headers = {name.lower(): value for name, value in response.headers.items()}
        body = _body(response, line)
        return HttpResponse(status=response.status_code, headers=headers, body=body)


def _authorities(file: str | None) -> str | bool:
    """The file of the certificate authorities to trust; True for those of requests."""
    named = file or os.environ.get("SSL_CERT_FILE")
    if named and not os.access(named, os.R_OK):
        hint = "name a PEM file" if file else "SSL_CERT_FILE names a PEM file, or is unset"
        raise StepError(ErrorType.CONFIG, f"the file {named} cannot be read", hint=hint)
    return named or True


def _body(response: Response, line: _Line) -> bytes:
    limit = line.limits.max_bytes
    body = bytearray()
    if (response.raw.length_remaining or 0) <= limit:
        for block in response.iter_content(_BLOCK):
            body += block
            if len(body) > limit:
                break
        else:
            return bytes(body)
    what = f"{line.place}: the answer is larger than {limit} bytes"
    raise StepError(ErrorType.POLICY, what, hint="ask for less at once, with paging or a filter")


def _failure(error: Exception, place: str, peer: str) -> StepError:
    """What went wrong, in our words: those of the libraries may hold the address with its query."""
    kind, hint = ErrorType.CONNECTION, "look at the log of the other side"
    match error, _root(error):
        case DeniedAddressError(), _:
            kind, what = ErrorType.POLICY, f"{peer} is refused: {error}"
            hint = "name another host; metadata addresses are never allowed"
        case _, TimeoutError() | ReadTimeoutError():
            kind, what, hint = ErrorType.TIMEOUT, f"{peer} did not answer in time", _SLOW
        case exceptions.ContentDecodingError(), _:
            kind, what = ErrorType.DATA, "the answer is not compressed in the way its headers say"
        case exceptions.SSLError(), root:
            reason = getattr(root, "verify_message", "") or getattr(root, "reason", "no handshake")
            what = f"TLS failed with {peer} ({reason})"
            hint = "check that the port speaks TLS; SSL_CERT_FILE names the authorities to trust"
        case _, ConnectionRefusedError():
            what, hint = f"connection refused by {peer}", "check that the service runs there"
        case _, RemoteDisconnected():
            what = f"{peer} closed the connection without an answer"
        case _, ConnectionResetError() | BrokenPipeError():
            what = f"{peer} reset the connection"
        case exceptions.ChunkedEncodingError(), _:
            what = f"{peer} closed the connection before the whole answer had come"
        case exceptions.RequestException() | HTTPError(), _:
            what, hint = f"{peer} sent what is not HTTP", "check the port, and http or https"
        case _:
            reason = getattr(error, "strerror", None) or "not a host name"
            what, hint = f"no connection to {peer} ({reason})", "check the name and the route to it"
    return StepError(kind, f"{place}: {what}", hint=hint)


def _root(error: BaseException) -> BaseException:
    """The exception that the client libraries have wrapped."""
    for inner in (getattr(error, "reason", None), *reversed(error.args)):
        if isinstance(inner, BaseException):
            return _root(inner)
    return error
