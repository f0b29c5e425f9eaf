"""Vault: against a real OpenBao server; what a real one does not do, against a server that is told to.

The login of Kubernetes is of the second kind: a real one asks a Kubernetes API, which is not here.
"""

import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from step_ops.errors import ErrorType, StepError
from step_ops.secret_providers.source import MAX_BYTES, Missing
from step_ops.secret_providers.vault import Vault
from tests.scripted import Says, Server
from tests.vaults import Bao, running_bao

VALUE = "canary-7f3a"
TOKEN = "hvs.canary-of-the-token"
ENTRY = {"data": {"data": {"TOKEN": VALUE}, "metadata": {"version": 1}}}


@pytest.fixture(scope="module")
def bao() -> Iterator[Bao]:
    with running_bao() as running:
        yield running


@pytest.fixture
def path(bao: Bao) -> str:
    """An entry of this test's own, with one secret."""
    name = uuid4().hex
    bao.write(name, TOKEN=VALUE)
    return name


@pytest.fixture
def asks(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Vault]:
    """The source that asks a server; what opens it stands in the environment."""

    def make(url: str, *, token: str = TOKEN, **more: Any) -> Vault:
        monkeypatch.setenv("RB_VAULT_TOKEN", token)
        settings = {"url": url, "path": "runbook", "auth": {"token": "${RB_VAULT_TOKEN}"}, **more}
        return Vault.from_settings(settings, place="vault")

    return make


@pytest.fixture
def as_role(asks: Callable[..., Vault], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Vault]:
    """The source that logs in as an AppRole."""

    def make(url: str, role_id: str, secret_id: str, **more: Any) -> Vault:
        monkeypatch.setenv("RB_SECRET_ID", secret_id)
        auth = {"approle": {"role_id": role_id, "secret_id": "${RB_SECRET_ID}"}}
        return asks(url, auth=auth, **more)

    return make


def refusal(source: Vault, reason: str, *, name: str = "TOKEN") -> StepError:
    with pytest.raises(StepError, match=reason) as caught:
        source.find(name)
    assert caught.value.type is ErrorType.SECRET
    assert caught.value.message.startswith(f"secret {name!r} ") and caught.value.hint
    shown = "".join(traceback.format_exception(caught.value)) + caught.value.hint
    assert VALUE not in shown and TOKEN not in shown
    return caught.value


# The real server


def test_a_secret_that_another_version_rotates_is_seen_at_once(
    bao: Bao, path: str, asks: Callable[..., Vault]
) -> None:
    source = asks(bao.url, token=bao.root, path=path)
    assert source.find("TOKEN") == VALUE
    bao.write(path, TOKEN="rotated-1b2c")
    assert source.find("TOKEN") == "rotated-1b2c"
    bao.call("DELETE", f"secret/data/{path}")
    assert source.find("TOKEN") == Missing(
        reason=f"has no entry secret/{path} in the vault", hint=f"write the entry secret/{path}"
    )


def test_a_field_that_is_not_there_or_no_text_says_so(
    bao: Bao, path: str, asks: Callable[..., Vault]
) -> None:
    source = asks(bao.url, token=bao.root, path=path)
    missing = source.find("OTHER")
    assert isinstance(missing, Missing) and f"is no field of secret/{path}" in missing.reason
    bao.write(path, TOKEN=4711, LIST=["canary-7f3a"], LONG="x" * (MAX_BYTES + 1))
    refusal(source, "is not text")
    refusal(source, "is not text", name="LIST")
    refusal(source, "is larger than 64 KiB", name="LONG")


def test_a_mount_and_a_path_of_their_own(bao: Bao, asks: Callable[..., Vault]) -> None:
    mount = f"kv/{uuid4().hex}"
    bao.call("POST", f"sys/mounts/{mount}", {"type": "kv", "options": {"version": "2"}})
    bao.call("POST", f"{mount}/data/ops/TOKEN", {"data": {"value": VALUE}})
    source = asks(bao.url, token=bao.root, mount=mount, path="ops/{name}")
    assert source.find("TOKEN") == VALUE
    refusal(asks(bao.url, token=bao.root, mount="nowhere"), "has no secrets engine at 'nowhere'")


def test_a_policy_that_does_not_reach_the_entry_is_named_so(
    bao: Bao, path: str, asks: Callable[..., Vault]
) -> None:
    source = asks(bao.url, token=bao.token("default"), path=path)
    error = refusal(source, f"cannot be read from secret/{path}: the vault refuses: permission denied")
    assert "policy" in error.hint
    assert source.check() == "reachable, login accepted"


def test_a_token_that_is_over_is_told_from_one_that_may_not(
    bao: Bao, path: str, asks: Callable[..., Vault]
) -> None:
    token = bao.token(bao.policy(path, f"secret/data/{path}"))
    source = asks(bao.url, token=token, path=path)
    assert source.find("TOKEN") == VALUE
    bao.call("POST", "auth/token/revoke", {"token": token})
    refusal(source, "refuses the token: it has expired or was revoked")
    with pytest.raises(StepError, match="the vault refuses"):
        source.check()


def test_a_login_is_kept_until_it_is_refused_and_then_made_once_more(
    bao: Bao, path: str, as_role: Callable[..., Vault]
) -> None:
    policy = bao.policy(path, f"secret/data/{path}")
    source = as_role(bao.url, *bao.app_role(path, policy), path=path)
    assert source.find("TOKEN") == VALUE
    (first,) = tokens_of(bao, path)
    assert source.find("TOKEN") == VALUE
    assert tokens_of(bao, path) == [first]
    bao.call("POST", "auth/token/revoke-accessor", {"accessor": first})
    assert source.find("TOKEN") == VALUE
    (second,) = tokens_of(bao, path)
    assert second != first
    bao.call("PUT", f"sys/policies/acl/{policy}", {"policy": 'path "x" {}'})
    refusal(source, "refuses: permission denied")


def test_threads_that_begin_together_log_in_once(bao: Bao, path: str, as_role: Callable[..., Vault]) -> None:
    source = as_role(bao.url, *bao.app_role(path, bao.policy(path, f"secret/data/{path}")), path=path)
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(source.find("TOKEN"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [VALUE] * 8
    assert len(tokens_of(bao, path)) == 1


def test_a_login_that_is_refused_says_which(bao: Bao, path: str, as_role: Callable[..., Vault]) -> None:
    role_id, _ = bao.app_role(path, "default")
    source = as_role(bao.url, role_id, f"{TOKEN}-wrong", path=path)
    refusal(source, "the vault refuses the login: AppRole at 'approle'")
    with pytest.raises(StepError, match="refuses the login"):
        source.check()


def tokens_of(bao: Bao, role: str) -> list[str]:
    """The accessors of the live tokens that this AppRole logged in to."""
    found = []
    for accessor in bao.call("LIST", "auth/token/accessors")["data"]["keys"]:
        data = bao.call("POST", "auth/token/lookup-accessor", {"accessor": accessor})["data"]
        if (data["meta"] or {}).get("role_name") == role:
            found.append(accessor)
    return found


def test_a_vault_that_is_sealed_and_then_gone(asks: Callable[..., Vault]) -> None:
    with running_bao() as bao:
        bao.write("runbook", TOKEN=VALUE)
        source = asks(bao.url, token=bao.root)
        assert source.find("TOKEN") == VALUE
        bao.call("PUT", "sys/seal")
        assert "unseal it" in refusal(source, "is sealed").hint
        with pytest.raises(StepError, match="the vault is sealed"):
            source.check()
    refusal(source, "cannot be asked: .*connection refused")


# A server that does what it is told


def test_the_login_of_kubernetes_sends_the_token_of_the_pod_as_it_is_now(
    server: Server, asks: Callable[..., Vault], tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("jwt-1\n", encoding="ascii")
    account = {"role": "runbooks", "mount": "k8s/eu", "token_file": str(file)}
    source = asks(server.url, auth={"kubernetes": account}, namespace="ops")
    server.answers["/v1/auth/k8s/eu/login"] = [
        Says({"auth": {"client_token": "t-1"}}),
        Says({"auth": {"client_token": "t-2"}}),
    ]
    server.answers["/v1/secret/data/runbook"] = lambda asked: (
        Says(ENTRY) if asked.headers["x-vault-token"] in valid else Says({"errors": []}, status=403)
    )
    valid = {"t-1", "t-2"}
    assert [source.find("TOKEN"), source.find("TOKEN")] == [VALUE, VALUE]
    valid.discard("t-1")
    file.write_text("jwt-2\n", encoding="ascii")
    assert source.find("TOKEN") == VALUE
    logins = [asked for asked in server.asked if asked.path.endswith("/login")]
    assert [asked.json() for asked in logins] == [
        {"role": "runbooks", "jwt": "jwt-1"},
        {"role": "runbooks", "jwt": "jwt-2"},
    ]
    assert {asked.headers["x-vault-namespace"] for asked in server.asked} == {"ops"}
    assert all("x-vault-token" not in asked.headers for asked in logins)


def test_a_pod_without_a_service_account_is_told_so(
    server: Server, asks: Callable[..., Vault], tmp_path: Path
) -> None:
    account = {"role": "runbooks", "token_file": str(tmp_path / "absent")}
    source = asks(server.url, auth={"kubernetes": account})
    refusal(source, "needs .*/absent, which cannot be read: no such file")
    assert server.asked == []


NOT_JSON = "answered with what is not JSON"
WRONG = "did not answer as KV version 2 does"
ECHO = {"errors": [f"{TOKEN} {VALUE}"]}


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        (Says(text=f"<html>Log in: {VALUE}</html>"), NOT_JSON),
        (Says(text=""), NOT_JSON),
        (Says(text="[" * 100_000), NOT_JSON),
        (Says([VALUE]), NOT_JSON),
        (Says({}), WRONG),
        (Says({"data": {"TOKEN": VALUE}}), WRONG),  # as KV version 1 answers
        (Says({"data": {"data": VALUE}}), WRONG),
        (Says(ENTRY, status=302, headers={"Location": "/v1/elsewhere"}), "redirected"),
        (Says(ENTRY, status=307, headers={"Location": "http://127.0.0.1:1/"}), "redirected"),
        (Says(ECHO, status=400), r"answers with an error \(InvalidRequest\)"),
        (Says(ECHO, status=403), "refuses the token"),
        (Says(ECHO, status=418), r"answers with an error \(UnexpectedError\)"),
        (Says(ECHO, status=429), "asks for fewer requests"),
        (Says(ECHO, status=500), r"answers with an error \(InternalServerError\)"),
        (Says({"errors": VALUE}, status=500), "answers with an error"),
        (Says(text=f"{TOKEN} {VALUE}", status=502), "is not available"),
        (Says({"errors": ["Vault is sealed"]}, status=503), "is sealed"),
        (Says(ECHO, status=503), "is not available"),
        (Says({"errors": []}, status=501), "is not initialized"),
        (Says(data=b"x" * (1024 * 1024 + 1)), "is larger than 1048576 bytes"),
    ],
)
def test_a_server_that_lies_is_found_out_and_not_quoted(
    server: Server, asks: Callable[..., Vault], says: Says, reason: str
) -> None:
    server.answers["/v1/secret/data/runbook"] = says
    server.answers["/v1/auth/token/lookup-self"] = says
    server.answers["/v1/elsewhere"] = Says(ENTRY)
    refusal(asks(server.url), reason)
    assert all("elsewhere" not in asked.path for asked in server.asked)


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        (Says({"auth": None}), "answered a login without a token"),
        (Says({"auth": {"client_token": 7}}), "answered a login without a token"),
        (Says({}, status=307, headers={"Location": "http://127.0.0.1:1/"}), "redirects elsewhere"),
        (Says(ECHO, status=403), "refuses the login"),
        (Says(ECHO, status=404), "refuses the login"),
        (Says(text=TOKEN), NOT_JSON),
    ],
)
def test_a_login_that_goes_wrong_shows_nothing_of_it(
    server: Server, as_role: Callable[..., Vault], says: Says, reason: str
) -> None:
    server.answers["/v1/auth/approle/login"] = says
    refusal(as_role(server.url, "role", TOKEN), reason)


def test_a_server_that_hangs_is_given_up_after_its_time(server: Server, asks: Callable[..., Vault]) -> None:
    server.answers["/v1/secret/data/runbook"] = Says(ENTRY, delay=1.5)
    began = time.monotonic()
    error = refusal(asks(server.url, timeout_seconds=0.3), "within 0.3 s|did not answer in time")
    assert time.monotonic() - began < 1.2
    assert "timeout_seconds" in error.hint


@contextmanager
def endless(block: bytes, *, pause: float) -> Iterator[str]:
    """The address of a server that answers one question with `block` over and over."""
    ended = threading.Event()

    def answer() -> None:
        connection, _ = listening.accept()
        with connection, suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while not ended.wait(pause):
                connection.sendall(b"%x\r\n%s\r\n" % (len(block), block))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        ended.set()
        thread.join()


def test_an_answer_without_end_is_not_read_to_its_end(asks: Callable[..., Vault]) -> None:
    with endless(b" " * 65_536, pause=0) as url:
        refusal(asks(url), "is larger than 1048576 bytes")


def test_a_server_that_drips_is_given_up_after_its_time(asks: Callable[..., Vault]) -> None:
    with endless(b" ", pause=0.05) as url:
        began = time.monotonic()
        refusal(asks(url, timeout_seconds=0.4), "within 0.4 s|did not answer in time")
        assert time.monotonic() - began < 1.2


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://169.254.169.254", "is refused"),
        ("http://no-such-host.invalid", "no connection to no-such-host.invalid"),
        ("http://ann:letmein@127.0.0.1", "holds a user or password"),
        ("file:///etc/passwd", "is not a URL|scheme of the address is refused"),
        ("https://127.0.0.1:1", "connection refused"),
    ],
)
def test_an_address_that_is_no_vault(asks: Callable[..., Vault], url: str, reason: str) -> None:
    error = refusal(asks(url, timeout_seconds=2), reason)
    assert "letmein" not in error.message + error.hint


def test_an_authority_of_its_own_that_cannot_be_read(asks: Callable[..., Vault]) -> None:
    refusal(asks("https://127.0.0.1:1", ca_file="/absent.pem"), "the file /absent.pem cannot be read")


def test_a_variable_that_is_not_set_is_named(
    asks: Callable[..., Vault], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = asks("${RB_VAULT_ADDR}")
    with pytest.raises(StepError, match="needs the environment variable RB_VAULT_ADDR") as caught:
        source.find("TOKEN")
    assert caught.value.hint == "export RB_VAULT_ADDR=..."


def test_nothing_of_the_environment_of_hvac_is_used(
    server: Server, asks: Callable[..., Vault], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers["/v1/secret/data/runbook"] = Says(ENTRY)
    for name in ("VAULT_TOKEN", "VAULT_NAMESPACE", "VAULT_ADDR", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert asks(server.url).find("TOKEN") == VALUE
    (asked,) = server.asked
    assert (asked.headers["x-vault-token"], asked.headers.get("x-vault-namespace")) == (TOKEN, None)


def test_a_source_that_is_not_asked_loads_no_client() -> None:
    code = (
        "import sys, step_ops.secret_providers.chain; print('hvac' in sys.modules, 'requests' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    assert done.stdout.split() == ["False", "False"]
