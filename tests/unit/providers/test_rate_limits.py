from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.providers.rate_limits import MAX_KINDS, learned, retry_after_s
from farthing.types.credentials import Learned

NOW_US = 1_795_000_000_000_000  # 2026-11-18T11:06:40Z
MINUTE_US = 60_000_000


def headers(**told: str) -> list[tuple[bytes, bytes]]:
    return [(name.replace("_", "-").encode(), value.encode()) for name, value in told.items()]


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        (  # OpenAI
            {
                "x_ratelimit_limit_requests": "10000",
                "x_ratelimit_remaining_requests": "9999",
                "x_ratelimit_reset_requests": "6ms",
                "x_ratelimit_limit_tokens": "200000",
                "x_ratelimit_remaining_tokens": "0",
                "x_ratelimit_reset_tokens": "1m0s",
            },
            [Learned("requests", 10_000, 9_999, NOW_US + 6_000), Learned("tokens", 200_000, 0, NOW_US + MINUTE_US)],
        ),
        (  # Anthropic
            {
                "anthropic_ratelimit_input_tokens_limit": "80000",
                "anthropic_ratelimit_input_tokens_remaining": "79000",
                "anthropic_ratelimit_input_tokens_reset": "2026-11-18T12:06:40Z",
            },
            [Learned("input-tokens", 80_000, 79_000, NOW_US + 60 * MINUTE_US)],
        ),
        (  # Cerebras: seconds, with parts of them
            {"x_ratelimit_remaining_requests_day": "14399", "x_ratelimit_reset_requests_day": "60.25"},
            [Learned("requests-day", None, 14_399, NOW_US + MINUTE_US + 250_000)],
        ),
        (  # Mistral
            {"x_ratelimit_limit_req_minute": "60", "x_ratelimit_remaining_req_minute": "59"},
            [Learned("req-minute", 60, 59)],
        ),
        (  # OpenRouter: an epoch in milliseconds
            {
                "x_ratelimit_limit": "20",
                "x_ratelimit_remaining": "0",
                "x_ratelimit_reset": str(NOW_US // 1_000 + 60_000),
            },
            [Learned("requests", 20, 0, NOW_US + MINUTE_US)],
        ),
        (  # the IETF's draft, with its window
            {"ratelimit_limit": "100;w=60", "ratelimit_remaining": "5", "ratelimit_reset": "60"},
            [Learned("requests", 100, 5, NOW_US + MINUTE_US)],
        ),
        ({"x_ratelimit_remaining_tokens": "-5", "x_ratelimit_reset_tokens": "soon", "x_ratelimit_over": "1"}, []),
        ({"content_type": "application/json"}, []),
    ],
)
def test_limits_are_learned_from_each_family(told: dict[str, str], wanted: list[Learned]) -> None:
    assert list(learned(headers(**told), NOW_US)) == wanted


@pytest.mark.parametrize(
    ("told", "wait_s"),
    [
        ({"retry_after": "20"}, Decimal(20)),
        ({"retry_after": "0.5"}, Decimal("0.5")),
        ({"retry_after": "20", "retry_after_ms": "1500"}, Decimal("1.5")),
        ({"retry_after": "999999999"}, Decimal(86_400)),
        ({"retry_after": "Thu, 01 Jan 1970 00:00:00 GMT"}, Decimal(0)),
        ({"retry_after": "later"}, None),
        ({}, None),
    ],
)
def test_how_long_to_stay_away(told: dict[str, str], wait_s: Decimal | None) -> None:
    assert retry_after_s(headers(**told), NOW_US) == wait_s


NAMES = st.sampled_from(
    [b"x-ratelimit-", b"anthropic-ratelimit-", b"ratelimit-", b"retry-after", b"x-ratelimit-reset-"]
)


@given(st.lists(st.tuples(st.tuples(NAMES, st.binary(max_size=30)).map(b"".join), st.binary(max_size=40)), max_size=30))
def test_nothing_that_a_provider_sends_breaks_it(told: list[tuple[bytes, bytes]]) -> None:
    found = learned(told, NOW_US)
    assert len(found) <= MAX_KINDS
    assert all(one.remaining is None or one.remaining >= 0 for one in found)
    retry_after_s(told, NOW_US)
