"""Crowds of texts that no tokenizer knows, among cheap ones, at two workers: a budget of every byte is not passed."""

import asyncio
import json
import socket
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from tests.e2e.budget_load import calls_at_once
from tests.e2e.serving import serving
from tests.e2e.support import Gateway
from tests.e2e.upstream import Upstream

TOKENS = 10
WORDS = "say something about the order of these words "
LETTERS = "qxwvtpmghlnoqswbdfgrtyplmnvcxsd"
"""As dense as words are by their letters, and read as a token for each."""
SETTINGS = """version: 1
budgets:
  crowd: {{usd: {usd}, period: total, project: crowd, holds: every_byte}}
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


def test_no_crowd_of_dense_texts_passes_a_budget_of_every_byte(tmp_path: Path) -> None:
    biller = Biller()
    limit = 40 * (550 * 1_000 + TOKENS * 4_000)
    text = SETTINGS.format(usd=f"0.{limit:09d}", url=biller.upstream.url)
    with serving(tmp_path, text, "--workers", "2") as gateway:
        key = gateway.new_key()
        assert crowd(gateway, key, [WORDS] * 20)[200] == 20
        seen = crowd(gateway, key, [LETTERS] * 40)
        assert set(seen) == {200, 402}
        assert 0.9 * limit <= biller.nanousd <= limit, "what is left is less than one dense call may cost"
        gateway.verify()
    biller.upstream.close()
