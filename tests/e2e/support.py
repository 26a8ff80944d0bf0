"""Runs a real gateway as a process, and talks to it over plain sockets so that every byte is seen."""

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from farthing.storage.offload import ThreadOffload
from farthing.storage.sqlite import SqliteStore
from farthing.types.calls import Attempt

START_S = 20.0
"""How long a process may take to be ready on a machine that is busy with other tests."""

TRACED = "COVERAGE_PROCESS_CONFIG" in os.environ
"""Whether the gateways note each line that they run (`make cover`), which makes them several times slower."""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_until_answers(port: int, path: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the process ended with {process.returncode}"
        with suppress(OSError, http.client.HTTPException):
            if request(port, "GET", path).status == 200:
                return
        time.sleep(0.02)
    raise AssertionError(f"nothing answered {path} on {port} within {START_S} s")


class Answer:
    """An HTTP answer, read whole."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    def json(self) -> Any:
        return json.loads(self.body)


def request(
    port: int,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = 30,
) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request(method, path, body, dict(headers or {}))
        return Answer(connection.getresponse())
    finally:
        connection.close()


class Gateway:
    """A running `farthing serve`."""

    def __init__(self, home: Path, port: int, process: subprocess.Popen[bytes], environment: dict[str, str]) -> None:
        self.home = home
        self.port = port
        self.process = process
        self.environment = environment

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def post(self, path: str, body: Any, key: str, headers: Mapping[str, str] | None = None) -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"content-type": "application/json", "authorization": f"Bearer {key}", **(headers or {})}
        return request(self.port, "POST", path, data, sent)

    def new_key(self, name: str = "test") -> str:
        return str(json.loads(self.farthing("keys", "create", name, "--json").stdout)["key"])

    def farthing(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return farthing(self.home, *arguments, environment=self.environment)

    def costs(self, *arguments: str) -> Any:
        return json.loads(self.farthing("costs", "--json", *arguments).stdout)

    def calls(self, limit: int = 10_000) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.farthing("calls", "--json", "--limit", str(limit)).stdout)
        return found

    def attempts(self) -> list[Attempt]:
        """Return every attempt in the ledger, once the CLI says that the ledger has caught up with the journal."""
        self.calls(1)

        async def read() -> list[Attempt]:
            offload = ThreadOffload()
            store = SqliteStore(self.home / "farthing.db", offload)
            await store.open()
            try:
                return await store.attempts_after("", 1_000_000)
            finally:
                await store.close()
                await offload.close()

        return asyncio.run(read())

    def only_attempt(self) -> Attempt:
        (attempt,) = self.attempts()
        return attempt

    def verify(self) -> None:
        """Raise unless the books agree."""
        self.farthing("ledger", "verify")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(45)


def farthing(home: Path, *arguments: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "farthing", "--home", str(home), *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=dict(environment),
        timeout=60,
    )


def clean_environment(**more: str) -> dict[str, str]:
    keep = ("PATH", "PYTHONPATH", "LANG", "SYSTEMROOT", "COVERAGE_PROCESS_CONFIG")  # the last so that it is counted
    return {name: os.environ[name] for name in keep if name in os.environ} | {"PYTHONWARNINGS": "error", **more}


@contextmanager
def running_gateway(home: Path, settings: str, **environment: str) -> Iterator[Gateway]:
    """Serve `home` with these settings (without `server:`) until the block ends, then see it stop in order."""
    gateway = start_gateway(home, settings, **environment)
    try:
        yield gateway
        if gateway.process.poll() is None:
            assert gateway.stop() == 0
    finally:
        if gateway.process.poll() is None:
            gateway.kill()


def start_gateway(home: Path, settings: str, **environment: str) -> Gateway:
    home.mkdir(exist_ok=True, mode=0o700)
    port = free_port()
    server = "" if "server:" in settings else f"server: {{port: {port}}}\n"
    (home / "settings.yaml").write_text(f"version: 1\n{server}{settings}", encoding="utf-8")
    variables = clean_environment(HOME=str(home), **environment)
    with (home / "serve.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "farthing", "serve", "--home", str(home), "--port", str(port)],
            stdout=log,
            stderr=log,
            env=variables,
        )
    wait_until_answers(port, "/ready", process)
    return Gateway(home, port, process, variables)
