import click
import pytest

from farthing.cli.since import Span, ahead_us, since_us

NOW_US = 1_794_000_000_000_000  # 2026-11-06T20:00:00Z
DAY_US = 86_400_000_000
MIDNIGHT_US = NOW_US - NOW_US % DAY_US


@pytest.mark.parametrize(
    ("text", "moment_us"),
    [
        ("today", MIDNIGHT_US),
        ("yesterday", MIDNIGHT_US - DAY_US),
        ("2026-11-06", MIDNIGHT_US),
        ("2026-11-06T01:00", MIDNIGHT_US + DAY_US // 24),
        ("2026-11-06T01:00:00+01:00", MIDNIGHT_US),
        ("24h", NOW_US - DAY_US),
        ("7d", NOW_US - 7 * DAY_US),
        ("2w", NOW_US - 14 * DAY_US),
        ("90m", NOW_US - DAY_US // 16),
        ("99999w", 0),
    ],
)
def test_a_moment_is_a_date_a_span_back_or_a_word(text: str, moment_us: int) -> None:
    assert since_us(text, NOW_US) == moment_us


@pytest.mark.parametrize("text", ["", "soon", "7", "-7d", "2026-13-01", "1.5h", "7D"])
def test_anything_else_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match=r"Invalid isoformat string|month must be"):
        since_us(text, NOW_US)


@pytest.mark.parametrize(
    ("text", "moment_us"),
    [
        ("2026-11-07", MIDNIGHT_US + DAY_US),
        ("2026-11-07T00:00:00+01:00", MIDNIGHT_US + DAY_US // 24 * 23),
        ("24h", NOW_US + DAY_US),
        ("2w", NOW_US + 14 * DAY_US),
    ],
)
def test_what_ends_ends_at_a_date_or_after_a_span(text: str, moment_us: int) -> None:
    assert ahead_us(text, NOW_US) == moment_us


@pytest.mark.parametrize("text", ["", "soon", "7", "-7d", "2026-11-06", "yesterday"])
def test_what_is_over_is_no_moment_to_come(text: str) -> None:
    with pytest.raises(ValueError, match=r"Invalid isoformat string|is over"):
        ahead_us(text, NOW_US)


def test_a_span_is_some_seconds_or_none() -> None:
    assert [Span().convert(text, None, None) for text in ("0", "90m", "24h", "1w", 7)] == [0, 5_400, 86_400, 604_800, 7]
    with pytest.raises(click.BadParameter, match="is no length of time"):
        Span().convert("soon", None, None)
