"""Where the secrets of an execution could have gone, and a search through all of it."""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine, text

from tests.canary.canaries import Canary, written

RECORD = "database dump"
_AROUND = 60  # bytes shown around a hit


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A secret where it must not be."""

    canary: str
    kind: str
    place: str
    where: str
    around: bytes


@dataclass
class Place:
    """All that was found in one kind of place, piece by piece, by what each piece is called."""

    name: str
    pieces: list[tuple[str, bytes]] = field(default_factory=list)
    _seen: set[bytes] = field(default_factory=set)

    def add(self, where: str, data: bytes | str) -> None:
        """Adds what stands there, and what it holds in compressed form; what is known is not added again."""
        raw = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
        for piece in (raw, *_unpacked(raw)):
            if piece not in self._seen:
                self._seen.add(piece)
                self.pieces.append((where, piece))

    @property
    def size(self) -> int:
        """How many bytes there are to search."""
        return sum(len(piece) for _, piece in self.pieces)

    def hits(self, canaries: Sequence[Canary]) -> Iterator[Hit]:
        """Every canary in every form, wherever it stands."""
        for canary in canaries:
            for needle, kind in canary.needles.items():
                for where, piece in self.pieces:
                    at = piece.find(needle)
                    if at >= 0:
                        around = piece[max(0, at - _AROUND) : at + len(needle) + _AROUND]
                        yield Hit(canary=canary.name, kind=kind, place=self.name, where=where, around=around)

    def kinds_of(self, plain: str) -> set[str]:
        """In which encodings a text that is no secret stands there."""
        return {kind for needle, kind in written(plain) if any(needle in piece for _, piece in self.pieces)}


def _unpacked(data: bytes) -> Iterator[bytes]:
    if data[:2] == b"\x1f\x8b":
        with suppress(OSError, EOFError, zlib.error):
            yield gzip.decompress(data)
    elif data[:1] == b"\x78":
        with suppress(zlib.error):
            yield zlib.decompress(data)


def dump(engine: Engine) -> Place:
    """Every row of every table of a database, as text; byte columns as the bytes that they are."""
    place = Place(RECORD)
    with engine.connect() as connection:
        columns = connection.execute(text(_COLUMNS)).all()
        for schema, table, names, of_bytes in columns:
            asked = ", ".join(f'"{name}"' if name in of_bytes else f'"{name}"::text' for name in names)
            for row in connection.execute(text(f'SELECT {asked} FROM "{schema}"."{table}"')):
                values = [bytes(v) if isinstance(v, memoryview) else str(v).encode() for v in row]
                place.add(f"{schema}.{table}", b"\n".join(values))
                for value in values:
                    place.pieces.extend((f"{schema}.{table}", piece) for piece in _unpacked(value))
    return place


_COLUMNS = """
    SELECT table_schema, table_name, array_agg(column_name::text ORDER BY ordinal_position),
        coalesce(array_agg(column_name::text) FILTER (WHERE data_type = 'bytea'), '{}')
    FROM information_schema.columns
    WHERE table_schema NOT IN ('pg_catalog', 'information_schema')
    GROUP BY 1, 2
"""


def data_files(engine: Engine) -> Place:
    """The files in which the server itself keeps that database."""
    place = Place("files of PostgreSQL")
    with engine.connect() as connection:
        connection.execute(text("CHECKPOINT"))
        folder = connection.execute(text(_FOLDER)).scalar_one()
    for path in Path(folder).iterdir():
        if path.is_file():
            place.add(path.name, path.read_bytes())
    return place


_FOLDER = """
    SELECT current_setting('data_directory') || '/base/' || oid
    FROM pg_database WHERE datname = current_database()
"""


def files(name: str, *folders: Path) -> Place:
    """Every file below the folders, and what it is called."""
    place = Place(name)
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            place.add("names of files", str(path))
            if path.is_file():
                place.add(str(path.relative_to(folder)), path.read_bytes())
    return place


def table(places: Sequence[Place], hits: Sequence[Hit], plain: str) -> str:
    """The figures of a search: what was looked at, the hits, and how a text that is no secret was found."""
    lines = [_row("place", "pieces", "bytes", "hits", "the marker was found as")]
    for place in places:
        kinds = ", ".join(sorted(place.kinds_of(plain))) or "-"
        count = sum(hit.place == place.name for hit in hits)
        lines.append(_row(place.name, f"{len(place.pieces):,}", f"{place.size:,}", str(count), kinds))
    pieces, size = sum(len(place.pieces) for place in places), sum(place.size for place in places)
    return "\n".join([*lines, _row("all", f"{pieces:,}", f"{size:,}", str(len(hits)), "")])


def _row(place: str, pieces: str, size: str, hits: str, kinds: str) -> str:
    return f"{place:24}{pieces:>8}{size:>13}{hits:>6}  {kinds}".rstrip()
