"""Which lines a clock can follow, and what is said of the others."""

import pytest

from runbook_defs.cron import NICKNAMES, CronError, parse_cron


@pytest.mark.parametrize(
    ("line", "field", "numbers"),
    [
        ("5,35 * * * *", 0, {5, 35}),
        ("*/20 * * * *", 0, {0, 20, 40}),
        ("10-50/20 * * * *", 0, {10, 30, 50}),
        ("0 08 * * *", 1, {8}),
        ("0 6 * jan-mar,DEC *", 3, {1, 2, 3, 12}),
        ("0 6 * * 1-5", 4, {1, 2, 3, 4, 5}),
        ("0 6 * * 7", 4, {0}),
        ("0 6 * * Fri-Sun", 4, {5, 6, 0}),
        ("0 6 * * 5-7", 4, {5, 6, 0}),
        ("  0\t6 * * *  ", 1, {6}),
        ("0 6 29 2 *", 2, {29}),
        ("0 6 30 2 mon", 2, {30}),
    ],
)
def test_a_field_stands_for_numbers(line: str, field: int, numbers: set[int]) -> None:
    assert parse_cron(line)[field] == numbers


@pytest.mark.parametrize("name", NICKNAMES)
def test_a_name_stands_for_five_fields(name: str) -> None:
    assert parse_cron(name) == parse_cron(NICKNAMES[name])


@pytest.mark.parametrize(
    ("line", "message", "hint", "offset"),
    [
        ("0 6 * *", "it has 4 fields instead of five", "for example 30 6 * * 1-5", 0),
        ("0 0 6 * * *", "it has 6 fields instead of five", "for example", 0),
        ("0  61 * * *", "61 is no hour", "they go from 0 to 23", 3),
        ("0 6 0 * *", "0 is no day of the month", "they go from 1 to 31", 4),
        ("0 6 * * 8", "8 is no day of the week", "they go from 0 to 6", 8),
        ("0 6 * * Monn", "'Monn' is no day of the week", "did you mean 'mon'?", 8),
        ("0 6 * mon *", "'mon' is no month", "", 6),
        ("0 6 L * *", "'L' is no day of the month", "a number from 1 to 31", 4),
        ("0 6 * * 1#1", "'1#1' is no day of the week", "a name such as sun", 8),
        ("0 6 ? * *", "'?' is no day of the month", "", 4),
        ("H 6 * * *", "'H' is no minute", "", 0),
        ("-5 6 * * *", "'-5' is no minute", "", 0),
        ("1, 6 * * *", "'' is no minute", "", 0),
        ("*-5 6 * * *", "'*-5' is no minute", "", 0),
        ("٣ 6 * * *", "'٣' is no minute", "", 0),
        ("*,5 6 * * *", "'*,5' lists more than every minute", "write * alone", 0),
        ("0 22-2 * * *", "does not lead upwards", "write 22-23,0-2", 2),
        ("0 23-2 * * *", "does not lead upwards", "write 23,0-2", 2),
        ("0 6 * * fri-mon", "does not lead upwards", "write 5-6,0-1", 8),
        ("0 6 * * 3-3", "does not lead upwards", "write 3", 8),
        ("*/90 * * * *", "leads nowhere between 0 and 59", "give a step from 1 to 59", 0),
        ("*/0 * * * *", "leads nowhere", "give a step from 1 to 59", 0),
        ("10-20/15 * * * *", "leads nowhere between 10 and 20", "give a step from 1 to 10", 0),
        ("0 6/4 * * *", "no range to go through", "write 6-23/4", 2),
        ("0 20/4 * * *", "no range to go through", "write 20", 2),
        ("0 23/4 * * *", "no range to go through", "write 23", 2),
        ("0 6 31 apr,jun *", "have no day 31, so it never fires", "", 4),
        ("@reboot", "'@reboot' is no time", "there are: @hourly", 0),
        ("@Daily", "'@Daily' is no time", "did you mean '@daily'?", 0),
        (f"{'9' * 5000} 6 * * *", "is no minute", "", 0),
    ],
)
def test_a_line_that_no_clock_can_follow_is_told_of(line: str, message: str, hint: str, offset: int) -> None:
    with pytest.raises(CronError) as caught:
        parse_cron(line)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.offset == offset


@pytest.mark.parametrize(
    "line", ["0 22-2 * * *", "0 23-0 * * *", "0 6 * * 6-2", "0 6/4 * * *", "0 22/4 * * *", "5/0 6 * * *"]
)
def test_who_writes_what_the_hint_says_is_understood(line: str) -> None:
    with pytest.raises(CronError) as caught:
        parse_cron(line)
    (field,) = [field for field in line.split() if "-" in field or "/" in field]
    assert parse_cron(line.replace(field, caught.value.hint.removeprefix("write ")))
