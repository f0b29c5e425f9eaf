"""The answers that a page gets when its network is closed: those that were recorded, in their order."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from step_ops.exchanges import PageResource

# The body is whole and decoded, whatever its server did to it on the way.
_ON_THE_WAY = frozenset({"content-encoding", "content-length", "transfer-encoding"})


class PageAnswers:
    """What a page got, to be given again; of several answers to a request the last one stays."""

    def __init__(self, resources: Sequence[PageResource]) -> None:
        self._resources = list(resources)
        self._given: set[int] = set()

    def take(self, method: str, url: str, sent: str | None) -> PageResource | None:
        """The next answer to such a request, None when there is none.

        Of the same address, if can be to the same body; else of the same path, as a secret in a query was
        masked when it was recorded. Whatever its address, the first request gets the first page.
        """
        here = without_fragment(url)
        there = [without_fragment(each.url) for each in self._resources]
        asked = [at for at, each in enumerate(self._resources) if each.method == method]
        same = [at for at in asked if there[at] == here] or [
            at for at in asked if _path(there[at]) == _path(here)
        ]
        places = [at for at in same if self._resources[at].sent == sent] or same
        if not self._given and not places:
            places = self._first_page()
        if not places:
            return None
        place = next((at for at in places if at not in self._given), places[-1])
        if not self._given:  # as the browser spells it, so that the page may load itself again
            self._resources[place] = replace(self._resources[place], url=url)
        self._given.add(place)
        return self._resources[place]

    def _first_page(self) -> list[int]:
        pages = (
            at
            for at, each in enumerate(self._resources)
            if is_redirect(each) or "html" in each.headers.get("content-type", "")
        )
        return [next(pages, 0)] if self._resources else []


def page_of(document: bytes, url: str) -> PageResource:
    """The answer that gives HTML as the page at `url`."""
    headers = {"content-type": "text/html; charset=utf-8"}
    return PageResource(method="GET", url=url, status=200, headers=headers, body=document)


def given_headers(resource: PageResource) -> Iterator[tuple[str, str]]:
    """The headers that an answer is given with.

    Text is kept as UTF-8, also where its server, or a tag in it, names another encoding.
    """
    for name, value in resource.headers.items():
        if name in _ON_THE_WAY or name.startswith(":"):
            continue
        if name == "content-type" and _is_text(value) and _is_plain_utf8(resource.body):
            value = f"{value.partition(';')[0].strip()}; charset=utf-8"
        yield from ((name, line) for line in value.split("\n"))


def is_redirect(resource: PageResource) -> bool:
    """Whether the browser goes on from it to another address."""
    return 300 <= resource.status < 400 and "location" in resource.headers


def without_fragment(url: str) -> str:
    """The part of an address that a server sees."""
    return url.partition("#")[0]


def _path(url: str) -> str:
    return url.partition("?")[0]


def _is_text(content_type: str) -> bool:
    kind, _, parameters = content_type.lower().partition(";")
    return kind.startswith("text/") or kind.strip().endswith("xml") or "charset" in parameters


def _is_plain_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in body  # as UTF-16 has it
