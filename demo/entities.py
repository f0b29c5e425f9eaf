"""The 200 invented entities of the demo, and what enriching one of them says."""

from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from functools import cache
from hashlib import sha256
from typing import Any

Entity = dict[str, Any]

COUNT = 200
AS_OF = date(2025, 11, 29)
_EARLIEST = date(2023, 1, 1)

# Chosen from by hash, so a type stands here as often as it is common.
_TYPES = ("person",) * 9 + ("organization",) * 5 + ("location",) * 4 + ("vehicle",) * 2

# First and second words of the invented names. The lengths of a pair, a and b, keep a + 1 and b
# free of common factors: that is what makes every name of a type different.
_WORDS = {
    "person": (
        "Ada, Bram, Celia, Dario, Edda, Farid, Greta, Hiro, Ines, Jonas, Kaia, Liam, Mara, Nuno, Oda, Piet",
        "Alder, Brook, Calloway, Drury, Ekholm, Farrow, Grell, Holt, Imber, Juhl, Kestrel, Lund, "
        "Marsh, Noor, Osei",
    ),
    "organization": (
        "Aldgate, Bluefin, Corvid, Deltic, Eastmark, Fernhill, Granite, Halcyon, Ironwood, Juniper",
        "Freight, Holdings, Labs, Marine, Metals, Optics, Trading",
    ),
    "location": (
        "Amber, Birch, Copper, Dune, Elm, Falcon, Grey, Heron",
        "Bay, Crossing, Depot, Fields, Harbor, Point, Ridge, Yard, Terminal, Quay",
    ),
    "vehicle": (
        "MV Aurora, MV Borealis, MV Cygnus, Van, Truck, Tug",
        "11, 12, 14, 17, 21, 23, 29, 38",
    ),
}

_REGIONS = {
    "AE": "Middle East",
    "BR": "South America",
    "CA": "North America",
    "CL": "South America",
    "JP": "East Asia",
    "KE": "East Africa",
    "MA": "North Africa",
    "NO": "Northern Europe",
    "NZ": "Oceania",
    "PL": "Eastern Europe",
    "PT": "Southern Europe",
    "VN": "Southeast Asia",
}

# Which entities break the schema, by their place in the list, and how: five different mistakes.
_MISTAKES: dict[int, Callable[[Entity], Entity]] = {
    22: lambda entity: {key: value for key, value in entity.items() if key != "id"},
    67: lambda entity: entity | {"confidence": "high"},
    104: lambda entity: entity | {"type": "vessel"},
    141: lambda entity: entity | {"first_seen": "29/11/2024"},
    188: lambda entity: entity | {"name": ""},
}

# A second, shorter list, with records that break the schema in ways of their own: several mistakes
# in one, a key too many, a wrong id, and a record that is none.
_MALFORMED_COUNT = 100
_MALFORMED: dict[int, Callable[[Entity], Any]] = {
    7: lambda entity: entity | {"country": "Portugal", "confidence": 1.7, "classification": "SECRET"},
    31: lambda entity: entity | {"alias": entity["name"]},
    64: lambda entity: entity | {"id": "E-65"},
    98: lambda entity: None,
}


class UnknownCountryError(Exception):
    """An entity names a country that the enrichment has no region for."""


def entities() -> list[Entity]:
    """All 200 entities as the API gives them, the five malformed ones among them."""
    return [
        _MISTAKES[place](entity) if place in _MISTAKES else entity for place, entity in enumerate(_flawless())
    ]


def valid_entities() -> list[Entity]:
    """The 195 entities that fit the schema, in the same order."""
    return [entity for place, entity in enumerate(_flawless()) if place not in _MISTAKES]


def malformed_entities() -> tuple[list[Any], list[Entity]]:
    """100 records, four of them malformed beyond use, and the 96 that fit the schema."""
    flawless = _flawless()[:_MALFORMED_COUNT]
    sent = [_MALFORMED[place](item) if place in _MALFORMED else item for place, item in enumerate(flawless)]
    return sent, [entity for place, entity in enumerate(flawless) if place not in _MALFORMED]


def enrich(entity: Entity) -> Entity:
    """What the graph knows about `entity`; the same entity always gets the same answer."""
    if entity["country"] not in _REGIONS:
        raise UnknownCountryError(f"no region is known for country {entity['country']!r}")
    key = entity["id"]
    score = round((_pick(key, "threat", below=100) / 100) * entity["confidence"], 3)
    days_known = (AS_OF - date.fromisoformat(entity["first_seen"])).days
    return {
        "id": key,
        "name": entity["name"],
        "type": entity["type"],
        "region": _REGIONS[entity["country"]],
        "risk": "high" if score >= 0.6 else "medium" if score >= 0.3 else "low",
        "risk_score": score,
        "days_known": days_known,
        "linked_ids": _linked_ids(key),
    }


@cache
def _flawless() -> tuple[Entity, ...]:
    seen: Counter[str] = Counter()
    flawless = []
    for number in range(1, COUNT + 1):
        entity = _entity(number, seen)
        seen[entity["type"]] += 1
        flawless.append(entity)
    return tuple(flawless)


def _entity(number: int, seen: Counter[str]) -> Entity:
    key = _id(number)
    kind = _TYPES[_pick(key, "type", below=len(_TYPES))]
    return {
        "id": key,
        "type": kind,
        "name": _name(kind, seen[kind]),
        "country": sorted(_REGIONS)[_pick(key, "country", below=len(_REGIONS))],
        "confidence": (50 + _pick(key, "confidence", below=50)) / 100,
        "first_seen": (_EARLIEST + timedelta(days=_pick(key, "seen", below=1000))).isoformat(),
        "classification": "UNCLASSIFIED" if _pick(key, "marking", below=4) == 0 else "FOUO",
    }


def _name(kind: str, ordinal: int) -> str:
    firsts, seconds = (words.split(", ") for words in _WORDS[kind])
    first = firsts[ordinal % len(firsts)]
    return f"{first} {seconds[(ordinal // len(firsts) + ordinal) % len(seconds)]}"


def _linked_ids(key: str) -> list[str]:
    draws = range(_pick(key, "links", below=4))
    ids = {_id(1 + _pick(key, f"link {draw}", below=COUNT)) for draw in draws}
    return sorted(ids - {key})


def _id(number: int) -> str:
    return f"ent-{number:04}"


def _pick(key: str, purpose: str, *, below: int) -> int:
    # A hash, not `random`: the same on every Python version, and no draw depends on another.
    return int.from_bytes(sha256(f"{key} {purpose}".encode()).digest()[:8]) % below
