import gzip
import json
import queue
import shutil
import socket
import ssl
import subprocess
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from step_ops.connections import Connections
from step_ops.drivers.http import Limits, send
from step_ops.errors import ErrorType, StepError
from step_ops.exchanges import HttpRequest
from step_ops.files import Folder
from step_ops.http_steps import expect_success
from step_ops.live import LiveWorld
from step_ops.secrets import FixtureSecrets, Secret

Answer = Callable[[socket.socket, bytes], None]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """A listener on loopback that reads one request per connection and hands it to `answer`."""

    def __init__(self, answer: Answer, *, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._answer = answer
        self._tls = tls
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            if self._tls:
                sock = self._tls.wrap_socket(sock, server_side=True)
            with sock:
                self._answer(sock, self._read(sock))
        except OSError:
            pass  # the client hung up, as it should

    def _read(self, sock: socket.socket) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            block = sock.recv(65536)
            if not block:
                return data
            data += block
        head, _, body = data.partition(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                while len(body) < int(line.partition(b":")[2]):
                    body += sock.recv(65536)
        self.requests.append(head + b"\r\n\r\n" + body)
        return head + b"\r\n\r\n" + body

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._open:
            sock.close()


def says(answer: bytes) -> Answer:
    return lambda sock, _: sock.sendall(answer)


def redirect(location: str, status: int = 302) -> bytes:
    return f"HTTP/1.1 {status} Go\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(answer: Answer | bytes, **options: Any) -> Server:
        servers.append(Server(says(answer) if isinstance(answer, bytes) else answer, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Lets a host name have the given addresses, one answer per look-up; returns the look-ups."""
    real = socket.getaddrinfo
    looked_up: list[str] = []

    def install(name: str, *answers: list[str]) -> list[str]:
        turns = iter(answers)

        def fake(host: Any, port: Any, *args: Any, **options: Any) -> Any:
            if host != name:
                return real(host, port, *args, **options)
            looked_up.append(host)
            return [info for address in next(turns) for info in real(address, port, *args, **options)]

        monkeypatch.setattr(socket, "getaddrinfo", fake)
        return looked_up

    return install


def get(url: str, **fields: Any) -> HttpRequest:
    return HttpRequest(method="GET", url=url, **{"timeout": 10.0, **fields})


def failure(request: HttpRequest, **options: Any) -> StepError:
    with pytest.raises(StepError) as caught:
        send(request, **options)
    return caught.value


# What is sent, and what comes back


def test_any_status_is_an_answer_with_lower_case_headers(serve: Callable[..., Server]) -> None:
    server = serve(b"HTTP/1.1 503 Down\r\nX-Why: Rain\r\nContent-Length: 4\r\n\r\ndown")
    answer = send(get(server.url))
    assert (answer.status, answer.body, answer.headers["x-why"]) == (503, b"down", "Rain")


def test_params_headers_and_json_are_sent_with_their_secrets(serve: Callable[..., Server]) -> None:
    server = serve(OK)
    token = Secret("T", "t0p-secret")
    send(
        HttpRequest(
            method="post",
            url=server.url + "/a?x=1#part",
            params={"flag": True, "many": [1, 2], "key": token, "none": None, "space": "a b&c"},
            headers={"Authorization": "Bearer " + token, "X-Number": 3},
            json={"deep": [token]},
        )
    )
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /a?x=1&flag=true&many=1&many=2&key=t0p-secret&space=a+b%26c HTTP/1.1\r\n")
    assert b"Authorization: Bearer t0p-secret" in head
    assert b"X-Number: 3" in head
    assert b"Content-Type: application/json" in head
    assert json.loads(body) == {"deep": ["t0p-secret"]}


@pytest.mark.parametrize(
    ("base", "url", "path"),
    [
        ("", "/graphql", b"/graphql"),
        ("/api/v1/", "/users", b"/api/v1/users"),
        ("/api/v1", "users?x=1", b"/api/v1/users?x=1"),
        ("/api", "", b"/api"),
        ("/api", "//elsewhere.example/x", b"/api/elsewhere.example/x"),
        ("/api", "users:batch", b"/api/users:batch"),
    ],
)
def test_a_relative_address_is_joined_below_the_base(
    serve: Callable[..., Server], base: str, url: str, path: bytes
) -> None:
    server = serve(OK)
    send(get(url), base_url=server.url + base)
    assert server.requests[0].split()[1] == path


def test_an_absolute_address_ignores_the_base(serve: Callable[..., Server]) -> None:
    server = serve(OK)
    assert send(get(server.url), base_url="http://127.0.0.1:1/x").body == b"ok"


def test_a_relative_address_without_a_base_is_told_to_name_a_connection() -> None:
    error = failure(get("/users"))
    assert error.type is ErrorType.CONFIG
    assert "connection" in error.hint


def test_html_in_place_of_json_is_an_answer_whose_json_is_refused(
    serve: Callable[..., Server],
) -> None:
    server = serve(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>Log in</html>")
    answer = send(get(server.url))
    with pytest.raises(StepError) as caught:
        answer.json()
    assert caught.value.type is ErrorType.DATA


def test_a_compressed_answer_is_decompressed(serve: Callable[..., Server]) -> None:
    body = gzip.compress(b"hello" * 1000)
    server = serve(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + body)
    assert send(get(server.url)).body == b"hello" * 1000


def test_proxies_of_the_environment_are_not_used(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, proxy = serve(OK), serve(OK)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, proxy.url)
    send(get(server.url))
    assert (server.connections, proxy.connections) == (1, 0)


# Time


def hang(sock: socket.socket, _: bytes) -> None:
    sock.recv(1)


def drip(start: bytes, drop: bytes) -> Answer:
    def answer(sock: socket.socket, _: bytes) -> None:
        sock.sendall(start)
        while True:
            sock.sendall(drop)
            time.sleep(0.02)

    return answer


ENDLESS = {
    "silence": hang,
    "dripping status": drip(b"HTTP/1.1 200 O", b"K"),
    "dripping headers": drip(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"z"),
    "dripping body": drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"z"),
    "dripping chunks": drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nz\r\n"),
    "continue for ever": drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_the_timeout_covers_the_whole_exchange(serve: Callable[..., Server], name: str) -> None:
    error = failure(get(serve(ENDLESS[name]).url + "/slow?key=abc", timeout=0.3))
    assert error.type is ErrorType.TIMEOUT
    assert "/slow" in error.message
    assert "abc" not in error.message


@pytest.mark.parametrize("name", ENDLESS)
def test_cancelling_ends_the_exchange_at_once(serve: Callable[..., Server], name: str) -> None:
    server = serve(ENDLESS[name])
    cancelled = threading.Event()
    threading.Timer(0.1, cancelled.set).start()
    assert failure(get(server.url, timeout=600), cancelled=cancelled).type is ErrorType.CANCELLED


def test_nothing_is_even_looked_up_when_already_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[Any] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *call, **_: looked_up.extend(call))
    cancelled = threading.Event()
    cancelled.set()
    before = set(threading.enumerate())
    for _ in range(20):
        error = failure(get("http://somewhere.example/"), cancelled=cancelled)
        assert error.type is ErrorType.CANCELLED
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
    assert not looked_up


def test_a_name_server_that_hangs_is_covered_too(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: release.wait(60) and [])
    try:
        assert failure(get("http://slow.example/", timeout=0.2)).type is ErrorType.TIMEOUT
    finally:
        release.set()


def test_nothing_is_sent_once_the_time_is_over(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    received: queue.Queue[bytes] = queue.Queue()
    server = serve(lambda _, request: received.put(request))
    real, release = socket.getaddrinfo, threading.Event()

    def slow(host: Any, *args: Any, **options: Any) -> Any:
        if host == "slow.example":
            release.wait(60)
            host = "127.0.0.1"
        return real(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    try:
        failure(get(f"http://slow.example:{server.port}/", timeout=0.2))
    finally:
        release.set()
    assert received.get(timeout=10) == b""


def test_a_silent_tls_handshake_is_covered_too(serve: Callable[..., Server]) -> None:
    url = serve(hang).url.replace("http:", "https:")
    assert failure(get(url, timeout=0.3)).type is ErrorType.TIMEOUT


def test_the_thread_of_an_exchange_ends_with_it(serve: Callable[..., Server]) -> None:
    before = set(threading.enumerate())
    failure(get(serve(ENDLESS["dripping body"]).url, timeout=0.2))
    for thread in set(threading.enumerate()) - before:
        if thread.name == "http":
            thread.join(10)
            assert not thread.is_alive()


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_a_timeout_must_be_a_positive_number(seconds: float) -> None:
    assert failure(get("http://127.0.0.1:1/", timeout=seconds)).type is ErrorType.CONFIG


# Size


def test_a_body_of_a_gigabyte_is_left_after_the_limit(serve: Callable[..., Server]) -> None:
    sent = 0

    def answer(sock: socket.socket, _: bytes) -> None:
        nonlocal sent
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while sent < 1_000_000_000:
            sent += sock.send(b"z" * 65536)

    error = failure(get(serve(answer).url), limits=Limits(max_bytes=1_000_000))
    assert error.type is ErrorType.POLICY
    assert sent < 100_000_000


def test_a_declared_length_above_the_limit_is_not_read_at_all(serve: Callable[..., Server]) -> None:
    def answer(sock: socket.socket, _: bytes) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n")
        sock.recv(1)  # a reader of the body would wait for ever

    error = failure(get(serve(answer).url), limits=Limits(max_bytes=1000))
    assert error.type is ErrorType.POLICY


def test_a_body_of_exactly_the_limit_is_fine(serve: Callable[..., Server]) -> None:
    assert send(get(serve(OK).url), limits=Limits(max_bytes=2)).body == b"ok"
    assert failure(get(serve(OK).url), limits=Limits(max_bytes=1)).type is ErrorType.POLICY


@pytest.mark.parametrize("chunked", [False, True])
def test_a_gzip_bomb_is_not_unpacked(serve: Callable[..., Server], chunked: bool) -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(1_000_000)) for _ in range(200)) + packer.flush()
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
    if chunked:
        bomb = b"%x\r\n%b\r\n0\r\n\r\n" % (len(bomb), bomb)
        head += b"Transfer-Encoding: chunked\r\n"
    server = serve(head + b"\r\n" + bomb)
    tracemalloc.start()
    try:
        error = failure(get(server.url), limits=Limits(max_bytes=1_000_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert error.type is ErrorType.POLICY
    assert peak < 20_000_000


# Redirects


def test_a_redirect_is_followed_and_keeps_the_headers_at_home(serve: Callable[..., Server]) -> None:
    server = serve(lambda sock, request: sock.sendall(redirect("/b?q=1") if b"GET /a" in request else OK))
    answer = send(get(server.url + "/a", headers={"Authorization": "Bearer x"}, params={"p": "1"}))
    assert answer.body == b"ok"
    assert server.requests[1].startswith(b"GET /b?q=1 ")
    assert b"Authorization: Bearer x" in server.requests[1]


def test_credentials_do_not_follow_to_another_port(serve: Callable[..., Server]) -> None:
    second = serve(OK)
    first = serve(redirect(second.url + "/next"))
    send(
        get(
            first.url,
            headers={
                "Authorization": "Basic abc",
                "Cookie": "a=b",
                "X-Api-Key": "plain",
                "Host": "virtual.example",
                "X-Custom": Secret("S", "hidden-value"),
                "X-Trace": "kept",
            },
            params={"p": Secret("S", "hidden-param")},
        )
    )
    assert b"hidden-value" in first.requests[0]
    seen = second.requests[0].lower()
    assert b"x-trace: kept" in seen
    for word in (b"authorization", b"cookie", b"x-api-key", b"x-custom", b"hidden", b"virtual"):
        assert word not in seen


def test_credentials_dropped_on_the_way_do_not_come_back(serve: Callable[..., Server]) -> None:
    turns = iter([redirect("URL"), OK])
    first: Server
    second = serve(lambda sock, _: sock.sendall(redirect(first.url)))
    first = serve(lambda sock, _: sock.sendall(next(turns).replace(b"URL", second.url.encode())))
    send(get(first.url, headers={"Authorization": "Bearer x"}))
    assert [b"Authorization" in request for request in first.requests] == [True, False]


def test_a_secret_that_the_redirect_repeats_is_not_carried_elsewhere(
    serve: Callable[..., Server],
) -> None:
    second = serve(OK)
    first = serve(redirect(second.url + "/x?key=hidden%2Dtoken"))
    error = failure(get(first.url, headers={"Authorization": "Bearer " + Secret("S", "hidden-token")}))
    assert error.type is ErrorType.POLICY
    assert "hidden" not in error.message
    assert not second.connections


def test_a_redirect_loop_ends(serve: Callable[..., Server]) -> None:
    server = serve(redirect("/again"))
    error = failure(get(server.url), limits=Limits(max_redirects=3))
    assert error.type is ErrorType.POLICY
    assert server.connections == 4


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "http://user:pass@127.0.0.1/",
        "ftp://127.0.0.1/x",
        "javascript:alert(1)",
    ],
)
def test_a_redirect_out_of_http_is_refused(serve: Callable[..., Server], location: str) -> None:
    assert failure(get(serve(redirect(location)).url)).type is ErrorType.POLICY


def test_a_redirect_to_what_is_not_a_url_is_an_error_of_ours(serve: Callable[..., Server]) -> None:
    assert failure(get(serve(redirect("http://[::1")).url)).type is ErrorType.CONFIG


@pytest.mark.parametrize(("method", "status"), [("POST", 302), ("PUT", 307), ("DELETE", 308)])
def test_a_redirected_write_is_returned_and_not_repeated(
    serve: Callable[..., Server], method: str, status: int
) -> None:
    second = serve(OK)
    first = serve(redirect(second.url, status))
    answer = send(HttpRequest(method=method, url=first.url, json={"a": 1}))
    assert (answer.status, answer.headers["location"]) == (status, second.url)
    assert not second.connections


def test_the_endless_body_of_a_redirect_is_not_read(serve: Callable[..., Server]) -> None:
    def answer(sock: socket.socket, request: bytes) -> None:
        if b" /a " not in request:
            return sock.sendall(OK)
        sock.sendall(b"HTTP/1.1 302 Go\r\nLocation: /b\r\n\r\n")
        while True:
            sock.sendall(b"z" * 65536)

    limits = Limits(max_bytes=1_000_000)
    url = serve(answer).url + "/a"
    assert send(get(url), limits=limits).body == b"ok"
    write = HttpRequest(method="POST", url=url, json={}, timeout=10.0)
    assert failure(write, limits=limits).type is ErrorType.POLICY


# Where it may not go


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "fd00:ec2::254", "fe80::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_metadata_addresses_are_denied_under_any_name(
    resolve: Callable[..., list[str]], address: str, scheme: str
) -> None:
    resolve("innocent.example", [address])
    error = failure(get(f"{scheme}://innocent.example/"))
    assert error.type is ErrorType.POLICY
    assert "denied" in error.message


@pytest.mark.parametrize("host", ["169.254.169.254", "[::ffff:169.254.169.254]", "2852039166", "0xa9fea9fe"])
def test_metadata_addresses_are_denied_in_any_writing(host: str) -> None:
    assert failure(get(f"http://{host}/latest/meta-data/")).type is ErrorType.POLICY


def test_a_redirect_to_a_metadata_address_is_denied(serve: Callable[..., Server]) -> None:
    server = serve(redirect("http://169.254.169.254/latest/"))
    assert failure(get(server.url)).type is ErrorType.POLICY


def test_a_name_is_looked_up_once_so_that_it_cannot_change_in_between(
    serve: Callable[..., Server], resolve: Callable[..., list[str]]
) -> None:
    server = serve(OK)
    looked_up = resolve("rebinding.example", ["127.0.0.1"], ["169.254.169.254"])
    assert send(get(f"http://rebinding.example:{server.port}/")).body == b"ok"
    assert len(looked_up) == 1


def test_a_name_with_one_denied_address_is_denied(
    serve: Callable[..., Server], resolve: Callable[..., list[str]]
) -> None:
    server = serve(OK)
    resolve("both.example", ["127.0.0.1", "169.254.169.254"])
    error = failure(get(f"http://both.example:{server.port}/"))
    assert error.type is ErrorType.POLICY
    assert not server.connections


def test_the_address_that_answered_is_checked_before_a_byte_is_sent(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whatever the look-up said: here a router sends the packets to another host.
    server = serve(OK)
    monkeypatch.setattr(socket.socket, "getpeername", lambda _: ("169.254.169.254", 80))
    assert failure(get(server.url)).type is ErrorType.POLICY
    monkeypatch.undo()
    assert not server.requests


def test_a_deployment_can_deny_more_networks(serve: Callable[..., Server]) -> None:
    server = serve(OK)
    limits = Limits(denied=(ip_network("127.0.0.0/8"),))
    assert failure(get(server.url), limits=limits).type is ErrorType.POLICY
    assert not server.connections


@pytest.mark.parametrize(
    ("url", "type_"),
    [
        ("ftp://127.0.0.1/", ErrorType.POLICY),
        ("file:///etc/passwd", ErrorType.POLICY),
        ("http://user:hunter22@127.0.0.1/", ErrorType.POLICY),
        ("http://127.0.0.1/a\r\nX-Evil: 1", ErrorType.POLICY),
        ("http://127.0.0.1:99999/", ErrorType.CONFIG),
        ("http:///path", ErrorType.CONFIG),
        ("http://[::1/", ErrorType.CONFIG),
        ("ftp://[::1/", ErrorType.CONFIG),
    ],
)
def test_an_address_that_is_not_plain_http_is_refused(url: str, type_: ErrorType) -> None:
    error = failure(get(url))
    assert error.type is type_
    assert "hunter22" not in error.message


@pytest.mark.parametrize("url", ["../admin", "a/../../b", "a/%2e%2E/b", "..", "a\\..\\b"])
def test_a_relative_address_may_not_climb_out_of_its_base(url: str) -> None:
    assert failure(get(url), base_url="http://127.0.0.1:1/api").type is ErrorType.POLICY


@pytest.mark.parametrize(
    "headers",
    [{"X": "a\r\nY: b"}, {"X\r\nY": "b"}, {"X": "a\n"}, {"X Y": "b"}, {"": "b"}, {"X": ["a"]}],
)
def test_headers_with_line_breaks_are_refused(headers: dict[str, Any]) -> None:
    assert failure(get("http://127.0.0.1:1/", headers=headers)).type is ErrorType.POLICY


@pytest.mark.parametrize(
    "fields",
    [{"method": "GET /x"}, {"json": {"a": float("nan")}}, {"json": object()},
     {"json": {}, "data": b"x"}],
)  # fmt: skip
def test_a_request_that_makes_no_sense_is_a_config_error(fields: dict[str, Any]) -> None:
    request = HttpRequest(**{"method": "POST", "url": "http://127.0.0.1:1/", **fields})
    assert failure(request).type is ErrorType.CONFIG


# Broken servers


def closes(answer: bytes = b"", *, reset: bool = False) -> Answer:
    def close(sock: socket.socket, _: bytes) -> None:
        sock.sendall(answer)
        if reset:
            linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        sock.close()

    return close


START = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (closes(), "without an answer"),
        (closes(reset=True), "reset"),
        (closes(START), "before the whole answer"),
        (closes(START, reset=True), ""),
        (
            closes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"),
            "before the whole",
        ),
        (says(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "not HTTP"),
        (says(b"HTTP/1.1 abc OK\r\n\r\n"), "not HTTP"),
        (says(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n"), "not HTTP"),
        (says(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"), "not HTTP"),
    ],
)
def test_a_broken_answer_is_a_connection_error_that_says_how(
    serve: Callable[..., Server], answer: Answer, word: str
) -> None:
    server = serve(answer)
    error = failure(get(server.url + "/path?token=abcdef"))
    assert error.type is ErrorType.CONNECTION
    assert word in error.message
    assert f"127.0.0.1:{server.port}" in error.message
    assert "abcdef" not in error.message
    assert error.hint


def test_a_body_that_is_not_what_its_encoding_says_is_a_data_error(
    serve: Callable[..., Server],
) -> None:
    server = serve(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nnot gzip at all")
    assert failure(get(server.url)).type is ErrorType.DATA


def test_a_refused_connection_names_the_peer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    error = failure(get(f"http://127.0.0.1:{port}/"))
    assert error.type is ErrorType.CONNECTION
    assert f"refused by 127.0.0.1:{port}" in error.message


def test_an_unknown_name_is_a_connection_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    error = failure(get("http://nowhere.example/"))
    assert error.type is ErrorType.CONNECTION
    assert "nowhere.example:80" in error.message


def test_no_secret_is_in_an_error_even_when_the_address_is_one() -> None:
    url = Secret("HOOK", "http://127.0.0.1:1/hooks/T0000/abcdefg?k=ijklmnop")
    error = failure(get(url, params={"p": "qrstuvwx"}, headers={"X-Token": "yzyzyzyz"}))  # type: ignore[arg-type]
    told = f"{error.message} {error.hint} {error.details}"
    assert "GET http://127.0.0.1:1/<secret>" in told
    for piece in ("abcdefg", "ijklmnop", "qrstuvwx", "yzyzyzyz"):
        assert piece not in told


def test_a_secret_in_the_path_is_not_told() -> None:
    headers = {"X-Token": Secret("T", "a-token-in-two-places")}
    error = failure(get("http://127.0.0.1:1/u/a-token-in-two-places/x", headers=headers))
    assert "a-token" not in error.message


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 with its key in the same file."""
    if not shutil.which("openssl"):
        pytest.skip("makes its certificate with the openssl command")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder / "cert.pem"


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    return context


def test_https_works_with_an_authority_of_ones_own(
    serve: Callable[..., Server],
    tls: ssl.SSLContext,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert send(get(serve(OK, tls=tls).url)).body == b"ok"


def test_an_unknown_authority_is_refused(
    serve: Callable[..., Server], tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    server = serve(OK, tls=tls)
    error = failure(get(server.url, headers={"Authorization": "Bearer x"}))
    assert error.type is ErrorType.CONNECTION
    assert "self-signed" in error.message.replace("self signed", "self-signed")
    assert not server.requests


def test_a_certificate_for_another_name_is_refused(
    serve: Callable[..., Server],
    tls: ssl.SSLContext,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server = serve(OK, tls=tls)
    error = failure(get(f"https://localhost:{server.port}/"))
    assert error.type is ErrorType.CONNECTION
    assert "TLS" in error.message
    assert not server.requests


def test_a_dripping_answer_over_tls_is_cut_too(
    serve: Callable[..., Server],
    tls: ssl.SSLContext,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server = serve(ENDLESS["dripping headers"], tls=tls)
    assert failure(get(server.url, timeout=0.4)).type is ErrorType.TIMEOUT


def test_authorities_that_cannot_be_read_are_a_config_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    assert failure(get("https://127.0.0.1:1/")).type is ErrorType.CONFIG


def test_tls_to_a_plain_port_says_so() -> None:
    server = Server(says(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    server._read = lambda sock: sock.recv(1024)  # type: ignore[method-assign]
    try:
        error = failure(get(server.url.replace("http:", "https:")))
    finally:
        server.close()
    assert error.type is ErrorType.CONNECTION
    assert "TLS" in error.message


def test_many_exchanges_at_once_do_not_mix(serve: Callable[..., Server]) -> None:
    def echo(sock: socket.socket, request: bytes) -> None:
        path = request.split()[1]
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))

    server = serve(echo)
    answers: dict[int, bytes] = {}

    def ask(number: int) -> None:
        answers[number] = send(get(f"{server.url}/{number}")).body

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: f"/{number}".encode() for number in range(20)}


def test_an_error_answer_of_a_secret_address_does_not_tell_the_address(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    server = serve(lambda sock, _: sock.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))
    world = LiveWorld(
        connections=Connections({}),
        secrets=FixtureSecrets({}),
        files=Folder(tmp_path),
        cancelled=threading.Event(),
    )
    request = get(Secret("HOOK", server.url + "/hooks/T0000?k=ijklmnop"))
    with pytest.raises(StepError) as caught:
        expect_success(request, world.http(request))
    assert caught.value.message == "GET <secret HOOK> answered 404"
    assert caught.value.hint == "check the address"
