"""The demo's world: fake providers with price lists, and a real `farthing serve` in front of them, in a borrowed home.

The prices are made up, near what such models cost; the settings give the gateway the same ones, so that both sides can
be compared to the nanodollar.
"""

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec

from farthing.testing.fake_provider import FakeProvider
from farthing.testing.fakes.account import Tariff
from farthing.testing.fakes.script import Fault, Script

TARIFFS = {
    "anthropic": {"claude-sonnet-4-5": Tariff("3", "15", "0.3", "3.75", "6")},
    "openai": {"gpt-5-mini": Tariff("0.25", "2", "0.025"), "gpt-5-nano": Tariff("0.05", "0.4", "0.005")},
    "openrouter": {"qwen/qwen3-coder": Tariff("0.22", "0.95")},
    "groq": {"llama-3.3-70b-versatile": Tariff("0.59", "0.79")},
}
_PACE: dict[str, tuple[float, float, dict[Fault, float]]] = {
    # seconds to the first output, seconds per token, how likely which fault is
    "anthropic": (0.25, 0.006, {}),
    "openai": (0.15, 0.005, {}),
    "openrouter": (0.2, 0.01, {}),
    "groq": (0.03, 0.003, {"rate_limited": 0.2, "server_error": 0.1, "error_in_answer": 0.15, "cut": 0.15}),
}
START_S, STOP_S = 30.0, 40.0
"""A gateway starts in a second and stops within its drain of 30; more is a defect that the demo should show."""


class Key(msgspec.Struct, frozen=True):
    """Whose key, and for which project."""

    name: str
    project: str
    user: str


class House:
    """The running demo: its home, the gateway's port, and the fakes by provider."""

    def __init__(self, home: Path, fakes: dict[str, FakeProvider]) -> None:
        self.home = home
        self.fakes = fakes
        self.port = 0
        self.keys: dict[str, str] = {}
        self._environment = {**os.environ, "FARTHING_HOME": str(home), "FARTHING_DEMO_KEY": "no-real-key"}
        self._gateway: asyncio.subprocess.Process | None = None

    async def open(self, keys: list[Key]) -> None:
        """Write settings, make a key for each client, and start the gateway.

        Raises:
            RuntimeError: the gateway did not start; the text is what it said.
        """
        (self.home / "settings.yaml").write_text(_settings(self.fakes), encoding="utf-8")
        for key in keys:
            options = ("--project", key.project, "--user", key.user, "--json")
            told = await self._farthing("keys", "create", key.name, *options)
            self.keys[key.name] = json.loads(told)["key"]
        log = (self.home / "serve.log").open("wb")
        with log:
            self._gateway = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "farthing", "serve", "--port", "0"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=self._environment,
                start_new_session=True,  # Ctrl-C is for the demo, which then stops the gateway in order
            )
        assert self._gateway.stdout is not None
        async with asyncio.timeout(START_S):
            line = (await self._gateway.stdout.readline()).decode()
        if "listens on" not in line:
            raise RuntimeError("The gateway did not start:\n" + (self.home / "serve.log").read_text(encoding="utf-8"))
        self.port = int(line.rsplit(":", 1)[1])

    async def close(self) -> None:
        """Stop the gateway as an operator would, and wait until everything is settled; twice changes nothing."""
        gateway, self._gateway = self._gateway, None
        if gateway is not None:
            with suppress(ProcessLookupError):
                gateway.terminate()
            try:
                async with asyncio.timeout(STOP_S):
                    await gateway.wait()
            except TimeoutError:
                gateway.kill()
                await gateway.wait()
        for fake in self.fakes.values():
            await fake.close()

    async def verify(self) -> str:
        """Return what `farthing ledger verify` says about the books."""
        return (await self._farthing("ledger", "verify")).strip()

    async def _farthing(self, *arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "farthing", *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._environment,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(START_S):
                told, _ = await process.communicate()
        finally:
            if process.returncode is None:  # Ctrl-C, or too slow: the home must not be removed under its feet
                process.kill()
                await process.wait()
        if process.returncode != 0:
            raise RuntimeError(f"farthing {' '.join(arguments)} failed:\n{told.decode()}")
        return told.decode()


@asynccontextmanager
async def house(seed: int) -> AsyncIterator[House]:
    """Lend a house; its home is removed afterwards, whatever happens."""
    home = Path(tempfile.mkdtemp(prefix="farthing-demo-"))
    built = House(home, {name: _fake(name, seed) for name in TARIFFS})
    try:
        for fake in built.fakes.values():
            await fake.start()
        yield built
    finally:
        try:
            await built.close()
        finally:
            shutil.rmtree(home, ignore_errors=True)


def _fake(name: str, seed: int) -> FakeProvider:
    first_output_delay_s, token_delay_s, faults = _PACE[name]
    script = Script(
        seed,
        faults=faults,
        first_output_delay_s=first_output_delay_s,
        token_delay_s=token_delay_s,
        tokens=(20, 120),
    )
    return FakeProvider(name, script=script, models=tuple(TARIFFS[name]), tariffs=TARIFFS[name], key="no-real-key")


def _settings(fakes: dict[str, FakeProvider]) -> str:
    lines = ["version: 1", "providers:"]
    for name, fake in fakes.items():
        lines.append(f"  {name}: {{base_url: {fake.url}, credential: env:FARTHING_DEMO_KEY}}")
    lines += ["models:", "  fast: openai:gpt-5-mini", "prices:"]
    for name, tariffs in TARIFFS.items():
        for model, tariff in tariffs.items():
            prices = ((field, getattr(tariff, field)) for field in tariff.__struct_fields__)
            row = ", ".join(f"{field}: {price}" for field, price in prices if price is not None)
            lines.append(f'  - {{model: "{name}:{model}", {row}}}')
    return "\n".join(lines) + "\n"
