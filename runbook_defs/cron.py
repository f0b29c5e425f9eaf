"""When a schedule fires: five fields on a line, as cron has them."""

import re
from dataclasses import dataclass

from runbook_defs.problems import did_you_mean

NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

_NUMBER = "[a-z]+|[0-9]{1,3}"
_ITEM = re.compile(
    rf"(?P<first>\*|{_NUMBER})(-(?P<last>{_NUMBER}))?(/(?P<step>[0-9]{{1,3}}))?", re.ASCII | re.IGNORECASE
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class CronError(Exception):
    """A text that no clock can follow; `offset` is where in it the trouble begins."""

    def __init__(self, message: str, *, hint: str, offset: int = 0) -> None:
        super().__init__(message)
        self.message, self.hint, self.offset = message, hint, offset


@dataclass(frozen=True, kw_only=True)
class _Field:
    """One of the five: its least and greatest number, and the names of its numbers."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    @property
    def is_weekday(self) -> bool:
        """Whether 7 is another number for its first day."""
        return self.names == _WEEKDAYS

    def number(self, word: str, *, ends: bool = False) -> int:
        """What `word` stands for; Sunday `ends` a range as its seventh day."""
        if word.lower() in self.names:
            number = self.names.index(word.lower()) + self.low
            return 7 if ends and self.is_weekday and number == 0 else number
        if not word.isdigit():
            hint = did_you_mean(word, self.names) or self._hint
            raise CronError(f"{word!r} is no {self.name}", hint=hint)
        number = int(word)
        if not self.low <= number <= self.high + self.is_weekday:
            raise CronError(f"{word} is no {self.name}", hint=f"they go from {self.low} to {self.high}")
        return number

    def numbers(self, text: str) -> frozenset[int]:
        """The numbers that a field of a cron line stands for; raises `CronError`."""
        items = text.split(",")
        if len(items) > 1 and "*" in items:
            raise CronError(f"{text!r} lists more than every {self.name}", hint="write * alone")
        found = {number for item in items for number in self._item(item)}
        return frozenset(number % 7 if self.is_weekday else number for number in found)

    def _item(self, text: str) -> range:
        match = _ITEM.fullmatch(text)
        if match is None or (match["first"] == "*" and match["last"]):
            raise CronError(f"{text!r} is no {self.name}", hint=self._hint)
        if match["first"] == "*":
            first, last = self.low, self.high
        else:
            first = self.number(match["first"])
            last = self.number(match["last"], ends=True) if match["last"] else first
        if match["last"] and first >= last:
            raise CronError(f"the range {text!r} does not lead upwards", hint=self._unrolled(first, last))
        return range(first, last + 1, self._step(text, match["step"], first, last))

    def _step(self, text: str, stated: str | None, first: int, last: int) -> int:
        if stated is None:
            return 1
        if first == last:
            room = self.high - first
            hint = f"write {first}-{self.high}/{stated}" if 1 <= int(stated) <= room else f"write {first}"
            raise CronError(f"{text!r} has a step, but no range to go through", hint=hint)
        if not 1 <= int(stated) <= last - first:
            # Other programs take it for every hour, say, which is not what `*/90` looks like.
            message = f"the step of {text!r} leads nowhere between {first} and {last}"
            raise CronError(message, hint=f"give a step from 1 to {last - first}")
        return int(stated)

    def _unrolled(self, first: int, last: int) -> str:
        if first == last:
            return f"write {first}"
        ends = ((first, self.high), (self.low, last))
        return "write " + ",".join(f"{a}-{b}" if a < b else f"{a}" for a, b in ends)

    @property
    def _hint(self) -> str:
        low, high = self.low, self.high
        names = f", a name such as {self.names[0]}" if self.names else ""
        return (
            f"it is *, a number from {low} to {high}{names}, a range {low}-{high}, steps */2, or a list 1,2"
        )


_FIELDS = (
    _Field(name="minute", low=0, high=59),
    _Field(name="hour", low=0, high=23),
    _Field(name="day of the month", low=1, high=31),
    _Field(name="month", low=1, high=12, names=_MONTHS),
    _Field(name="day of the week", low=0, high=6, names=_WEEKDAYS),
)


def parse_cron(text: str) -> tuple[frozenset[int], ...]:
    """The minutes, hours, days of the month, months and days of the week that `text` names; 0 is Sunday.

    Raises `CronError`.
    """
    if text.strip().startswith("@"):
        return _named(text.strip())
    words = list(re.finditer(r"\S+", text))
    if len(words) != len(_FIELDS):
        fields = ", ".join(field.name for field in _FIELDS)
        count = f"{len(words)} field{'' if len(words) == 1 else 's'}"
        hint = "for example 30 6 * * 1-5: at 06:30 from Monday to Friday"
        raise CronError(f"it has {count} instead of five: {fields}", hint=hint)
    found = []
    for field, word in zip(_FIELDS, words, strict=True):
        try:
            found.append(field.numbers(word[0]))
        except CronError as error:
            error.offset = word.start()
            raise
    _check_there_is_such_a_day(found[2], found[3], words)
    return tuple(found)


def _named(name: str) -> tuple[frozenset[int], ...]:
    if name not in NICKNAMES:
        hint = did_you_mean(name, NICKNAMES) or f"there are: {', '.join(NICKNAMES)}"
        raise CronError(f"{name!r} is no time that cron has a name for", hint=hint)
    return parse_cron(NICKNAMES[name])


def _check_there_is_such_a_day(
    days: frozenset[int], months: frozenset[int], words: list[re.Match[str]]
) -> None:
    """Raises `CronError` for the 30th of February; a day of the week beside it is enough to fire."""
    if words[4][0] == "*" and min(days) > max(_LONGEST[month - 1] for month in months):
        message = f"the months it names have no day {min(days)}, so it never fires"
        raise CronError(message, hint="give a day that these months have", offset=words[2].start())
