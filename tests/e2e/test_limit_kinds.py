"""Each kind of limit over a real gateway with several workers: a crowd gets all that there is, and no more."""

import os
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.budget_load import TOKENS, ask, settings
from tests.e2e.serving import serving
from tests.e2e.watched import CHAT, crowd, usage, watched

pytestmark = pytest.mark.slow

LARGE = pytest.mark.skipif(float(os.environ.get("FARTHING_CI_SCALE", "1")) < 2, reason="takes a longer run")

READ, COST = 35, 115_000
"""What each call of the crowds below reads, and what it costs in nanodollars."""


class Kind(NamedTuple):
    """A kind of limit that fifty calls fill, whose it is, and what of it a call uses: a share of each of three."""

    word: str
    amount: str
    scope: str
    most: int
    per_call: int = 0
    per_read: int = 0
    per_written: int = 0

    def used(self, calls: list[tuple[int, int]]) -> int:
        return sum(self.per_call + read * self.per_read + written * self.per_written for read, written in calls)


KINDS = [
    Kind("requests_per_day", "50", "key", 50, per_call=1),
    Kind("input_tokens_per_day", f"{50 * READ}", "team", 50 * READ, per_read=1),
    Kind("output_tokens_per_hour", f"{50 * TOKENS}", "key", 50 * TOKENS, per_written=1),
    Kind("tokens_per_day", f"{50 * (READ + TOKENS)}", "team", 50 * (READ + TOKENS), per_read=1, per_written=1),
    Kind("usd_per_hour", "0.00575", "key", 50 * COST, per_read=1_000, per_written=4_000),
]


def test_two_hundred_calls_at_once_get_all_of_each_kind_of_limit_and_no_more(tmp_path: Path) -> None:
    kinds = [(kind.word, kind.amount, kind.scope) for kind in KINDS] + [("concurrency", "50", "team")]
    rows = "".join(f"  {word}: {{{scope}: {word}, {word}: {amount}}}\n" for word, amount, scope in kinds)
    token = "an-admin-token-of-the-tests"
    with (
        watched(0.2) as fake,
        serving(
            tmp_path, settings(fake.url, f"limits:\n{rows}"), "--workers", "2", FARTHING_ADMIN_TOKEN=token
        ) as gateway,
    ):
        keys = {
            word: gateway.post("/admin/keys", {"name": word, "team": word}, token).json()["key"] for word, *_ in kinds
        }
        for kind in KINDS:
            heard = crowd(gateway, keys[kind.word], 200)
            assert {one.status for one in heard} == {200, 429}, kind
            let_in = usage(heard)
            # What a call may use is more than what it does; what one crowd leaves over is for the next.
            # A worker gives back what is too little for a call of its own when another asks, so one crowd may be early.
            in_vain = 0
            while in_vain < 2:
                more = usage(crowd(gateway, keys[kind.word], 40))
                let_in += more
                in_vain = 0 if more else in_vain + 1
            assert kind.most * 0.93 <= kind.used(let_in) <= kind.most, kind
        fake.most.clear()
        # A call waits for 1.3 s, in which others end: so many that some wait in vain.
        assert {one.status for one in crowd(gateway, keys["concurrency"], 400)} == {200, 429}
        assert 47 <= fake.most["sk-real"] <= 50


@LARGE
def test_a_call_that_comes_when_it_was_told_to_is_let_in(tmp_path: Path) -> None:
    kinds = {"requests_per_minute": 1, "output_tokens_per_minute": TOKENS, "usd_per_minute": "0.0004"}
    rows = "".join(f"  {word}: {{key: {word}, {word}: {amount}}}\n" for word, amount in kinds.items())
    with watched(0) as fake:
        credential = "{source: env:KEY, tokens_per_minute: 100}"
        lab = f"  lab: {{kind: openai-compatible, base_url: {fake.url}, credentials: [{credential}]}}\n"
        text = settings(fake.url, f"limits:\n{rows}").replace("prices:", f"{lab}prices:")
        with serving(tmp_path, text) as gateway:
            asked = {word: (gateway.new_key(word), ask(1)) for word in kinds}
            asked["quota"] = (gateway.new_key("quota"), ask(1) | {"model": "lab:fake-model"})
            assert {gateway.post(CHAT, body, key).status for key, body in asked.values()} == {200}
            time.sleep(1.7)  # so that not all of it leaves its window on the second
            due = []
            for key, body in asked.values():
                refused = gateway.post(CHAT, body, key)
                assert refused.status == 429
                due.append((time.monotonic() + int(refused.headers["retry-after"]), key, body))
            for at_s, key, body in sorted(due, key=lambda one: one[0]):
                time.sleep(max(0.0, at_s - time.monotonic()))
                assert gateway.post(CHAT, body, key).status == 200
