"""Sources of secrets: one suite that all pass, then what is peculiar to the environment and to files."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from step_ops.errors import ErrorType, StepError
from step_ops.secret_providers.chain import KINDS, SecretChain, load_secrets
from step_ops.secret_providers.environment import Environment
from step_ops.secret_providers.files import Files
from step_ops.secret_providers.source import MAX_BYTES, Missing, Source
from step_ops.secret_providers.vault import Vault
from tests.vaults import Bao, running_bao

VALUE = "canary-7f3a"


@dataclass(frozen=True)
class Bench:
    """A source, and a way to put a value where it looks."""

    source: Source
    put: Callable[[str, Any], None]


@pytest.fixture(scope="module")
def bao() -> Iterator[Bao]:
    with running_bao() as running:
        yield running


@pytest.fixture(params=["environment", "files", "vault", "vault-entries"])
def bench(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    match request.param:
        case "environment":
            return Bench(Environment(), lambda name, value: monkeypatch.setenv(name, value))
        case "files":
            return Bench(Files(str(tmp_path)), lambda name, value: _write(tmp_path / name, value))
    bao: Bao = request.getfixturevalue("bao")
    folder = uuid4().hex
    monkeypatch.setenv("VAULT_ADDR", bao.url)
    monkeypatch.setenv("VAULT_TOKEN", bao.token(bao.policy(folder, f"secret/data/{folder}*")))
    settings = {"url": "${VAULT_ADDR}", "auth": {"token": "${VAULT_TOKEN}"}}
    if request.param == "vault":
        source = Vault.from_settings({**settings, "path": folder}, place="x")
        fields: dict[str, Any] = {}

        def put(name: str, value: Any) -> None:
            fields[name] = value
            bao.write(folder, **fields)

        return Bench(source, put)
    source = Vault.from_settings({**settings, "path": f"{folder}/{{name}}", "field": "it"}, place="x")
    return Bench(source, lambda name, value: bao.write(f"{folder}/{name}", it=value))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


# The contract


def test_a_source_gives_the_value_and_the_next_value_at_the_next_use(bench: Bench) -> None:
    bench.put("RB_TOKEN", VALUE)
    assert bench.source.find("RB_TOKEN") == VALUE
    bench.put("RB_TOKEN", "rotated-1b2c")
    assert bench.source.find("RB_TOKEN") == "rotated-1b2c"


def test_a_source_keeps_the_value_as_it_is(bench: Bench) -> None:
    for value in (" spaced ", "über-schön-ключ", "line\nbreak", '{"json": "text"}', "x" * 10_000):
        bench.put("RB_TOKEN", value)
        assert bench.source.find("RB_TOKEN") == value


def test_a_source_says_why_it_lacks_a_name_and_what_to_do(bench: Bench) -> None:
    bench.put("RB_TOKEN", VALUE)
    missing = bench.source.find("RB_OTHER")
    assert isinstance(missing, Missing)
    assert missing.reason and "RB_OTHER" in missing.hint + missing.reason
    with pytest.raises(StepError, match=r"^secret 'RB_OTHER' (is|has) no") as caught:
        SecretChain([bench.source]).get("RB_OTHER")
    assert caught.value.type is ErrorType.SECRET
    assert caught.value.hint == missing.hint


def test_an_empty_value_counts_as_missing(bench: Bench) -> None:
    bench.put("RB_TOKEN", "")
    assert isinstance(bench.source.find("RB_TOKEN"), Missing)


@pytest.mark.parametrize("name", ["../RB_TOKEN", "a/b", "..", "..data", ".", "", "a\nb", "a\0b", "-" * 300])
def test_a_name_leads_nowhere_else(bench: Bench, name: str) -> None:
    bench.put("RB_TOKEN", VALUE)
    assert isinstance(bench.source.find(name), Missing)


def test_a_source_that_is_there_is_good_and_shows_no_value(bench: Bench) -> None:
    bench.put("RB_TOKEN", VALUE)
    assert bench.source.check()
    assert VALUE not in bench.source.check() + bench.source.place + repr(bench.source)


# The environment


def test_only_allowed_variables_are_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RB_TOKEN", VALUE)
    monkeypatch.setenv("RB_HOME", "/home/ann")
    chain = SecretChain([Environment(allowed=frozenset({"RB_TOKEN", "RB_ABSENT"}))])
    assert chain.get("RB_TOKEN") == VALUE
    with pytest.raises(StepError, match="'RB_HOME' is not on the allow-list of this deployment"):
        chain.get("RB_HOME")
    with pytest.raises(StepError, match="'RB_ABSENT' is not set"):
        chain.get("RB_ABSENT")
    assert SecretChain().get("RB_HOME") == "/home/ann"


# Files


def mount(folder: Path, generation: str, **secrets: str) -> None:
    """What Kubernetes does: a folder of its own for each generation, swapped by one link."""
    inner = folder / generation
    inner.mkdir()
    for name, value in secrets.items():
        _write(inner / name, value)
    (folder / "..data_tmp").symlink_to(generation)
    (folder / "..data_tmp").rename(folder / "..data")
    for name in secrets:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")


def test_files_are_read_as_kubernetes_mounts_and_rotates_them(tmp_path: Path) -> None:
    files = Files(str(tmp_path))
    mount(tmp_path, "..2026_01_01", TOKEN="first-value\n")
    assert files.find("TOKEN") == "first-value"
    mount(tmp_path, "..2026_01_02", TOKEN="second-value\n")
    for path in (tmp_path / "..2026_01_01").iterdir():
        path.unlink()
    (tmp_path / "..2026_01_01").rmdir()
    assert files.find("TOKEN") == "second-value"
    assert files.check() == "1 file"


def test_one_line_end_is_not_part_of_a_secret(tmp_path: Path) -> None:
    for written, value in (("a1b2c3\n", "a1b2c3"), ("a1b2c3\r\n", "a1b2c3"), ("a1b2c3\n\n", "a1b2c3\n")):
        (tmp_path / "TOKEN").write_bytes(written.encode())
        assert Files(str(tmp_path)).find("TOKEN") == value


def _absolute(folder: Path, outside: Path) -> None:
    (folder / "TOKEN").symlink_to(outside)


def _climbing(folder: Path, outside: Path) -> None:
    (folder / "TOKEN").symlink_to(f"../{outside.name}")


def _through_data(folder: Path, outside: Path) -> None:
    (folder / "..data").symlink_to(outside.parent)
    (folder / "TOKEN").symlink_to(f"..data/{outside.name}")


def _round(folder: Path, outside: Path) -> None:
    (folder / "TOKEN").symlink_to("OTHER")
    (folder / "OTHER").symlink_to("TOKEN")


@pytest.mark.parametrize("link", [_absolute, _climbing, _through_data, _round])
def test_no_link_leads_out_of_the_folder(tmp_path: Path, link: Callable[[Path, Path], None]) -> None:
    folder, outside = tmp_path / "secrets", tmp_path / "outside"
    folder.mkdir()
    _write(outside, VALUE)
    link(folder, outside)
    with pytest.raises(StepError, match=r"'TOKEN' in .* is a link that leads out of the folder") as caught:
        Files(str(folder)).find("TOKEN")
    assert caught.value.type is ErrorType.SECRET and VALUE not in str(caught.value)


def _folder(path: Path) -> None:
    path.mkdir()


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1024**3)  # takes no room


def _binary(path: Path) -> None:
    path.write_bytes(VALUE.encode() + b"\xff\xfe")


def _open_to_all(path: Path) -> None:
    _write(path, VALUE)
    path.chmod(0o666)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_folder, "is not a file"),
        (_pipe, "is not a file"),
        (_huge, f"is larger than {MAX_BYTES // 1024} KiB"),
        (_binary, "is not UTF-8 text"),
        (_open_to_all, "can be written by everyone"),
    ],
)
def test_a_file_that_is_no_secret_is_refused(
    tmp_path: Path, make: Callable[[Path], None], reason: str
) -> None:
    make(tmp_path / "TOKEN")
    with pytest.raises(StepError, match=f"^secret 'TOKEN' .*{reason}") as caught:
        Files(str(tmp_path)).find("TOKEN")
    assert caught.value.hint and VALUE not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_says_so(tmp_path: Path) -> None:
    _write(tmp_path / "TOKEN", VALUE)
    (tmp_path / "TOKEN").chmod(0)
    with pytest.raises(StepError, match=r"cannot be read from .*: permission denied"):
        Files(str(tmp_path)).find("TOKEN")


def test_a_folder_that_is_not_mounted_is_not_a_missing_secret(tmp_path: Path) -> None:
    files = Files(str(tmp_path / "absent"))
    for ask in (lambda: files.find("TOKEN"), files.check):
        with pytest.raises(StepError, match=r"folder of secrets .*/absent cannot be opened: no such file"):
            ask()


def test_the_folder_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path / "TOKEN", VALUE)
    files = Files("${RB_SECRETS}")
    with pytest.raises(StepError, match="needs the environment variable RB_SECRETS"):
        files.find("TOKEN")
    monkeypatch.setenv("RB_SECRETS", str(tmp_path))
    assert files.find("TOKEN") == VALUE


# The chain


def test_the_first_source_that_has_the_name_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    chain = deployed(tmp_path, "- environment: [RB_A, RB_B]", f"- files: {folder}")
    _write(folder / "RB_A", "from-files")
    _write(folder / "RB_C", "from-files")
    monkeypatch.setenv("RB_A", "from-environment")
    monkeypatch.setenv("RB_C", "from-environment")
    assert [chain.get("RB_A"), chain.get("RB_C")] == ["from-environment", "from-files"]
    with pytest.raises(StepError) as caught:
        chain.get("RB_B")
    assert caught.value.message == f"secret 'RB_B' is not set and has no file in {folder}"
    assert caught.value.hint == f"export RB_B=... before the run; or mount it as {folder}/RB_B"


def test_a_source_that_cannot_tell_ends_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = deployed(tmp_path, f"- files: {tmp_path}/absent", "- environment: all")
    monkeypatch.setenv("RB_A", "from-environment")
    with pytest.raises(StepError, match="cannot be opened"):
        chain.get("RB_A")


def test_a_deployment_that_names_no_source_uses_all_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RB_A", VALUE)
    assert load_secrets(tmp_path / "absent.yaml").get("RB_A") == VALUE
    path = tmp_path / "connections.yaml"
    for text in ("", "connections: {}\n"):
        _write(path, text)
        assert load_secrets(path).get("RB_A") == VALUE
    _write(path, "secrets: []\n")
    with pytest.raises(StepError, match="'RB_A' has no source to come from"):
        load_secrets(path).get("RB_A")


VAULT = "url: 'http://v', path: runbook, auth: {token: '${T}'}"


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("- environment", "secrets.0: not a mapping with one key"),
        ("- {environment: all, files: /x}", "secrets.0: not a mapping with one key"),
        ("- keychain: all", "secrets.0: unknown source 'keychain'"),
        ("- environment: some", "secrets.0.environment: Input should be 'all'"),
        ("- environment: [1]", "secrets.0.environment.0: Input should be a valid string"),
        ("- files: [a]", "secrets.0.files: Input should be a valid string"),
        ("- vault: {path: a, auth: {token: '${T}'}}", "secrets.0.vault.url: Field required"),
        (f"- vault: {{{VAULT}, timeout_seconds: 0}}", "secrets.0.vault.timeout_seconds: Input should be"),
        (f"- vault: {{{VAULT}, colour: red}}", "secrets.0.vault.colour: Extra inputs are not permitted"),
        (f"- vault: {{{VAULT}, field: value}}", r"secrets.0.vault: .*`field` needs \{name\} in `path`"),
        ("- vault: {url: 'http://v', path: a, auth: {}}", "secrets.0.vault.auth: .*give one of token"),
        (
            "- vault: {url: 'http://v', path: a, auth: {token: hvs.canary}}",
            "secrets.0.vault.auth.token: String should match",
        ),
        ("- vault: {url: 'http://v', path: a/../b, auth: {token: '${T}'}}", "may not hold '..'"),
    ],
)
def test_what_a_deployment_writes_wrong_has_its_place(tmp_path: Path, entry: str, reason: str) -> None:
    with pytest.raises(StepError, match=f"^connections.yaml: .*{reason}") as caught:
        deployed(tmp_path, entry)
    assert caught.value.type is ErrorType.CONFIG
    assert "hvs.canary" not in caught.value.message


def test_a_file_with_another_key_or_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "connections.yaml"
    for text, reason in (
        ("secret: []\n", "unknown key 'secret'"),
        ("- a\n", "is not a mapping"),
        ("secrets: all\n", "secrets: not a list"),
        ("connections: {a: {url: 'canary-7f3a\n", "is not YAML: line"),
    ):
        _write(path, text)
        with pytest.raises(StepError, match=reason) as caught:
            load_secrets(path)
        assert VALUE not in str(caught.value)


def test_each_kind_of_source_passes_the_contract() -> None:
    assert set(KINDS) == {"environment", "files", "vault"}  # a new one is added to `bench` above


def deployed(folder: Path, *entries: str) -> SecretChain:
    path = folder / "connections.yaml"
    _write(path, "secrets:\n" + "".join(f"  {entry}\n" for entry in entries))
    return load_secrets(path)
