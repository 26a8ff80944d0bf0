"""How long commands, a start and verifying a key take where each of 100,000 keys has a budget and a limit of its own.

    python benchmarks/rules.py [--keys 100000]

In a home of its own in a temporary folder; each key's budget has an account, as after a first call. Commands are run as
their user runs them, the fastest of two; the gateway is started once to write its home and timed the second time.
"""

import argparse
import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import apsw
import msgspec
from big_ledger import InPlace  # type: ignore[import-not-found]  # it lies beside this file
from keys import PEPPER, fill, verify_us  # type: ignore[import-not-found]  # so does this

from farthing.app import Farthing
from farthing.cli.serving import settle_memory
from farthing.config.load import load_settings
from farthing.config.paths import Home
from farthing.storage.sqlite import SqliteStore
from farthing.types.budgets import AccountKey, Budget, Scope
from farthing.types.limits import Limit, LimitTarget, Rate

MODULE = [sys.executable, "-m", "farthing"]
COMMANDS = (
    "limits list",
    "limits list --json",
    "budget list",
    "budget list --json",
    "budget show",
    "budget show key-77",
)
PAGES = ("/admin/v1/budgets", "/admin/v1/limits", "/admin/v1/keys", "/admin/v1/calls")
TOKEN = "fat_" + "x" * 40
START_TIMEOUT_S = 120.0
TARGET_S = 1.0
"""For every command but those with `--json`, which have everything."""
START_TARGET_S = 2.5
VERIFY_TARGET_US = 5.0


async def begin(home: Path, keys: int) -> list[str]:
    """Make a home with keys, a budget and a limit for each, and the budgets' accounts; return the keys themselves."""
    (home / "settings.yaml").write_text(f"server:\n  port: {free_port()}\n", encoding="utf-8")
    store = SqliteStore(home / "farthing.db", InPlace())
    await store.open()
    (home / "pepper").write_bytes(PEPPER)
    (home / "pepper").chmod(0o600)
    tokens: list[str] = await fill(store, keys)

    def insert(connection: apsw.Connection) -> None:
        for number in range(1, keys + 1):
            key_id, name = f"key_{number:026d}", f"key-{number}"
            scope = Scope(key_id=key_id)
            budget = Budget(id=f"bud_{number:026d}", name=name, scope=scope, limit_nanousd=10**10, period="total")
            rate = Rate("requests", 60, 100)
            limit = Limit(id=f"lim_{number:026d}", name=name, target=LimitTarget(scope=scope), rates=(rate,))
            for table, rule in (("budgets", budget), ("limits", limit)):
                row = (rule.id, name, msgspec.json.encode(rule).decode(), number)
                connection.execute(f"INSERT INTO {table} (id, name, rule, changed) VALUES (?, ?, ?, ?)", row)
            account = AccountKey(budget.id, 1, scope, 0).id
            connection.execute(
                "INSERT INTO accounts (account_id, budget_id, version, start_us, anchor, anchor_value, key_id,"
                " posted_nanousd, unknown_nanousd) VALUES (?, ?, 1, 0, 'key_id', ?, ?, ?, 0)",
                (account, budget.id, key_id, key_id, number),
            )
        connection.execute("UPDATE budget_changes SET counter = ?", (keys + 1,))
        connection.execute("UPDATE limit_changes SET counter = ?", (keys + 1,))

    await store.connections.transaction(insert)
    await store.close()
    return tokens


async def verifying_us(home: Path, tokens: list[str]) -> float:
    """Return the microseconds that verifying a key takes in a house that knows all of the rules."""
    settings = load_settings(home / "settings.yaml", known={}, environment={})
    farthing = Farthing(settings, Home(home), environment={})
    await farthing.open()
    settle_memory()
    try:
        took_us: float = verify_us(farthing.keys, tokens)
        return took_us
    finally:
        await farthing.close()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def command_s(home: Path, words: str) -> float:
    """Return the seconds of a command."""
    began = time.perf_counter()
    with (home / "out").open("wb") as out:
        subprocess.run([*MODULE, "--home", str(home), *words.split()], stdout=out, stderr=out, check=True)
    return time.perf_counter() - began


def served(home: Path, port: int) -> tuple[float, dict[str, float]]:
    """Start the gateway; return the seconds until it is ready, and those of each page."""
    environment = {**os.environ, "FARTHING_ADMIN_TOKEN": TOKEN}
    began = time.perf_counter()
    with (home / "out").open("wb") as out:
        gateway = subprocess.Popen([*MODULE, "--home", str(home), "serve"], stdout=out, stderr=out, env=environment)
    try:
        while not asked(port, "/ready", 5.0):
            if gateway.poll() is not None or time.perf_counter() - began > START_TIMEOUT_S:
                raise SystemExit((home / "out").read_text(encoding="utf-8"))
            time.sleep(0.01)
        ready_s = time.perf_counter() - began
        pages = {}
        for page in PAGES:
            took = []
            for _ in range(3):
                at = time.perf_counter()
                if not asked(port, page, 60.0):
                    raise SystemExit(f"{page} was not answered")
                took.append(time.perf_counter() - at)
            pages[page] = min(took)
        return ready_s, pages
    finally:
        gateway.terminate()
        gateway.wait(30)


def asked(port: int, path: str, timeout_s: float) -> bool:
    """Whether a path is answered with 200."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"authorization": f"Bearer {TOKEN}"})
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            answer.read()
            return bool(answer.status == 200)
    except OSError:
        return False


def main() -> None:
    """Measure, and end with 1 where something takes longer than it may."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--keys", type=int, default=100_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        tokens = asyncio.run(begin(home, given.keys))
        port = int((home / "settings.yaml").read_text(encoding="utf-8").split()[-1])
        worst_s = 0.0
        for words in COMMANDS:
            took_s = min(command_s(home, words) for _ in range(2))
            worst_s = worst_s if words.endswith("--json") else max(worst_s, took_s)
            print(f"farthing {words:<30}{took_s:8.2f} s", flush=True)
        served(home, port)
        ready_s, pages = served(home, port)
        print(f"farthing serve, until it is ready      {ready_s:8.2f} s", flush=True)
        for page, took_s in pages.items():
            print(f"GET {page:<35}{took_s * 1e3:8.1f} ms", flush=True)
        verify = asyncio.run(verifying_us(home, tokens))
        print(f"verifying a key                        {verify:8.2f} us", flush=True)
    bounds = (
        (worst_s, TARGET_S, "s: a command"),
        (ready_s, START_TARGET_S, "s: the start"),
        (verify, VERIFY_TARGET_US, "us: verifying"),
    )
    beyond = [f"{found:.2f} for {bound:g} {what}" for found, bound, what in bounds if found > bound]
    print("; ".join(beyond) or "all within their bounds")
    raise SystemExit(bool(beyond))


if __name__ == "__main__":
    main()
