"""What workers say on their terminal: lines for whoever runs them, and no stack traces of libraries."""

import logging

_LIBRARIES = ("procrastinate", "psycopg.pool", "sqlalchemy.pool")


def keep_quiet() -> None:
    """Lets libraries say nothing about a database that is away: it is said here, in a line."""
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def first_line(error: Exception) -> str:
    """What is wrong, without the rest of it."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
