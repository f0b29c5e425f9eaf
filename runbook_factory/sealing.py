"""Sealing a value, so that it can only be read with the deployment's key, and only in its own place.

Each value has a data key of its own (AES-256-GCM), which is wrapped by a key that is derived from the
deployment's. To rotate the deployment's key, only data keys are wrapped again; to forget a value for
good, its wrapped data key is removed.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
NONCE_BYTES = 12
# The pseudonyms of secrets are made with the deployment's key itself: these must have nothing in common.
_WRAPPING = b"runbook-engine sealed inputs: wrapping key 1"
_VERSION = b"runbook-engine sealed inputs: key version 1"
_VALUE, _DATA_KEY = b"value", b"data key"


class SealingError(Exception):
    """A sealed value that cannot be opened; the message says why, and nothing of the value."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a sealed value belongs. Moved anywhere else, it does not open."""

    execution: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """A sealed value as it is stored; `key_version` names the key that wraps its data key."""

    key_version: str
    wrapped_key: bytes
    nonce: bytes
    ciphertext: bytes


class SealingKey:
    """What a deployment's key is for sealing; `version` tells it from others, and tells nothing of it."""

    def __init__(self, deployment_key: bytes) -> None:
        self.version = _derived(deployment_key, _VERSION)[:8].hex()
        self._aead = AESGCM(_derived(deployment_key, _WRAPPING))

    def wrap(self, data_key: bytes, place: Place) -> bytes:
        """The data key, for this place only."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, data_key, self._bound(place))

    def unwrap(self, wrapped: bytes, place: Place) -> bytes:
        """The data key again; raises `SealingError`."""
        nonce, rest = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]
        return _opened(self._aead, nonce, rest, self._bound(place), place)

    def _bound(self, place: Place) -> bytes:
        return _bound(_DATA_KEY, place.execution, place.name, self.version)


def seal(value: str, key: SealingKey, place: Place) -> Sealed:
    """The value, sealed for this place."""
    data_key, nonce = os.urandom(KEY_BYTES), os.urandom(NONCE_BYTES)
    plain = value.encode("utf-8", "surrogateescape")
    return Sealed(
        key_version=key.version,
        wrapped_key=key.wrap(data_key, place),
        nonce=nonce,
        ciphertext=AESGCM(data_key).encrypt(nonce, plain, _bound_value(place)),
    )


def unseal(sealed: Sealed, keys: Iterable[SealingKey], place: Place) -> str:
    """The value again, with whichever of `keys` it was sealed with; raises `SealingError`."""
    data_key = _data_key(sealed, keys, place)
    plain = _opened(AESGCM(data_key), sealed.nonce, sealed.ciphertext, _bound_value(place), place)
    return plain.decode("utf-8", "surrogateescape")


def rewrap(sealed: Sealed, keys: Iterable[SealingKey], place: Place, *, to: SealingKey) -> Sealed:
    """The same value under another key; the value itself is not opened. Raises `SealingError`."""
    wrapped = to.wrap(_data_key(sealed, keys, place), place)
    return replace(sealed, key_version=to.version, wrapped_key=wrapped)


def _data_key(sealed: Sealed, keys: Iterable[SealingKey], place: Place) -> bytes:
    for key in keys:
        if key.version == sealed.key_version:
            data_key = key.unwrap(sealed.wrapped_key, place)
            if len(data_key) != KEY_BYTES:
                raise _damaged(place)
            return data_key
    raise SealingError(
        f"input {place.name!r} of execution {place.execution} was sealed with the key"
        f" {sealed.key_version}, which is not here",
        hint="put the key of that time into RUNBOOK_KEY_PREVIOUS",
    )


def _opened(aead: AESGCM, nonce: bytes, data: bytes, bound: bytes, place: Place) -> bytes:
    try:
        return aead.decrypt(nonce, data, bound)
    except (InvalidTag, ValueError):
        raise _damaged(place) from None


def _damaged(place: Place) -> SealingError:
    return SealingError(
        f"input {place.name!r} of execution {place.execution} does not open:"
        " it was changed since it was sealed, or belongs elsewhere",
        hint="restore the table runbook.sealed_inputs, and find out who wrote to it",
    )


def _bound_value(place: Place) -> bytes:
    # Without the version of the key: the value stays as it is when its data key is wrapped again.
    return _bound(_VALUE, place.execution, place.name)


def _bound(kind: bytes, *parts: str) -> bytes:
    """What is sealed in with the data; each part with its length, so that none runs into the next."""
    data = [kind, *(part.encode("utf-8", "surrogatepass") for part in parts)]
    return b"".join(len(part).to_bytes(4, "big") + part for part in data)


def _derived(deployment_key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=purpose).derive(deployment_key)
