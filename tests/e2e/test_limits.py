"""Limits over a real gateway: what clients are told, and that no crowd of them gets more than there is."""

import asyncio
import math
from pathlib import Path

import pytest

from tests.e2e.budget_load import TOKENS, ask, calls_at_once, provider, settings
from tests.e2e.serving import serving, until

CHAT = "/v1/chat/completions"
DAY = "requests_per_day"


def limits(text: str) -> str:
    return f"limits:\n  crowd: {{{text}}}\n"


def test_a_call_beyond_the_limit_is_told_when_it_will_fit(tmp_path: Path) -> None:
    more = limits('key: "*", requests_per_minute: 2, tokens_per_hour: 100000')
    with provider() as fake, serving(tmp_path, settings(fake.url, more)) as gateway:
        key, other = gateway.new_key(), gateway.new_key("other")
        first = gateway.post(CHAT, ask(1), key)
        assert first.status == 200
        assert first.headers["x-ratelimit-limit-requests"] == "2"
        assert first.headers["x-ratelimit-remaining-requests"] == "1"
        assert first.headers["x-ratelimit-reset-requests"] in ("1m0s", "1m1s")
        assert first.headers["x-ratelimit-limit-tokens"] == "100000"
        assert 99_000 < int(first.headers["x-ratelimit-remaining-tokens"]) < 100_000
        assert gateway.post(CHAT, ask(2), key).headers["x-ratelimit-remaining-requests"] == "0"
        refused = gateway.post(CHAT, ask(3), key)
        assert refused.status == 429
        assert refused.json()["error"]["code"] == "rate_limit_exceeded"
        assert refused.json()["error"]["type"] == "rate_limit_error"
        assert "'crowd' (key " in refused.json()["error"]["message"]
        assert 50 <= int(refused.headers["retry-after"]) <= 61
        assert refused.headers["x-ratelimit-remaining-requests"] == "0"
        assert gateway.post(CHAT, ask(1), other).status == 200


def test_a_call_that_can_never_fit_is_not_told_to_wait(tmp_path: Path) -> None:
    with provider() as fake, serving(tmp_path, settings(fake.url, limits("tokens_per_minute: 500"))) as gateway:
        key = gateway.new_key()
        refused = gateway.post(CHAT, ask(1, limit=501), key)
        assert refused.status == 429
        assert "retry-after" not in refused.headers
        assert refused.headers["x-should-retry"] == "false"
        assert gateway.post(CHAT, ask(1, limit=None), key).status == 200, "what no client set is cut to what fits"


def test_tokens_are_corrected_when_the_call_has_ended(tmp_path: Path) -> None:
    with provider() as fake, serving(tmp_path, settings(fake.url, limits("output_tokens_per_hour: 1000"))) as gateway:
        key = gateway.new_key()
        answers = [gateway.post(CHAT, ask(number, limit=900), key) for number in range(5)]
        assert [one.status for one in answers] == [200] * 5
        last = gateway.post(CHAT, ask(9, limit=901), key)
        assert last.status == 429, "five answers of twenty tokens leave less than 901"
        assert gateway.post(CHAT, ask(10, limit=1000 - 5 * TOKENS), key).status == 200


def test_the_retry_after_is_true(tmp_path: Path) -> None:
    with provider() as fake, serving(tmp_path, settings(fake.url, limits("concurrency: 1"))) as gateway:
        key = gateway.new_key()
        seen = asyncio.run(calls_at_once(gateway.port, key, [ask(number) for number in range(4)]))
        assert seen == {200: 1, 429: 3}
        assert gateway.post(CHAT, ask(9), key).status == 200


def test_a_changed_limit_holds_within_a_second_and_a_restart_forgets_nothing(tmp_path: Path) -> None:
    with provider(delay_s=0) as fake:
        with serving(tmp_path, settings(fake.url, limits(f"{DAY}: 3"))) as gateway:
            key = gateway.new_key()
            assert [gateway.post(CHAT, ask(number), key).status for number in range(4)] == [200, 200, 200, 429]
        with serving(tmp_path, settings(fake.url, limits(f"{DAY}: 5"))) as gateway:
            answers = [gateway.post(CHAT, ask(number), key) for number in range(3)]
            assert [one.status for one in answers] == [200, 200, 429]
            (tmp_path / "settings.yaml").write_text(settings(fake.url, limits(f"{DAY}: 6")))
            until(lambda: gateway.post(CHAT, ask(7), key).status == 200, "the new limit holds")
            assert gateway.post(CHAT, ask(8), key).status == 429


def test_what_a_killed_process_had_leased_counts_as_used_and_no_more(tmp_path: Path) -> None:
    with provider(delay_s=0) as fake:
        with serving(tmp_path, settings(fake.url, limits(f"{DAY}: 160"))) as gateway:
            key = gateway.new_key()
            assert {gateway.post(CHAT, ask(number), key).status for number in range(50)} == {200}
            gateway.kill()
        with serving(tmp_path, settings(fake.url, limits(f"{DAY}: 160"))) as gateway:
            seen = asyncio.run(calls_at_once(gateway.port, key, [ask(number) for number in range(160)]))
        assert 50 + seen[200] <= 160
        assert 50 + seen[200] >= 160 * 0.75


@pytest.mark.parametrize(
    ("workers", "calls", "kind"),
    [
        (1, 200, "requests_per_day"),
        (4, 200, "output_tokens_per_day"),
        (4, 200, "requests_per_day"),
        (1, 2_000, "requests_per_day"),
        (4, 2_000, "requests_per_day"),
        (1, 2_000, "output_tokens_per_day"),
        (4, 2_000, "output_tokens_per_day"),
    ],
)
def test_a_crowd_gets_what_there_is_and_no_more(tmp_path: Path, workers: int, calls: int, kind: str) -> None:
    fitting = calls // 4
    each = {"requests_per_day": 1, "output_tokens_per_day": TOKENS}[kind]
    more = limits(f"{kind}: {fitting * each}")
    with provider() as fake, serving(tmp_path, settings(fake.url, more), "--workers", str(workers)) as gateway:
        key = gateway.new_key()
        seen = asyncio.run(calls_at_once(gateway.port, key, [ask(number) for number in range(calls)]))
        assert set(seen) <= {200, 429}, seen
        assert seen[200] <= fitting
        assert seen[200] >= math.floor(fitting * 0.95), seen
        assert gateway.post(CHAT, ask(1), key).status == (429 if seen[200] == fitting else 200)
