"""Secrets that are easy to lose sight of, and every way in which one of them may be written.

The ways are put together here anew: a search with the product's own list would miss what that misses.
"""

import base64
import html
import json
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

MARKER = 'pl@in "märk" <b>&\'/+=?#%5c\\~ \U0001f511 a71c'
"""Sent along with the secrets but none itself: where a search does not find it, it looks at nothing."""

_IN_HALVES = 12  # characters from which the half of a secret cannot turn up by chance


@dataclass(frozen=True, kw_only=True)
class Canary:
    """A secret: `value` is what the provider gives, `telling` the part that nobody may see."""

    name: str
    source: str
    value: str
    telling: str = ""

    @property
    def needles(self) -> dict[bytes, str]:
        """What to search for, with the encoding that it is written in.

        Of a longer one both halves, each for itself: so a text that was cut within it is found, too.
        """
        text = self.telling or self.value
        middle = len(text) // 2 if len(text) >= _IN_HALVES else 0
        parts = (text[:middle], text[middle:]) if middle else (text,)
        return {form: kind for part in parts for form, kind in written(part)}


def canaries(world: str) -> tuple[Canary, ...]:
    """One for each place and each provider; `world` is the address that one of them is a part of."""
    hook = 'hook~T0k"en/with-<odd>+ways=%C3%B6-19fe'
    return (
        Canary(name="CANARY_TOKEN", source="environment", value="t0k\"en'Tök€n/+=&?#% <b>\\x7f3a-e0d1"),
        Canary(name="CANARY_COOKIE", source="environment", value="c00k=ie;Äp+/%25 \\u0041 ~`|^{}-c9d4"),
        Canary(name="CANARY_QUERY", source="environment", value="q=1&r=üß +/%2F%ff~*()!'\"<>;:@,$-d00d"),
        Canary(name="CANARY_PASSWORD", source="environment", value="p@ss:w/ord?#%&+ \"ß' [\\]-77aa"),
        Canary(name="CANARY_KEY", source="file", value='k3y\\back/slash+plus==&amp;"quot\'ed"-91ce'),
        Canary(
            name="CANARY_BODY",
            source="file",
            value="f1rst l1ne ☃ \"q\"\r\nsec0nd\tl1ne \U0001f511 'x'\\n-52ab",
        ),
        Canary(name="CANARY_ROW", source="file", value="r0w; DROP 'x'' \"y\" $1 %s :z {é} 0'Neil-b33f"),
        Canary(
            name="CANARY_TYPED", source="file", value="t¥ped <i>\"&amp;</i>' + ` ${x} {{y}} \U0001f600-a11e"
        ),
        Canary(name="CANARY_PIN", source="environment", value="90351726448113"),
        Canary(name="CANARY_BLOB", source="file", value="QUJD+/abcDEF/+8q7w==0123"),
        Canary(name="CANARY_HOOK", source="environment", value=f"{world}/hook/{quote(hook)}", telling=hook),
        Canary(name="CANARY_SHORT", source="environment", value="ž€ß漢"),
        Canary(
            name="customer", source="sensitive input", value='Zoë "Ann" 0\'Ne1l <a+b@ex.org> %2F 1/2-4caf'
        ),
    )


def written(text: str) -> set[tuple[bytes, str]]:
    """`text` in every encoding that the clients, servers and files of this world use."""
    found: set[tuple[bytes, str]] = set()

    def add(kind: str, *forms: str | bytes) -> None:
        found.update((form.encode() if isinstance(form, str) else form, kind) for form in forms)

    for plain in {text, text.replace("\r\n", "\n")}:
        escaped = {json.dumps(plain)[1:-1], json.dumps(plain, ensure_ascii=False)[1:-1]}
        twice = {json.dumps(once)[1:-1] for once in escaped}
        octets = plain.encode()
        add("raw", plain, octets.decode("latin-1"), *_as(plain, "latin-1", "utf-16-le", "utf-16-be"))
        add("JSON", *escaped, *twice, *(form.replace("/", "\\/") for form in escaped))
        add("SQL", *(form.replace("'", "''") for form in (plain, plain.replace("\\", "\\\\"))))
        markup = {html.escape(plain), html.escape(plain, quote=False), *map(html.escape, escaped)}
        add("HTML", *markup, *(json.dumps(form)[1:-1] for form in markup))
        for form in {plain, *escaped}:
            urls = {quote(form, safe=""), quote(form), quote_plus(form), quote(form, safe="!'()*~")}
            urls |= {quote(quote(form, safe=""), safe="")}
            add("URL", *urls, *(_lower(url) for url in urls))
        for raw in {octets, *_as(plain, "latin-1"), *(form.encode() for form in escaped)}:
            add("hex", raw.hex(), raw.hex().upper())
            add("base64", *(form for lead in range(3) for form in _base64(raw, lead)))
    return found


def _as(text: str, *encodings: str) -> list[bytes]:
    """The text in those of the encodings that have all its letters."""
    return [data for name in encodings if (data := text.encode(name, "ignore")).decode(name) == text]


def _lower(url: str) -> str:
    """With the digits of its escapes in lower case."""
    head, *rest = url.split("%")
    return "%".join([head, *(part[:2].lower() + part[2:] for part in rest)])


def _base64(octets: bytes, lead: int) -> list[bytes]:
    """What is sure of its base64 behind so many other bytes, in both alphabets."""
    whole = base64.b64encode(b"\0" * lead + octets)
    sure = whole[-(-lead * 8 // 6) : (lead + len(octets)) * 8 // 6]
    return [sure, sure.replace(b"+", b"-").replace(b"/", b"_"), sure.replace(b"/", b"\\/")]
