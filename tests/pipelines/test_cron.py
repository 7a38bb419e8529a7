"""When something recurs: what the scheduler of Kubeflow Pipelines gets, and what is refused before."""

import pytest

from newsrec.config import InvalidConfig
from pipelines.cron import with_seconds


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("0 4 * * *", "0 0 4 * * *"),
        ("*/15 * * * *", "0 */15 * * * *"),
        ("  30  6-22/4,23 1,15 jan-MAR mon-fri ", "0 30 6-22/4,23 1,15 jan-MAR mon-fri"),
        ("59 23 31 12 6", "0 59 23 31 12 6"),
        ("0 0 1 1 0", "0 0 0 1 1 0"),
    ],
)
def test_seconds_come_first(cron: str, expected: str) -> None:
    assert with_seconds(cron) == expected


@pytest.mark.parametrize(
    ("cron", "message"),
    [
        ("0 0 4 * * *", "with 6 fields, expected 5 .minute, hour, "),
        ("@daily", "with 1 fields, expected 5"),
        ("", "with 0 fields"),
        ("60 4 * * *", "minute '60', expected 0 to 59"),
        ("0 24 * * *", "hour '24', expected 0 to 23"),
        ("0 4 0 * *", "day of the month '0', expected 1 to 31"),
        ("0 4 * 13 *", "month '13', expected 1 to 12 or jan to dec"),
        ("0 4 * * 7", "day of the week '7', expected 0 to 6 or sun to sat"),  # Sunday to others, no day to KFP
        ("0 4 * * jan", "day of the week 'jan'"),
        ("0 4 * * fri-mon", "day of the week 'fri-mon'"),
        ("0 9-5 * * *", "hour '9-5'"),
        ("*/0 4 * * *", "minute '\\*/0'"),
        ("0,, 4 * * *", "minute '0,,'"),
        ("-1 4 * * *", "minute '-1'"),
        ("² 4 * * *", "minute '²'"),
    ],
)
def test_what_would_recur_otherwise_or_never_is_refused_with_an_example(cron: str, message: str) -> None:
    with pytest.raises(InvalidConfig, match=message) as raised:
        with_seconds(cron)
    assert "0 4 * * *" in str(raised.value)
