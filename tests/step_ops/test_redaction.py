import base64
import html
import json
import re
import sys
import threading
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from step_ops.redaction import Redactor
from step_ops.secrets import Secret

KEY = b"a key of the deployment"
TOKEN = "s3cr3t-T0ken/with+odd=chars"

secret_values = st.text(min_size=6, max_size=40).filter(lambda text: len(text.strip()) >= 6)
plain_values = st.text(
    st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=6, max_size=40
).filter(lambda text: len(text.strip()) >= 6)
surroundings = st.binary(max_size=12)


def redactor(**secrets: str) -> Redactor:
    made = Redactor(KEY)
    for name, value in secrets.items():
        assert made.register(name, value)
    return made


def settled(value: str) -> Redactor:
    """A redactor whose own masks cannot be taken for the secret."""
    made = Redactor(KEY)
    assume(made.register("Q", value))
    assume(value.strip() not in made.pseudonym("Q", value))
    return made


def test_a_secret_is_replaced_by_its_pseudonym() -> None:
    made = redactor(API_TOKEN=TOKEN)
    pseudonym = made.pseudonym("API_TOKEN", TOKEN)
    assert made.text(f"token={TOKEN}!") == f"token={pseudonym}!"
    assert pseudonym.startswith("secret:API_TOKEN#")
    int(pseudonym.partition("#")[2], 16)


def test_the_pseudonym_depends_on_the_value_the_name_and_the_key() -> None:
    pseudonyms = {
        Redactor(key).pseudonym(name, value)
        for key in (KEY, b"other")
        for name in ("A", "B")
        for value in ("value-one", "value-two")
    }
    assert len(pseudonyms) == 8
    assert Redactor(KEY).pseudonym("A", "x") == Redactor(KEY).pseudonym("A", "x")


@pytest.mark.parametrize("value", ["", "12345", "  12345\n", "secret"])
def test_a_value_too_short_or_part_of_every_mask_is_not_registered(value: str) -> None:
    made = Redactor(KEY)
    assert not made.register("S", value)
    assert made.text("12345 secret") == "12345 secret"


@given(secret_values, st.text(max_size=10), st.text(max_size=10))
def test_no_written_form_of_a_secret_survives(value: str, before: str, after: str) -> None:
    made = settled(value)
    core = value.strip()
    forms = {
        core,
        quote(core),
        quote(core, safe=""),
        re.sub("%..", lambda escape: escape[0].lower(), quote(core, safe="")),
        quote_plus(core),
        json.dumps(core)[1:-1],
        json.dumps(core, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps(core)[1:-1])[1:-1],
        repr(core)[1:-1],
        core.encode().hex(),
        core.encode().hex().upper(),
    }
    for form in forms:
        assert form not in made.text(before + form + after)
        assert form.encode() not in made.bytes(before.encode() + form.encode() + after.encode())


@given(secret_values, surroundings, surroundings, st.booleans())
def test_base64_around_a_secret_does_not_hide_it(
    value: str, before: bytes, after: bytes, urlsafe: bool
) -> None:
    made = settled(value)
    encode = base64.urlsafe_b64encode if urlsafe else base64.b64encode
    decode = base64.urlsafe_b64decode if urlsafe else base64.b64decode
    blob = encode(before + value.encode() + after).decode()
    masked = made.text(f'{{"blob": "{blob}"}}')
    assert blob not in masked
    assert made.pseudonym("Q", value) in masked
    # What is left on both sides of the mask does not decode to the secret at any alignment.
    rest = masked.removeprefix('{"blob": "').removesuffix('"}')
    for part in rest.split(made.pseudonym("Q", value)):
        for shift in range(4):
            text = ("A" * shift + part).rstrip("=")
            text = text[: len(text) - len(text) % 4]
            assert value.strip().encode() not in decode(text)


@given(plain_values, plain_values, st.integers(1, 5))
def test_overlapping_secrets_leave_no_tail(one: str, rest: str, shared: int) -> None:
    one, two = one.strip(), one.strip()[-shared:] + rest.strip()
    made = Redactor(KEY)
    assume(made.register("Q", one) and made.register("Z", two))
    text = "\x00" + one + two[shared:] + "\x00"
    assume(one.rstrip() == one)
    masked = made.text(text)
    assert masked.startswith("\x00secret:")
    assert masked.endswith("\x00")
    assert masked.strip("\x00") in (made.pseudonym("Q", one), made.pseudonym("Z", two))


def test_the_longer_of_two_nested_secrets_wins_whatever_the_order() -> None:
    for names in (("short", "long"), ("long", "short")):
        values = {"short": "abcdefgh", "long": "abcdefgh-ijkl"}
        made = redactor(**{name: values[name] for name in names})
        assert made.text("abcdefgh-ijkl") == made.pseudonym("long", values["long"])
        assert made.text("abcdefgh-") == made.pseudonym("short", values["short"]) + "-"


def test_a_secret_that_overlaps_itself_is_masked_to_its_end() -> None:
    made = redactor(S="abcabcabc")
    assert made.text("xabcabcabcabcx") == f"x{made.pseudonym('S', 'abcabcabc')}x"


def test_masking_twice_changes_nothing() -> None:
    made = redactor(S=TOKEN)
    once = made.text(f"{TOKEN} {quote(TOKEN)}")
    assert made.text(once) == once


@pytest.mark.parametrize("value", ["line one\nline two\n", "line one\r\nline two", "zażółć gęślą jaźń 🔑"])
def test_multi_line_and_unicode_secrets_are_masked_in_every_dress(value: str) -> None:
    made = redactor(S=value)
    core = value.strip()
    for dress in (
        core,
        core.replace("\r\n", "\n"),
        core.replace("\r\n", "\n").replace("\n", "\r\n"),
        json.dumps({"v": core}),
        json.dumps({"v": core}, ensure_ascii=False),
        repr(core),
        repr(core.encode()),
        quote(core),
        json.dumps(json.dumps({"v": core})),
    ):
        assert made.text(dress).count("secret:S#") == 1, dress


@pytest.mark.parametrize("charset", ["utf-8", "latin-1"])
def test_basic_authorization_is_masked(charset: str) -> None:
    made = redactor(PASSWORD="pässwörd1")
    header = "Basic " + base64.b64encode("user:pässwörd1".encode(charset)).decode()
    assert "secret:PASSWORD#" in made.text(header)


def test_base64_inside_a_query_is_masked() -> None:
    made = redactor(S="\u00fb\u00ff\u00fe>>>???~~~")
    blob = base64.b64encode("\u00fb\u00ff\u00fe>>>???~~~".encode()).decode()
    assert "+" in blob or "/" in blob
    assert "secret:S#" in made.text("q=" + quote(blob, safe=""))


NASTY = 'k3y/Ö "a\'b" <c>&+%=\\d'

DRESSES = {
    "a header that was taken for Latin-1": NASTY.encode().decode("latin-1"),
    "the same in JSON": json.dumps(NASTY.encode().decode("latin-1")),
    "an address within an address": quote(quote_plus(NASTY), safe=""),
    "the same as a script writes it": quote(quote(NASTY, safe="!'()*"), safe=""),
    "a page": html.escape(NASTY),
    "a page within JSON": json.dumps(html.escape(NASTY)),
    "JSON within a page": html.escape(json.dumps(NASTY)),
    "JSON within a page within JSON": json.dumps(html.escape(json.dumps(NASTY))),
    "JSON within JSON within JSON": json.dumps(json.dumps(json.dumps(NASTY))),
    "JSON within JSON within an address": quote_plus(json.dumps(json.dumps(NASTY))),
    "JSON within JSON in hex": json.dumps(json.dumps(NASTY)).encode().hex(),
    "a literal of SQL": NASTY.replace("'", "''"),
    "a literal of SQL with escapes": NASTY.replace("\\", "\\\\").replace("'", "''"),
}


@pytest.mark.parametrize("dress", DRESSES)
def test_a_secret_is_found_in_what_is_wrapped_in_something_else(dress: str) -> None:
    masked = redactor(S=NASTY).text(f"x{DRESSES[dress]}x")
    assert masked.count("secret:S#") == 1 and "k3y" not in masked, masked


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le", "utf-16-be"])
def test_bytes_in_another_encoding_are_masked(encoding: str) -> None:
    masked = redactor(S=NASTY).bytes(f"<p>{NASTY}</p>".encode(encoding))
    assert b"secret:S#" in masked and "k3y".encode(encoding)[-4:] not in masked


def test_digits_are_found_as_a_number_with_an_exponent() -> None:
    made = redactor(PIN="9035172644", ROUND="100000000000")
    mask = made.pseudonym("PIN", "9035172644")
    assert made.text("pin 9.035172644e+09 1.5 1.0") == f"pin {mask}e+09 1.5 1.0"
    assert made.data([9035172644.0]) == [f"{mask}.0"]


@pytest.mark.parametrize("shown", [6, 9, len(TOKEN) - 1])
def test_what_is_left_of_a_secret_before_the_mark_of_a_cut_is_masked_too(shown: int) -> None:
    made = redactor(S=TOKEN, T="something else")
    mask = made.pseudonym("S", TOKEN)
    assert made.text(f"it says '{TOKEN[:shown]}…' and … more") == f"it says '{mask}…' and … more"
    assert made.data({"x": [f"= {TOKEN[:shown]}…"]}) == {"x": [f"= {mask}…"]}
    assert made.text(f"{TOKEN[:shown]} and more…") == f"{TOKEN[:shown]} and more…"
    assert made.text(f"{TOKEN[:5]}…") == f"{TOKEN[:5]}…"


def test_of_two_secrets_that_a_cut_may_have_been_in_the_longer_match_wins() -> None:
    made = redactor(ONE="abcdefgh-one", TWO="xyzabcdefgh-two")
    assert made.text("xyzabcdefgh…") == f"{made.pseudonym('TWO', 'xyzabcdefgh-two')}…"


def test_no_number_of_cuts_makes_masking_slow() -> None:
    made = redactor(S=NASTY, T="word " * 800 + "end")
    assert made.text("word word …" * 20_000)


def test_binary_content_is_masked_without_being_decoded() -> None:
    made = redactor(S=TOKEN)
    assert made.bytes(b"\xff\x00" + TOKEN.encode() + b"\xfe") == (
        b"\xff\x00" + made.pseudonym("S", TOKEN).encode() + b"\xfe"
    )


def test_data_is_copied_with_keys_numbers_and_tainted_values_masked() -> None:
    made = redactor(S=TOKEN, PIN="12345678")
    value = {
        "plain": [1, 2.5, True, None, "text"],
        TOKEN: f"a{TOKEN}b",
        "pin": 12345678,
        "auth": Secret("NEW", "never-seen-before"),
        "echo": ("never-seen-before",),
        "raw": TOKEN.encode(),
    }
    masked = made.data(value)
    stands_for = made.pseudonym("S", TOKEN)
    assert masked == {
        "plain": [1, 2.5, True, None, "text"],
        stands_for: f"a{stands_for}b",
        "pin": made.pseudonym("PIN", "12345678"),
        "auth": made.pseudonym("NEW", "never-seen-before"),
        "echo": [made.pseudonym("NEW", "never-seen-before")],
        "raw": stands_for.encode(),
    }
    assert masked["plain"] is not value["plain"]
    assert value[TOKEN] == f"a{TOKEN}b"
    assert "never-seen" not in made.text("and from now on never-seen-before everywhere")


def test_a_short_tainted_value_is_replaced_though_it_cannot_be_looked_for() -> None:
    made = Redactor(KEY)
    assert made.data([Secret("PIN", "1234"), "1234"]) == [made.pseudonym("PIN", "1234"), "1234"]


# Put together here, so that no scanner takes this file for a leak.
SHAPES = [
    ("aws-key-id", "AKIA" + "ABCDEFGH23456789"),
    ("github-token", "ghp_" + "a1B2" * 9),
    ("github-token", "github_pat_" + "a1B2_" * 16),
    ("slack-token", "xoxb-" + "123456789012-abcdefABCDEF"),
    ("jwt", "eyJ" + "hbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0In0." + "c2lnbmF0dXJl_-"),
    ("private-key", "-----BEGIN " + "RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: A\n"
     "\nMIIE+/=\n-----END RSA PRIVATE KEY-----"),
    ("private-key", "-----BEGIN " + "PRIVATE KEY-----\nMIIEcut+/off"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "token"), SHAPES)
def test_well_known_token_shapes_are_withheld(kind: str, token: str) -> None:
    made = Redactor(KEY)
    assert made.text(f'"{token}"') == f'"withheld:{kind}"'
    assert made.bytes(b"\xff" + token.encode() + b'"') == b"\xffwithheld:" + kind.encode() + b'"'
    assert made.data({"x": [token]}) == {"x": [f"withheld:{kind}"]}


def test_a_tainted_value_that_only_begins_like_a_token_is_replaced_to_its_end() -> None:
    made = Redactor(KEY)
    pair = Secret("KEYS", SHAPES[0][1] + ":the-other-half")
    assert made.data([pair, "the-other-half"]) == [made.pseudonym("KEYS", pair.reveal()), "the-other-half"]


@pytest.mark.parametrize(
    "text",
    ["-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----", "AKIA", "eyJhbGci.x", "ghp_x"],
)
def test_what_only_looks_a_little_like_a_token_stays(text: str) -> None:
    assert Redactor(KEY).text(text) == text


@pytest.mark.parametrize(
    "bait",
    ["eyJ", "eyJhbGciOi.", "-----BEGIN PRIVATE KEY-----", "-----BEGIN ", "%22eyJ", "gh", "xoxb-"],
)
def test_no_text_makes_the_shapes_slow(bait: str) -> None:
    # Quadratic matching of half a megabyte would not come to an end within the test's patience.
    assert Redactor(KEY).text(bait * (500_000 // len(bait)))


def test_registering_and_masking_from_many_threads_loses_nothing() -> None:
    made = Redactor(KEY)
    values = [f"value-number-{number:04d}!" for number in range(200)]
    leaks: list[str] = []

    def work(part: list[str]) -> None:
        for value in part:
            made.register("S", value)
            if value in made.text(f"<{value}>"):
                leaks.append(value)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(values[at::4],)) for at in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not leaks
    whole = made.text(" ".join(values))
    assert not [value for value in values if value in whole]
