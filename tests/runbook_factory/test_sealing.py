"""Sealing: what was sealed opens in its own place with its own key, and nothing else does."""

from dataclasses import replace

import pytest
from hypothesis import given, strategies

from runbook_factory.sealing import Place, Sealed, SealingError, SealingKey, rewrap, seal, unseal

OLD, NEW = SealingKey(b"old-" * 10), SealingKey(b"new-" * 10)
HERE = Place(execution="0b0c6f0e-5f0e-4f63-8d51-0f0f4a1f7a11", name="customer")
VALUE = "canary-7f3a"


@given(strategies.text())
def test_what_was_sealed_opens(value: str) -> None:
    sealed = seal(value, OLD, HERE)
    assert unseal(sealed, [NEW, OLD], HERE) == value


def test_bytes_of_an_environment_variable_that_are_no_text_come_back() -> None:
    assert unseal(seal("caf\udce9", OLD, HERE), [OLD], HERE) == "caf\udce9"


def test_nothing_sealed_twice_looks_alike_or_holds_the_value() -> None:
    one, two = seal(VALUE, OLD, HERE), seal(VALUE, OLD, HERE)
    for part in ("wrapped_key", "nonce", "ciphertext"):
        assert getattr(one, part) != getattr(two, part)
        assert VALUE.encode() not in getattr(one, part)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_every_changed_byte_is_found() -> None:
    sealed = seal(VALUE, OLD, HERE)
    for part in ("wrapped_key", "nonce", "ciphertext"):
        data = getattr(sealed, part)
        for at in range(len(data)):
            refused(replace(sealed, **{part: flipped(data, at)}), "was changed since it was sealed")
        for short in (b"", data[:-1], data + b"x"):
            refused(replace(sealed, **{part: short}), "was changed since it was sealed")


@pytest.mark.parametrize(
    "other",
    [
        replace(HERE, execution="0b0c6f0e-5f0e-4f63-8d51-0f0f4a1f7a12"),
        replace(HERE, name="customer2"),
        Place(execution=HERE.execution + "c", name="ustomer"),
    ],
)
def test_a_value_that_was_moved_does_not_open(other: Place) -> None:
    refused(seal(VALUE, OLD, HERE), "belongs elsewhere", place=other)


def test_parts_of_two_values_of_one_place_do_not_open_together() -> None:
    one, two = seal(VALUE, OLD, HERE), seal("another", OLD, HERE)
    refused(replace(one, wrapped_key=two.wrapped_key), "was changed")
    refused(replace(one, nonce=two.nonce, ciphertext=two.ciphertext), "was changed")


def test_another_key_does_not_open_it_and_is_named() -> None:
    sealed = seal(VALUE, OLD, HERE)
    refused(sealed, f"sealed with the key {OLD.version}, which is not here", keys=[NEW])
    refused(sealed, "which is not here", keys=[])
    refused(replace(sealed, key_version=NEW.version), "was changed", keys=[NEW, OLD])


def test_a_value_under_a_new_key_needs_the_old_one_no_more() -> None:
    sealed = seal(VALUE, OLD, HERE)
    fresh = rewrap(sealed, [OLD], HERE, to=NEW)
    assert (fresh.nonce, fresh.ciphertext) == (sealed.nonce, sealed.ciphertext)
    assert unseal(fresh, [NEW], HERE) == VALUE
    refused(fresh, "which is not here", keys=[OLD])
    with pytest.raises(SealingError, match="which is not here"):
        rewrap(sealed, [NEW], HERE, to=NEW)


def test_the_version_of_a_key_tells_keys_apart_and_nothing_of_them() -> None:
    assert OLD.version == SealingKey(b"old-" * 10).version != NEW.version
    assert len(OLD.version) == 16


def test_the_form_of_what_is_sealed_is_kept() -> None:
    """A value that an earlier version of the program sealed opens for ever."""
    sealed = Sealed(
        key_version="4e51b57a2231f686",
        wrapped_key=bytes.fromhex(
            "254787db3b5ec0c11b474ff83e1e55d976141ae9eaf4cf4d7445e0152b5c8ee4b866f344d9544f119e968f7e5dfcf990e23684f8b70bf79009304a7b"
        ),
        nonce=bytes.fromhex("1b954b3ec38a87a2fdd001ad"),
        ciphertext=bytes.fromhex("466157fef1b8d59fb125c9279911ae43b84aeb004f5d7b9546d94f"),
    )
    assert unseal(sealed, [OLD], HERE) == VALUE


def refused(
    sealed: Sealed, reason: str, *, keys: list[SealingKey] | None = None, place: Place = HERE
) -> None:
    with pytest.raises(SealingError, match=reason) as caught:
        unseal(sealed, [OLD] if keys is None else keys, place)
    assert repr(place.name) in caught.value.message and place.execution in caught.value.message
    assert caught.value.hint and VALUE not in str(caught.value)
