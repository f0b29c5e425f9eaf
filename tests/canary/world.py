"""The other side: it says again whatever it was told, in every way that servers are known to."""

import base64
import html
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from tests.scripted import Asked, Says, Script, Server

_TOLD = ("authorization", "cookie", "x-api-key", "x-customer", "x-plain")


def told(asked: Asked) -> list[str]:
    """All that a request said, as its server understands it."""
    url = urlsplit(asked.path)
    headers = [asked.headers[name].encode("latin-1").decode() for name in _TOLD if name in asked.headers]
    body = asked.body.decode("utf-8", "replace")
    said = _texts(json.loads(body)) if body[:1] in ("{", "[") else _values(body)
    words = [*headers, *_values(url.query), *said, body, url.query, url.path, unquote(url.path)]
    return [word.removeprefix("Bearer ") for word in words if word]


def _values(form: str) -> list[str]:
    return [value for _, value in parse_qsl(form)]


def _texts(data: Any) -> list[str]:
    match data:
        case dict():
            return [text for item in data.values() for text in _texts(item)]
        case list():
            return [text for item in data for text in _texts(item)]
        case _:
            return [str(data)]


def _echo(asked: Asked) -> Says:
    """JSON with all that was said, in many dresses; digits as the number that they are."""
    words = told(asked)
    numbers = [int(word) for word in words if word.isdigit()]
    return Says(
        {"words": words, "keys": dict.fromkeys(words, 1), "number": (numbers or [7])[0]}
        | {"dresses": [_dressed(word) for word in words]},
        headers={f"X-Echo-{number}": _in_a_line(word) for number, word in enumerate(words[:12])},
    )


def _dressed(word: str) -> dict[str, str]:
    return {
        "html": html.escape(word),
        "url": quote(word, safe=""),
        "form": quote_plus(word),
        "base64": base64.b64encode(b"user:" + word.encode()).decode(),
        "hex": word.encode().hex(),
        "json": json.dumps({"word": word}),
    }


def _in_a_line(word: str) -> str:
    """As the bytes of a header that a server does not think about."""
    return " ".join(word.splitlines()).encode().decode("latin-1")


def _page_of_error(asked: Asked) -> Says:
    words = told(asked)
    page = "".join(f"<p>{html.escape(word)}</p>" for word in words)
    return Says(text=f"<h1>{words[0]}</h1>{page}", status=500, headers={"X-Echo": _in_a_line(words[0])})


def _cut_at(length: int, **more: Any) -> Callable[[Asked], Says]:
    """A text of which so many characters are shown, which end within what was said first."""

    def answer(asked: Asked) -> Says:
        word = told(asked)[0]
        return Says(text="." * (length - len(word) * 3 // 4) + word + " and more" * 9, **more)

    return answer


def _graphql_errors(asked: Asked) -> Says:
    """An error that names the variables, as servers do that refuse one."""
    return Says({"errors": [{"message": _cut_at(300)(asked).text}, {"message": told(asked)}]})


def _to(target: str) -> Callable[[Asked], Says]:
    return lambda asked: Says(
        status=302, headers={"Location": target.format(word=quote(told(asked)[0], safe=""))}
    )


def _latin(asked: Asked) -> Says:
    """A page in an encoding of before, with what that has letters for."""
    word = told(asked)[0].encode("latin-1", "ignore").decode("latin-1")
    return Says(
        data=f"<p>{word}</p>".encode("latin-1"), headers={"Content-Type": "text/html; charset=latin-1"}
    )


def _page(then: str = "") -> Says:
    """A page that sends what is typed into it, and shows it everywhere it can."""
    return Says(text=_PAGE.replace("/* then */", then), headers={"Content-Type": "text/html; charset=utf-8"})


_PAGE = """<!doctype html><title>typing</title>
<style>body { font: 16px sans-serif; width: 600px } p { width: 100px; height: 20px }</style>
<form id="form"><input id="typed"><input id="pass" type="password"><input id="plain">
<button id="send" type="button">send</button></form><p id="hidden" hidden></p><p id="done"></p>
<script>
document.getElementById('send').onclick = async () => {
  const told = {}
  for (const id of ['typed', 'pass', 'plain']) told[id] = document.getElementById(id).value
  document.title = told.typed
  console.error('typed: ' + told.typed)
  document.getElementById('hidden').innerHTML = told.typed + told.plain
  localStorage.setItem('typed', told.typed)
  document.cookie = 'typed=' + encodeURIComponent(told.typed)
  const form = new URLSearchParams(told).toString()
  await fetch('/echo', {method: 'POST', body: JSON.stringify(told)})
  await fetch('/echo?' + form)
  await fetch('/echo', {method: 'POST', body: form})
  document.getElementById('done').textContent = 'done'
  /* then */
}
</script>"""

_UNSTABLE = """let shade = 0
  document.getElementById('done').id = '.'.repeat(60) + told.typed
  const shown = document.querySelectorAll('p')[1]
  setInterval(() => { shown.style.background = `rgb(${shade++ % 200}, 0, 0)` }, 20)"""
_OPEN_END = "fetch('/slow/' + '.'.repeat(160) + encodeURIComponent(told.typed))"
_LEAVES = "location.href = '/broken?typed=' + encodeURIComponent(told.typed)"


class _Answers(dict[str, Script]):
    """Those by path; below a path that ends in a slash, that of the folder."""

    def get(self, path: str, default: Any = None) -> Any:
        """What answers at this path."""
        folder = f"/{path.split('/')[1]}/"
        return super().get(path) or super().get(folder) or default


def furnish(server: Server) -> None:
    """Makes it say again what it is told."""
    away = server.url.replace("127.0.0.1", "localhost")
    server.answers = _Answers()
    server.answers |= {
        "/echo": _echo,
        "/broken": _page_of_error,
        "/long": _cut_at(300, status=500),
        "/no-json": _cut_at(80),
        "/graphql": _graphql_errors,
        "/latin": _latin,
        "/moved": _to("/echo?again={word}"),
        "/away": _to(f"{away}/echo?again={{word}}"),
        "/loop": _to("/loop?again={word}"),
        "/slow/": Says(delay=3.0),
        "/hook/": _page_of_error,
        "/metrics/": _echo,
        "/page": _page(),
        "/page-unstable": _page(_UNSTABLE),
        "/page-open": _page(_OPEN_END),
        "/page-leaves": _page(_LEAVES),
    }
