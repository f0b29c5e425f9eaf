"""Masking: what leaves this process holds no known secret, in whatever way it is written."""

import hashlib
import hmac
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, AnyStr, TypeAlias

from step_ops.errors import CUT
from step_ops.secrets import Secret
from step_ops.spellings import as_bytes, in_bytes, spellings

SHORTEST = 6
"""Characters below which a value is not masked: it would turn up everywhere by chance."""

MOST_REMEMBERED = 1_000  # tokens that were found by their shape

_ATOMS = frozenset({str, int, float, bool, type(None)})

# The class has a method called bytes, which would hide the type from its neighbours.
Octets: TypeAlias = bytes

# What stands for a secret. It is never masked again, so that a replay says what the record says.
_PSEUDONYM = re.compile(r"secret:(?P<name>.*)#[0-9a-f]{10}", re.DOTALL)

# kind, a text without which the pattern cannot match, the pattern. Each is linear in its text. Possessive
# are single characters only: before 3.11.5, CPython matches groups wrongly that are (gh-106052).
_SHAPES = (
    (
        "private-key",
        "PRIVATE KEY-----",
        r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY-----"
        r"(?:(?:[^-]++|-(?!----))*-----END [A-Z0-9 ]{0,30}PRIVATE KEY-----|[A-Za-z0-9+/=\s\\]*)",
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
        self._all = ""  # every needle, to see at once that none of them is there

    def register(self, name: str, value: str) -> bool:
        """Mask `value` from now on; False when it is too short, or part of what a mask says."""
        core = value.strip()
        mask = self.pseudonym(name, value)
        if len(core) < SHORTEST or core in mask.rpartition("#")[0]:
            return False
        with self._lock:
            if core not in self._known:
                self._known.add(core)
                forms = sorted(spellings(core))
                self._needles += tuple((form, mask) for form in forms)
                self._byte_needles += tuple((data, mask.encode()) for data in sorted(in_bytes(core, forms)))
                self._all = "\n".join([self._all, *forms])
        return True

    def pseudonym(self, name: str, value: str) -> str:
        """What stands for the secret: its name and a keyed digest that tells of a rotation.

        Of a pseudonym of that name, itself: in a replay it is all there is of the secret.
        """
        known = _PSEUDONYM.fullmatch(value)
        if known and known["name"] == name:
            return value
        text = as_bytes(name) + b"\0" + as_bytes(value.strip())
        return f"secret:{name}#{hmac.new(self._key, text, hashlib.sha256).hexdigest()[:10]}"

    def text(self, text: str) -> str:
        """`text` without secrets, nor anything shaped like a well-known kind of token."""
        masked = self._without_start(_mask(text, self._needles))
        return _mask_shapes(masked, _TEXT_SHAPES, self._remember)

    def bytes(self, data: Octets) -> Octets:
        """`data` without secrets, as UTF-8 or inside binary content."""
        return _mask_shapes(_mask(data, self._byte_needles), _BYTE_SHAPES)

    def data(self, value: Any) -> Any:
        """A copy of JSON-like `value` without secrets, in keys and numbers too.

        `Secret` values become their pseudonyms, and are registered; objects of other kinds are kept.
        """
        texts: list[str] = []
        secrets: list[Secret] = []
        _gather(value, texts, secrets)
        for secret in secrets:
            if not self._holds_known(secret):
                self.register(secret.name, secret.reveal())
        # One pass over all of it finds the few needles that the single texts must be searched for.
        whole = "\n".join(texts)
        needles = tuple((form, mask) for form, mask in self._needles if form in whole)
        shapes = [shape for shape in _TEXT_SHAPES if shape[1] in whole and shape[2].search(whole)]
        if not (needles or shapes or secrets or CUT in whole):
            return self._copy(value)

        def mask(text: str) -> str:
            return _mask_shapes(self._without_start(_mask(text, needles)), shapes, self._remember)

        return self._masked(value, mask)

    def _without_start(self, text: str) -> str:
        """The text with the start of a secret masked where the text was cut within it."""
        if CUT not in text:
            return text
        *parts, last = text.split(CUT)
        return "".join(self._without_end(part) + CUT for part in parts) + last

    def _without_end(self, text: str) -> str:
        """The text without what may be the start of a secret at its end."""
        end = text[-SHORTEST:]
        if len(end) < SHORTEST or end not in self._all:
            return text
        starts = ((_overlap(text, needle), mask) for needle, mask in self._needles if end in needle)
        length, mask = max(starts, default=(0, ""))
        return text[:-length] + mask if length else text

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

    def _copy(self, value: Any) -> Any:
        """A copy of what has nothing to mask in its texts."""
        match value:
            # Most of what is in either is an atom, and a call for each would be dear.
            case list() | tuple():
                return [item if type(item) in _ATOMS else self._copy(item) for item in value]
            case dict() | Mapping():
                return {
                    key: item if type(item) in _ATOMS else self._copy(item) for key, item in value.items()
                }
            case bytes():
                return self.bytes(value)
            case _:
                return value

    def _masked(self, value: Any, mask: Callable[[str], str]) -> Any:
        match value:
            case None | bool():
                return value
            case Secret():
                return self._secret(value)
            case str():
                return mask(value)
            case int() | float():
                text = str(value)
                return value if mask(text) == text else mask(text)
            case bytes():
                return self.bytes(value)
            case list() | tuple():
                return [self._masked(item, mask) for item in value]
            case dict() | Mapping():
                return {self._masked(key, mask): self._masked(item, mask) for key, item in value.items()}
            case _:
                return value


def _gather(value: Any, texts: list[str], secrets: list[Secret]) -> None:
    """Adds all texts in `value`, numbers as they are written and keys among them, and all secrets."""
    rest = [value]
    for item in rest:  # which grows meanwhile: a call for each would be dear
        match item:
            case str():
                texts.append(item)
            case None | bool():
                pass
            case int() | float():
                texts.append(str(item))
            case list() | tuple():
                rest += item
            case dict() | Mapping():
                rest += item
                rest += item.values()
            case Secret():
                secrets.append(item)


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


def _overlap(text: str, needle: str) -> int:
    """How many characters at the end of the text are the start of the needle: none, or enough to tell."""
    most = min(len(text), len(needle) - 1)
    return next((n for n in range(most, SHORTEST - 1, -1) if text.endswith(needle[:n])), 0)


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
