"""Every way of writing a text that clients, servers, databases, logs and reports are known to use."""

import base64
import html
import json
import re
from collections.abc import Iterable
from contextlib import suppress
from urllib.parse import quote, quote_plus

# What each URL encoder leaves alone: nothing, a path, JavaScript's encodeURIComponent, a whole URL.
_URL_SAFE = ("", "/", "!'()*", "!$&'()*+,;=:@/", "!#$%&'()*+,/:;=?@[]~")


def spellings(value: str) -> set[str]:
    """Every one of `value`; each stands for itself in a text that holds it."""
    lines = value.replace("\r\n", "\n")
    plain = {value, lines, lines.replace("\n", "\r\n")}
    plain |= {_misread(text) for text in plain} | _as_number(value)
    found: set[str] = set(plain)
    for text in plain:
        urls, literals = _quoted(text), _escaped(text)
        shown = {form for each in {text} | urls | literals for form in _in_markup(each)}
        literals |= {form for each in literals for form in _escaped(each)}  # JSON within JSON
        found |= urls | literals | shown | _in_sql(text)
        found |= {form for each in literals for form in _around(each)}
        found |= {form for each in shown for form in _escaped(each)}  # a page within JSON
        for octets in {as_bytes(each) for each in literals | {text}} | _encoded(text, "latin-1"):
            found |= {octets.hex(), octets.hex().upper()}
            for encoded in _base64(octets):
                found |= {encoded, encoded.replace("/", "\\/")} | _quoted(encoded)
    return found


def in_bytes(value: str, texts: Iterable[str]) -> set[bytes]:
    """The bytes of `texts` and, of `value`, those in the other encodings that servers answer in."""
    return {as_bytes(text) for text in texts} | _encoded(value, "latin-1", "utf-16-le", "utf-16-be")


def _misread(text: str) -> str:
    """What becomes of it in the header of an answer, which a client takes for Latin-1."""
    return as_bytes(text).decode("latin-1")


def _as_number(text: str) -> set[str]:
    """The digits of a number as they are written with an exponent; none when those would be too few."""
    digits = text.rstrip("0")
    return {f"{digits[0]}.{digits[1:]}"} if text.isascii() and text.isdigit() and len(digits) > 6 else set()


def _in_markup(text: str) -> set[str]:
    return {html.escape(text), html.escape(text, quote=False)}


def _around(literal: str) -> set[str]:
    """What becomes of JSON within more JSON, a form or a page."""
    return {json.dumps(literal)[1:-1], quote(literal, safe=""), quote_plus(literal)} | _in_markup(literal)


def _in_sql(text: str) -> set[str]:
    """What stands between the quotes of a literal; a database quotes the statement it cannot read."""
    quoted = text.replace("'", "''")
    return {quoted, quoted.replace("\\", "\\\\")}


def _escaped(text: str) -> set[str]:
    """`text` as it stands between the quotes of a JSON or Python literal."""
    forms = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    forms |= {form.replace("/", "\\/") for form in forms}
    return forms | {repr(text)[1:-1], ascii(text)[1:-1], repr(as_bytes(text))[2:-1]}


def _quoted(text: str) -> set[str]:
    octets = as_bytes(text)
    forms = {quote_plus(octets), *(quote(octets, safe=safe) for safe in _URL_SAFE)}
    forms |= {quote(form, safe="") for form in forms}  # an address within an address
    return forms | {re.sub("%[0-9A-F]{2}", lambda hit: hit[0].lower(), form) for form in forms}


def _encoded(text: str, *encodings: str) -> set[bytes]:
    """Its bytes in those of the encodings that have all its letters."""
    found = set()
    for encoding in encodings:
        with suppress(UnicodeEncodeError):
            found.add(text.encode(encoding))
    return found


def _base64(octets: bytes) -> set[str]:
    """The characters that `octets` alone decide, at each of the three alignments."""
    forms = set()
    for lead in range(3):
        encoded = base64.b64encode(b"\0" * lead + octets).decode()
        first = (lead * 8 + 5) // 6
        last = (lead + len(octets)) * 8 // 6
        forms.add(encoded[first:last])
    return forms | {form.replace("+", "-").replace("/", "_") for form in forms}


def as_bytes(text: str) -> bytes:
    """UTF-8; undecodable bytes of an environment variable become the bytes they were."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
