"""Well-known forms of text, ids and points in time, alone or inside a longer text."""

import re

# Neither may be part of a longer word or number. A letter behind a backslash is no word: in the text of
# a JSON value that is how a line end is written.
_START = r"(?:(?<![0-9A-Za-z])|(?<=\\[bfnrt]))"
_END = r"(?![0-9A-Za-z])"

_MM, _DD = r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12][0-9]|3[01])"
_HOUR, _MINUTE, _SECOND = r"(?:[01][0-9]|2[0-4])", r"[0-5][0-9]", r"(?:[0-5][0-9]|60)"
_FRACTION = r"(?:[.,][0-9]++)?"
_ZONE = r"(?: ?(?:[Zz]|UTC|GMT|[+-][0-9]{2}:?[0-9]{2})|[+-][0-9]{2})?"
_EXTENDED = rf"[0-9]{{4}}-{_MM}-{_DD}[Tt ]{_HOUR}:{_MINUTE}(?::{_SECOND}{_FRACTION})?{_ZONE}"
_BASIC = rf"[0-9]{{4}}{_MM}{_DD}T{_HOUR}{_MINUTE}{_SECOND}{_FRACTION}{_ZONE}"
_ISO_END = rf"{_END}(?![.,:][0-9])"  # no part of a longer time either

_DAY, _MONTH = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)", r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_TIME = rf"{_HOUR}:{_MINUTE}:{_SECOND}"
_HTTP = "|".join(
    (
        rf"{_DAY}, [0-3]?[0-9] {_MONTH} [0-9]{{4}} {_TIME} (?:GMT|UTC|[+-][0-9]{{4}})",
        rf"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, [0-3][0-9]-{_MONTH}-[0-9]{{2}} {_TIME} GMT",
        rf"{_DAY} {_MONTH} [ 0-3][0-9] {_TIME} [0-9]{{4}}",
    )
)

# A UUID as RFC 4122 writes it, in upper or lower case.
UUID = re.compile(rf"{_START}[0-9A-Fa-f]{{8}}-(?:[0-9A-Fa-f]{{4}}-){{3}}[0-9A-Fa-f]{{12}}{_END}")
# A date with a time, as ISO 8601 or HTTP (RFC 9110) writes it.
TIMESTAMP = re.compile(rf"{_START}(?:(?:{_EXTENDED}|{_BASIC}){_ISO_END}|(?:{_HTTP}){_END})")

_DIGITS = re.compile(r"[0-9]+")


def is_uuid(text: str) -> bool:
    """Whether the text is a UUID and nothing else."""
    return UUID.fullmatch(text) is not None


def is_timestamp(text: str) -> bool:
    """Whether the text is a date with a time and nothing else."""
    return TIMESTAMP.fullmatch(text) is not None


def is_digits(text: str) -> bool:
    """Whether the text is made of the digits 0 to 9 only."""
    return _DIGITS.fullmatch(text) is not None
