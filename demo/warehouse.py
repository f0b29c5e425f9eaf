"""`python -m demo.warehouse FILE`: makes a warehouse with the table `customer_orders`; the same every time.

In place of a file, the URL of a database can be given, such as `postgresql://localhost/demo`.
"""

import argparse
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, MetaData, Table, Text, create_engine, insert, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

Order = dict[str, Any]

AS_OF = datetime(2025, 11, 29, 9, tzinfo=UTC)  # the moment that the warehouse is of
DAYS = 60
PER_DAY = 20
COUNTRIES = ("DE", "DK", "FR", "NL", "PL", "SE")
STATUSES = ("open", "paid", "paid", "shipped", "shipped", "returned")

_METADATA = MetaData()
ORDERS = Table(
    "customer_orders",
    _METADATA,
    Column("order_id", Text, nullable=False),
    Column("customer_id", Text),
    Column("country", Text),
    Column("amount_cents", BigInteger),
    Column("status", Text),
    Column("ordered_on", Text),  # such as 2025-11-29
    Column("loaded_at", BigInteger, nullable=False),  # seconds since 1970
)


def orders(*, spoilt: bool = False) -> list[Order]:
    """What each night's load brought, oldest first; `spoilt` has many more mistakes, and lacks two nights."""
    nights = DAYS - 2 if spoilt else DAYS
    return [row for night in range(nights) for row in _load(night, spoilt=spoilt)]


def make(url: str, *, spoilt: bool = False) -> None:
    """Writes the table to the database at `url`, in place of one that is there."""
    address = make_url(url)
    if address.drivername == "postgresql":
        address = address.set(drivername="postgresql+psycopg2")  # the client that comes with the packages
    engine = create_engine(address)
    try:
        with engine.begin() as connection:
            fill(connection, spoilt=spoilt)
    finally:
        engine.dispose()


def fill(connection: Connection, *, spoilt: bool = False) -> None:
    """Makes the table, in place of one that is there."""
    _METADATA.drop_all(connection)
    _METADATA.create_all(connection)
    connection.execute(insert(ORDERS), orders(spoilt=spoilt))


def as_url(place: str) -> str:
    """`place` as a URL: itself, or that of the SQLite file it names."""
    return place if "://" in place else f"sqlite:///{Path(place).resolve()}"


def _load(night: int, *, spoilt: bool) -> Iterator[Order]:
    loaded = AS_OF.replace(hour=4) - timedelta(days=DAYS - 1 - night)
    for number in range(night * PER_DAY + 1, (night + 1) * PER_DAY + 1):
        order = _order(number, loaded)
        # Kept apart by their remainders, so that no order has two mistakes.
        match number % (25 if spoilt else 200):
            case 1:
                order["customer_id"] = None
            case 2:
                order["amount_cents"] = None
            case 3:
                yield dict(order)
            case 0:
                order["status"] = "unknown"
        yield order


def _order(number: int, loaded: datetime) -> Order:
    key = f"ord-{number:05}"
    return {
        "order_id": key,
        "customer_id": f"cus-{_pick(key, 'customer', below=400):04}",
        "country": COUNTRIES[_pick(key, "country", below=len(COUNTRIES))],
        "amount_cents": 500 + _pick(key, "amount", below=50_000),
        "status": STATUSES[_pick(key, "status", below=len(STATUSES))],
        "ordered_on": (loaded - timedelta(days=1)).date().isoformat(),
        "loaded_at": int(loaded.timestamp()),
    }


def _pick(key: str, purpose: str, *, below: int) -> int:
    return int.from_bytes(sha256(f"{key} {purpose}".encode()).digest()[:8]) % below


def main() -> None:
    """Reads the command line; prints the URL that `WAREHOUSE_URL` wants."""
    parser = argparse.ArgumentParser(prog="python -m demo.warehouse", description=__doc__)
    parser.add_argument("place", metavar="FILE", help="a file for SQLite, or the URL of a database")
    parser.add_argument("--spoilt", action="store_true", help="with more mistakes than the runbook allows")
    options = parser.parse_args()
    url = as_url(options.place)
    try:
        make(url, spoilt=options.spoilt)
    except (ArgumentError, DBAPIError) as error:
        # Of an address that cannot be read the message may hold the password.
        reason = str(error.orig).strip() if isinstance(error, DBAPIError) else "this is no URL of a database"
        sys.exit(f"the warehouse cannot be made: {reason}")
    print(url)


if __name__ == "__main__":
    main()
