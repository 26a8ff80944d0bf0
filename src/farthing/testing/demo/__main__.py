"""`python -m farthing.testing.demo`: about 20 seconds of Farthing at work, without an account and without a network."""

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress

from farthing.storage.protocols import Store
from farthing.testing.demo.books import MOST_ATTEMPTS, Comparison, compare, open_ledger
from farthing.testing.demo.house import House, house
from farthing.testing.demo.people import HABITS, KEYS, Client
from farthing.testing.demo.screen import Screen, report, screen

REDRAW_S = 0.4
LAST_CALLS_S = 8.0
"""How long calls under way may take once the time is over; the longest answer of a fake lasts about 2 s."""
MOST_SECONDS = 600.0
RECENT_CALLS = 200
"""Looked at on each redraw: twenty times what ends between two."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; return 0, or 1 when ledger and providers disagree."""
    parser = argparse.ArgumentParser(prog="python -m farthing.testing.demo", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long clients make calls (20)")
    parser.add_argument("--plain", action="store_true", help="plain lines, also in a terminal")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other calls (1)")
    chosen = parser.parse_args(arguments)
    seconds = min(max(chosen.seconds, 1.0), MOST_SECONDS)
    try:
        agrees = asyncio.run(_demo(seconds, chosen.seed, plain=chosen.plain))
    except KeyboardInterrupt:  # before there was anything to report, or a second time
        print("\nThe demo was stopped; nothing of it remains.")
        return 0
    except BrokenPipeError:  # the reader has seen enough, as in `make demo | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 0 if agrees else 1


async def _demo(seconds: float, seed: int, *, plain: bool) -> bool:
    shown = screen(plain=plain)
    print("Starting four fake providers and a real gateway: no account, no network.", flush=True)
    async with house(seed) as built:
        await built.open(KEYS)
        print(
            f"Five clients call the gateway on 127.0.0.1:{built.port} for {seconds:g} s; Ctrl-C ends it.",
            flush=True,
        )
        await _live(built, shown, seconds, seed)
        print("Stopping the gateway: it drains, settles and exits.", flush=True)
        await built.close()
        verified = await built.verify()
        async with open_ledger(built.home) as store:
            compared = await _close_books(built, store, shown, verified)
    return compared.agrees


async def _live(built: House, shown: Screen, seconds: float, seed: int) -> None:
    """Let the clients call until the time is over or somebody presses Ctrl-C."""
    stop = asyncio.Event()
    ends_at = time.monotonic() + seconds

    def is_over() -> bool:
        return stop.is_set() or time.monotonic() >= ends_at

    async with AsyncExitStack() as stack:
        _first_ctrl_c(stop, stack)
        store = await stack.enter_async_context(open_ledger(built.home))
        clients = [
            asyncio.create_task(HABITS[key.name](Client(built, key, seed, is_over)), name=key.name) for key in KEYS
        ]
        with shown:
            seen: set[str] = set()
            pending = set(clients)
            while pending and time.monotonic() < ends_at + LAST_CALLS_S:
                _, pending = await asyncio.wait(pending, timeout=REDRAW_S)
                await _show_news(store, shown, seen)
        for client in pending:
            client.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for client in clients:
            if client not in pending:
                client.result()  # a client that failed is a defect of the demo, and says so


async def _show_news(store: Store, shown: Screen, seen: set[str]) -> None:
    calls = await store.recent(RECENT_CALLS)
    news = [attempt for attempts in reversed(calls) for attempt in attempts if attempt.opening.attempt_id not in seen]
    seen.update(attempt.opening.attempt_id for attempt in news)
    (total,) = await store.costs(None)
    shown.show(news, total)


async def _close_books(built: House, store: Store, shown: Screen, verified: str) -> Comparison:
    attempts = await store.attempts_after("", MOST_ATTEMPTS)
    compared = compare(attempts, built.fakes.values())
    report(shown.console, attempts, compared, await store.costs("project"), verified)
    return compared


def _first_ctrl_c(stop: asyncio.Event, stack: AsyncExitStack) -> None:
    """Turn the first Ctrl-C into an early, orderly end; the second one interrupts as usual."""
    loop = asyncio.get_running_loop()

    def let_go() -> None:
        with suppress(NotImplementedError):
            loop.remove_signal_handler(signal.SIGINT)

    def first() -> None:
        stop.set()
        let_go()

    with suppress(NotImplementedError):  # Windows: Ctrl-C interrupts at once, and the home is removed all the same
        loop.add_signal_handler(signal.SIGINT, first)
        stack.callback(let_go)


if __name__ == "__main__":
    sys.exit(main())
