"""An agent's long requests on one connection reach the provider as they are, with the model's name put in its place."""

import http.client
import json
import random
import socket
from pathlib import Path
from typing import Any

from tests.e2e.serving import serving
from tests.e2e.upstream import Upstream

SETTINGS = """version: 1
budgets:
  all: {{usd: 100, period: day}}
models: {{quick: "openai:m"}}
providers:
  openai: {{base_url: {url}/v1, credential: env:KEY}}
prices:
  - {{model: "openai:m", input: 1, output: 4}}
"""


def answer(connection: socket.socket, request: bytes) -> None:
    usage = {"prompt_tokens": len(request) // 4, "completion_tokens": 1, "total_tokens": len(request) // 4 + 1}
    choice = {"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}
    data = json.dumps({"model": "m", "choices": [choice], "usage": usage}).encode()
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(data))
    connection.sendall(data)


def test_each_turn_of_long_conversations_reaches_the_provider_to_the_byte(tmp_path: Path) -> None:
    dice, upstream = random.Random(5), Upstream(answer)
    tools = [{"type": "function", "function": {"name": f"t{n}", "description": "does it. " * 90}} for n in range(20)]
    sent: list[bytes] = []
    with serving(tmp_path, SETTINGS.format(url=upstream.url)) as gateway:
        headers = {"authorization": f"Bearer {gateway.new_key()}", "content-type": "application/json"}
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
        messages: list[dict[str, Any]] = [{"role": "system", "content": "be careful " * 500}]
        for turn in range(60):
            messages.append({"role": "user", "content": f'{turn} "said" \\ {dice.random()}\n' * dice.randrange(1, 300)})
            if turn % 9 == 5:
                messages[-2] = {**messages[-2], "content": "another word\u00e9"}
            if turn % 20 == 19:
                messages = messages[: dice.randrange(1, 5)]
            body = json.dumps({"messages": messages, "model": "quick", "tools": tools, "max_tokens": 5}).encode()
            connection.request("POST", "/v1/chat/completions", body, headers)
            told = connection.getresponse()
            assert told.status == 200, told.read()
            told.read()
            sent.append(body.replace(b'"model": "quick"', b'"model": "m"'))
        connection.close()
        gateway.verify()
    assert [request.partition(b"\r\n\r\n")[2] for request in upstream.requests] == sent
    assert max(map(len, sent)) > 100_000
    upstream.close()
