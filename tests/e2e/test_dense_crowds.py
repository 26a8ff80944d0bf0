"""Crowds of texts that no tokenizer knows, among cheap ones, at two workers: no budget is passed."""

import asyncio
import json
import socket
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.budget_load import calls_at_once
from tests.e2e.serving import DONE, chunk, serving
from tests.e2e.support import Gateway
from tests.e2e.upstream import Upstream

TOKENS = 10
WORDS = "say something about the order of these words "
LETTERS = "qxwvtpmghlnoqswbdfgrtyplmnvcxsd"
"""As dense as words are by their letters, and read as a token for each."""
SETTINGS = """version: 1
budgets:
  crowd: {{usd: {usd}, period: total, project: crowd, holds: {holds}}}
providers:
  openai: {{base_url: {url}/v1, credential: env:KEY}}
prices:
  - {{model: "openai:m", input: 1, output: 4}}
"""
CHEAP, DENSE = 250, 1_000
"""Tokens of a thousand bytes."""


class Biller:
    """A provider that bills texts of words by their words, and others by their letters."""

    def __init__(self) -> None:
        self.nanousd = 0
        self._lock = threading.Lock()
        self.upstream = Upstream(self.answer)

    def answer(self, connection: socket.socket, request: bytes) -> None:
        body = request.partition(b"\r\n\r\n")[2]
        read = len(body) * (DENSE if LETTERS.encode() in body else CHEAP) // 1_000
        with self._lock:
            self.nanousd += read * 1_000 + TOKENS * 4_000
        usage = {"prompt_tokens": read, "completion_tokens": TOKENS, "total_tokens": read + TOKENS}
        choice = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
        data = json.dumps({"model": "m", "choices": [choice], "usage": usage}).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
        connection.sendall(head.encode() + data)


def ask(text: str, number: int) -> dict[str, Any]:
    said = (text * 100)[:2_000]
    content = f"{said}{number:06d}"
    return {"model": "openai:m", "max_tokens": TOKENS, "messages": [{"role": "user", "content": content}]}


def crowd(gateway: Gateway, key: str, texts: list[str]) -> Counter[int]:
    bodies = [ask(text, number) for number, text in enumerate(texts)]
    return asyncio.run(calls_at_once(gateway.port, key, bodies, {"x-farthing-project": "crowd"}))


@pytest.mark.parametrize("holds", ["estimate", "every_byte"])
def test_no_crowd_of_dense_texts_passes_a_budget(tmp_path: Path, holds: str) -> None:
    biller = Biller()
    limit = 40 * (550 * 1_000 + TOKENS * 4_000)
    text = SETTINGS.format(usd=f"0.{limit:09d}", url=biller.upstream.url, holds=holds)
    with serving(tmp_path, text, "--workers", "2") as gateway:
        key = gateway.new_key()
        assert crowd(gateway, key, [WORDS] * 20)[200] == 20
        seen = crowd(gateway, key, [LETTERS] * 40)
        assert set(seen) == {200, 402}
        assert 0.9 * limit <= biller.nanousd <= limit, "what is left is less than one dense call may cost"
        gateway.verify()
    biller.upstream.close()


class Streamer(Biller):
    """The same in streams, which tell at their end what they billed; some end without a word of it."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def answer(self, connection: socket.socket, request: bytes) -> None:
        read = len(request.partition(b"\r\n\r\n")[2])
        with self._lock:
            self.nanousd += read * 1_000 + TOKENS * 4_000
        usage = {"prompt_tokens": read, "completion_tokens": TOKENS, "total_tokens": read + TOKENS}
        told = b"data: " + json.dumps({"model": "m", "choices": [], "usage": usage}).encode() + b"\n\n"
        last = chunk("b", finish_reason="stop")
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
        connection.sendall(head + chunk("a"))
        time.sleep(0.05)  # in which the client leaves
        connection.sendall({"ends": last + told + DONE, "ends untold": last + DONE, "cut": chunk("b")}[self.how])
        connection.close()


def leaves(port: int, key: str, number: int) -> int:
    """Ask for a stream, and be gone with its first words; return its status."""
    data = json.dumps({**ask(LETTERS, number), "stream": True}).encode()
    lines = [
        "POST /v1/chat/completions HTTP/1.1",
        "host: x",
        f"authorization: Bearer {key}",
        "x-farthing-project: crowd",
        f"content-length: {len(data)}",
    ]
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
        got = b""
        while b"data:" not in got and b"402 Payment" not in got:
            got += client.recv(65_536)
        return int(got.split(maxsplit=2)[1])


@pytest.mark.parametrize(
    ("how", "outcome", "basis"),
    [("ends", "cancelled", "reported"), ("ends untold", "cancelled", "unknown"), ("cut", "provider_cut", "unknown")],
)
def test_who_leaves_streams_of_dense_texts_passes_no_budget_of_every_byte(
    tmp_path: Path, how: str, outcome: str, basis: str
) -> None:
    streamer, calls = Streamer(how), 12
    limit = calls * (2_200 * 1_000 + TOKENS * 4_000)
    text = SETTINGS.format(usd=f"0.{limit:09d}", url=streamer.upstream.url, holds="every_byte")
    with serving(tmp_path, text) as gateway:
        key = gateway.new_key()
        seen = Counter(leaves(gateway.port, key, number) for number in range(2 * calls))
        assert 0.6 * limit <= streamer.nanousd <= limit
        lines = gateway.attempts()
        assert len(lines) == seen[200]
        assert {(line.outcome, line.cost_basis) for line in lines} == {(outcome, basis)}
        if basis == "reported":
            assert sum(line.cost_nanousd or 0 for line in lines) == streamer.nanousd
        gateway.verify()
    streamer.upstream.close()
