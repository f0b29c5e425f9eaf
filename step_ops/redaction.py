"""Masking: what leaves this process holds no known secret, in whatever way it is written."""

import base64
import hashlib
import hmac
import html
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, AnyStr, TypeAlias
from urllib.parse import quote, quote_plus

from step_ops.secrets import Secret

SHORTEST = 6
"""Characters below which a value is not masked: it would turn up everywhere by chance."""

MOST_REMEMBERED = 1_000  # tokens that were found by their shape

# The class has a method called bytes, which would hide the type from its neighbours.
Octets: TypeAlias = bytes

# What each URL encoder leaves alone: nothing, a path, JavaScript's encodeURIComponent, a whole URL.
_URL_SAFE = ("", "/", "!'()*", "!$&'()*+,;=:@/", "!#$%&'()*+,/:;=?@[]~")

# What stands for a secret. It is never masked again, so that a replay says what the record says.
_PSEUDONYM = re.compile(r"secret:(?P<name>.*)#[0-9a-f]{10}", re.DOTALL)

# kind, a text without which the pattern cannot match, the pattern. Each is linear in its text.
_SHAPES = (
    (
        "private-key",
        "PRIVATE KEY-----",
        r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY-----"
        r"(?:(?:[^-]++|-(?!----))*+-----END [A-Z0-9 ]{0,30}PRIVATE KEY-----|[A-Za-z0-9+/=\s\\]*)",
    ),
    ("aws-key-id", "AKIA", r"(?<![A-Za-z0-9])AKIA[A-Z0-9]{16}(?![A-Za-z0-9])"),
    ("aws-key-id", "ASIA", r"(?<![A-Za-z0-9])ASIA[A-Z0-9]{16}(?![A-Za-z0-9])"),
    ("github-token", "github_pat_", r"github_pat_[A-Za-z0-9_]{22,255}"),
    ("github-token", "gh", r"gh[pousr]_[A-Za-z0-9]{36,255}"),
    ("slack-token", "xox", r"xox[a-z]-[A-Za-z0-9-]{10,255}"),
    (
        "jwt",
        "eyJ",
        r"(?:(?<![A-Za-z0-9_-])|(?<=%[0-9A-Fa-f]{2}))"
        r"eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]*",
    ),
)
_TEXT_SHAPES = [(f"withheld:{kind}", part, re.compile(pattern)) for kind, part, pattern in _SHAPES]
_BYTE_SHAPES = [
    (mask.encode(), part.encode(), re.compile(pattern.pattern.encode()))
    for mask, part, pattern in _TEXT_SHAPES
]


class Redactor:
    """Replaces every registered secret by its pseudonym, the same one wherever it occurs.

    Register a secret before anything that may hold it is written. All methods may be called from
    several threads.
    """

    def __init__(self, key: Octets) -> None:
        self._key = key
        self._lock = threading.Lock()
        self._known: set[str] = set()
        # Replaced as a whole, so that a reader never sees half a registration.
        self._needles: tuple[tuple[str, str], ...] = ()
        self._byte_needles: tuple[tuple[Octets, Octets], ...] = ()

    def register(self, name: str, value: str) -> bool:
        """Mask `value` from now on; False when it is too short, or part of what a mask says."""
        core = value.strip()
        mask = self.pseudonym(name, value)
        if len(core) < SHORTEST or core in mask.rpartition("#")[0]:
            return False
        with self._lock:
            if core not in self._known:
                self._known.add(core)
                forms = sorted(_forms(core))
                self._needles += tuple((form, mask) for form in forms)
                self._byte_needles += tuple((_encode(form), mask.encode()) for form in forms)
        return True

    def pseudonym(self, name: str, value: str) -> str:
        """What stands for the secret: its name and a keyed digest that tells of a rotation.

        Of a pseudonym of that name, itself: in a replay it is all there is of the secret.
        """
        known = _PSEUDONYM.fullmatch(value)
        if known and known["name"] == name:
            return value
        text = _encode(name) + b"\0" + _encode(value.strip())
        return f"secret:{name}#{hmac.new(self._key, text, hashlib.sha256).hexdigest()[:10]}"

    def text(self, text: str) -> str:
        """`text` without secrets, nor anything shaped like a well-known kind of token."""
        return _mask_shapes(_mask(text, self._needles), _TEXT_SHAPES, self._remember)

    def bytes(self, data: Octets) -> Octets:
        """`data` without secrets, as UTF-8 or inside binary content."""
        return _mask_shapes(_mask(data, self._byte_needles), _BYTE_SHAPES)

    def data(self, value: Any) -> Any:
        """A copy of JSON-like `value` without secrets, in keys and numbers too.

        `Secret` values become their pseudonyms, and are registered; objects of other kinds are kept.
        """
        leaves = list(_leaves(value))
        for leaf in leaves:
            if isinstance(leaf, Secret) and not self._holds_known(leaf):
                self.register(leaf.name, leaf.reveal())
        # One pass over all of it finds the few needles that the single leaves must be searched for.
        whole = "\n".join(leaf for leaf in leaves if isinstance(leaf, str))
        needles = tuple((form, mask) for form, mask in self._needles if form in whole)
        shapes = [shape for shape in _TEXT_SHAPES if shape[1] in whole]
        return self._copy(value, lambda text: _mask_shapes(_mask(text, needles), shapes, self._remember))

    def _remember(self, mask: str, token: str) -> None:
        """From now on the token is masked also where letters stand close to it."""
        with self._lock:
            if token not in self._known and len(self._known) < MOST_REMEMBERED:
                self._known.add(token)
                self._needles += ((token, mask),)

    def _holds_known(self, secret: Secret) -> bool:
        return any(form in secret.reveal() for form, _ in self._needles)

    def _secret(self, secret: Secret) -> str:
        """Its text with the registered part masked, so that `Bearer <token>` reads alike on both sides
        of an exchange; the pseudonym of the whole when no part of it is registered."""
        plain = secret.reveal()
        return self.text(plain) if self._holds_known(secret) else self.pseudonym(secret.name, plain)

    def _copy(self, value: Any, masked: Callable[[str], str]) -> Any:
        match value:
            case None | bool():
                return value
            case Secret():
                return self._secret(value)
            case str():
                return masked(value)
            case int() | float():
                text = masked(str(value))
                return value if text == str(value) else text
            case bytes():
                return self.bytes(value)
            case Mapping():
                return {self._copy(key, masked): self._copy(item, masked) for key, item in value.items()}
            case list() | tuple():
                return [self._copy(item, masked) for item in value]
            case _:
                return value


def _leaves(value: Any) -> Iterator[str | Secret]:
    match value:
        case str() | Secret():
            yield value
        case int() | float():
            yield str(value)
        case Mapping():
            for key, item in value.items():
                yield from _leaves(key)
                yield from _leaves(item)
        case list() | tuple():
            for item in value:
                yield from _leaves(item)


def _mask(text: AnyStr, needles: Sequence[tuple[AnyStr, AnyStr]]) -> AnyStr:
    """Each stretch covered by needles gives way to the mask of the longest needle in it.

    Stretches are merged before any is replaced, so that of two overlapping secrets no end is left.
    """
    found = sorted(_finds(text, needles), key=lambda find: find[0])
    if not found:
        return text
    parts: list[AnyStr] = []
    done, (start, end, length, mask) = 0, found[0]
    for next_start, next_end, next_length, next_mask in found[1:]:
        if next_start < end:
            end = max(end, next_end)
            if next_length > length:
                length, mask = next_length, next_mask
            continue
        parts += [text[done:start], mask]
        done, start, end, length, mask = end, next_start, next_end, next_length, next_mask
    parts += [text[done:start], mask, text[end:]]
    return text[:0].join(parts)


def _finds(text: AnyStr, needles: Iterable[tuple[AnyStr, AnyStr]]) -> Iterator[tuple[int, int, int, AnyStr]]:
    """Start, end, length of the needle, mask; a needle that overlaps itself is one find."""
    for needle, mask in needles:
        length = len(needle)
        start = at = text.find(needle)
        while at >= 0:
            after = text.find(needle, at + 1)
            if after < 0 or after >= at + length:
                yield start, at + length, length, mask
                start = after
            at = after


def _mask_shapes(
    text: AnyStr,
    shapes: Iterable[tuple[AnyStr, AnyStr, re.Pattern[AnyStr]]],
    found: Callable[[AnyStr, AnyStr], None] = lambda mask, token: None,
) -> AnyStr:
    for mask, part, pattern in shapes:
        if part in text:
            for hit in pattern.finditer(text):
                found(mask, hit[0])
            text = pattern.sub(mask, text)
    return text


def _forms(value: str) -> set[str]:
    """Every way of writing `value` that clients, servers, logs and reports are known to use."""
    plain = {value, value.replace("\r\n", "\n"), value.replace("\r\n", "\n").replace("\n", "\r\n")}
    forms: set[str] = set(plain)
    for text in plain:
        escaped = _escaped(text)
        forms |= escaped | _quoted(text) | {html.escape(text), html.escape(text, quote=False)}
        for once in escaped:  # JSON within JSON, JSON within a form
            forms |= _escaped(once) | {quote(once, safe=""), quote_plus(once)}
        for octets in {_encode(each) for each in escaped | {text}} | _latin(text):
            forms |= {octets.hex(), octets.hex().upper()}
            for encoded in _base64(octets):
                forms |= {encoded, encoded.replace("/", "\\/")} | _quoted(encoded)
    return forms


def _escaped(text: str) -> set[str]:
    """`text` as it stands between the quotes of a JSON or Python literal."""
    forms = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    forms |= {form.replace("/", "\\/") for form in forms}
    return forms | {repr(text)[1:-1], ascii(text)[1:-1], repr(_encode(text))[2:-1]}


def _quoted(text: str) -> set[str]:
    octets = _encode(text)
    forms = {quote(octets, safe=safe) for safe in _URL_SAFE}
    forms |= {quote_plus(octets), quote(quote(octets, safe=""), safe="")}
    return forms | {re.sub("%[0-9A-F]{2}", lambda hit: hit[0].lower(), form) for form in forms}


def _latin(text: str) -> set[bytes]:
    """The bytes that clients which know no better put into Basic authorization."""
    try:
        return {text.encode("latin-1")}
    except UnicodeEncodeError:
        return set()


def _base64(octets: bytes) -> set[str]:
    """The characters that `octets` alone decide, at each of the three alignments."""
    forms = set()
    for lead in range(3):
        encoded = base64.b64encode(b"\0" * lead + octets).decode()
        first = (lead * 8 + 5) // 6
        last = (lead + len(octets)) * 8 // 6
        forms.add(encoded[first:last])
    return forms | {form.replace("+", "-").replace("/", "_") for form in forms}


def _encode(text: str) -> bytes:
    """UTF-8; undecodable bytes of an environment variable become the bytes they were."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
