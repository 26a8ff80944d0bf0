"""256 streams at once for half a minute, with clients that leave at random: nothing leaks, and the books are right."""

import asyncio
import json
import os
import random
import sys
from collections import Counter
from pathlib import Path

import pytest

from farthing.testing.fake_provider import FakeProvider
from farthing.testing.fakes.account import Line, Tariff
from farthing.testing.fakes.script import Script
from farthing.testing.http_client import post
from tests.e2e.support import Gateway, running_gateway

SECONDS = 30 * float(os.environ.get("FARTHING_CI_SCALE", "1"))
AT_ONCE = 256
MODEL = "fake-model"
PRICES = """
prices:
  - {model: "openai:fake-model", input: 2, output: 8, cache_read: 0.5}
  - {model: "anthropic:fake-model", input: 3, output: 15, cache_read: 0.3, cache_write_5m: 3.75, cache_write_1h: 6}
"""

pytestmark = pytest.mark.slow


def open_files(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def rss_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


async def ask_again_and_again(gateway: Gateway, key: str, number: int, until: float) -> Counter[str]:
    """One client: asks streams one after the other, and leaves every third in the middle."""
    dice, done = random.Random(number), Counter[str]()
    headers = {"authorization": f"Bearer {key}", "anthropic-version": "2023-06-01"}
    loop = asyncio.get_running_loop()
    while loop.time() < until:
        claude = dice.random() < 0.5
        path = "/v1/messages" if claude else "/v1/chat/completions"
        body = {
            "model": f"{'anthropic' if claude else 'openai'}:{MODEL}",
            "stream": True,
            "max_tokens": 400,
            "messages": [{"role": "user", "content": f"question {dice.random()}: {'a few words to read ' * 40}"}],
        }
        leave = dice.randrange(1, 40) if dice.random() < 0.33 else None
        heard = await post(gateway.port, path, json.dumps(body).encode(), headers, leave_after_events=leave)
        assert heard.status == 200
        done["complete" if heard.complete else "left"] += 1
    return done


async def settle_down(gateway: Gateway, sent: int) -> None:
    """Wait until every call is in the ledger."""
    async with asyncio.timeout(30):
        while len(await asyncio.to_thread(gateway.calls, 10_000)) < min(sent, 10_000):  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.2)


async def files_once_quiet(pid: int, at_rest: int) -> int:
    """Return how many files stay open when nobody calls any more."""
    for _ in range(100):
        if open_files(pid) <= at_rest:
            break
        await asyncio.sleep(0.05)
    return open_files(pid)


def compare(gateway: Gateway, lines: list[Line]) -> tuple[int, int, int, int]:
    """Return how many lines are exact, and of the estimated ones the number and both sums in nanodollars."""
    by_id = {attempt.upstream_request_id: attempt for attempt in gateway.attempts()}
    exact = estimated = ours = theirs = 0
    for line in lines:
        attempt = by_id.pop(line.request_id)
        assert line.nanousd is not None
        if attempt.cost_basis == "reported":
            assert line.told, f"{line.request_id} is exact although the provider never said so"
            assert attempt.cost_nanousd == line.nanousd, (attempt, line)
            exact += 1
        else:
            assert attempt.outcome == "cancelled"
            assert attempt.cost_basis == "estimated"
            assert attempt.cost_nanousd is not None
            estimated += 1
            ours += attempt.cost_nanousd
            theirs += line.nanousd
    assert not by_id, f"attempts that no provider knows: {list(by_id)[:5]}"
    return exact, estimated, ours, theirs


async def test_half_a_minute_of_256_streams_leaks_nothing_and_the_sums_agree(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tariffs = {
        "openai": Tariff(input="2", output="8", cache_read="0.5"),
        "anthropic": Tariff(input="3", output="15", cache_read="0.3", cache_write_5m="3.75", cache_write_1h="6"),
    }
    script = Script(7, tokens=(20, 200), token_delay_s=0.005)
    fakes = [
        FakeProvider(
            name,
            models=(MODEL,),
            tariffs={MODEL: tariffs[name]},
            script=script,
        )
        for name in ("openai", "anthropic")
    ]
    for fake in fakes:
        await fake.start()
    try:
        providers = "".join(f"  {f.format.name}: {{base_url: {f.url}, credential: env:K}}\n" for f in fakes)
        with running_gateway(tmp_path / "home", f"providers:\n{providers}{PRICES}", K="sk") as gateway:
            pid, key = gateway.process.pid, await asyncio.to_thread(gateway.new_key)
            await asyncio.to_thread(gateway.calls, 1)
            files_at_rest = open_files(pid)
            loop = asyncio.get_running_loop()
            # The first round brings everything to its working size; leaks show after it.
            await asyncio.gather(
                *(ask_again_and_again(gateway, key, -n, loop.time() + 0.5) for n in range(1, AT_ONCE + 1))
            )
            memory_kb = rss_kb(pid)
            until = loop.time() + SECONDS
            done = sum(
                await asyncio.gather(*(ask_again_and_again(gateway, key, n, until) for n in range(AT_ONCE))), Counter()
            )
            lines = [line for fake in fakes for line in fake.account.lines]
            await settle_down(gateway, len(lines))
            lines = [line for fake in fakes for line in fake.account.lines]
            idle_from = cpu_ticks(pid)
            await asyncio.sleep(2)
            idle_ticks = cpu_ticks(pid) - idle_from
            exact, estimated, ours, theirs = await asyncio.to_thread(compare, gateway, lines)
            for fake in fakes:  # which closes the connections that the gateway keeps for the next call
                await fake.close()
            files_left = await files_once_quiet(pid, files_at_rest)
            told = (
                f"{SECONDS:.0f} s of {AT_ONCE} streams: {done['complete']} whole, {done['left']} left; {exact} exact, "
                f"{estimated} estimated at {ours / max(theirs, 1):.3f} of what was produced; files {files_at_rest} -> "
                f"{files_left}, memory {memory_kb} -> {rss_kb(pid)} KB, idle {idle_ticks} ticks in 2 s"
            )
            with capsys.disabled():
                sys.stdout.write(f"\n{told}\n")
            assert exact >= done["complete"]
            # What a left stream produced is told by nobody, so it is estimated; the fake's words are no real tokens.
            assert 0.75 <= ours / max(theirs, 1) <= 1.35
            assert files_left <= files_at_rest
            assert rss_kb(pid) <= memory_kb + 16_384
            assert idle_ticks <= 10
            gateway.verify()
    finally:
        for fake in fakes:
            await fake.close()
