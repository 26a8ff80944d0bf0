"""A conversation that hosts with one Redis serve in turn keeps its thoughts, whichever of them has the next call."""

import json
from pathlib import Path
from typing import Any

from tests.e2e.hosts import hosts
from tests.e2e.serving import until
from tests.e2e.test_translation import CHAT, CLAUDE, answers, sent
from tests.e2e.upstream import upstream, whole
from tests.redis_server import running_redis

THOUGHT = {"type": "thinking", "thinking": "I look.", "signature": "EqQBCgIYAhIM"}
SETTINGS = """version: 1
providers:
  claude: {{kind: anthropic, base_url: {url}, credential: none}}
prices:
  - {{model: "claude:*", input: 2, output: 10}}
"""


def test_what_a_provider_sealed_for_one_host_is_sent_back_by_the_other(tmp_path: Path) -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Bern"}}
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    body: dict[str, Any] = {
        "model": "claude:claude-sonnet-4-5",
        "messages": [{"role": "user", "content": "What is the weather in Bern?"}],
        "tools": [{"type": "function", "function": {"name": "weather", "parameters": schema}}],
        "reasoning_effort": "low",
    }
    with running_redis() as redis, upstream(whole(json.dumps(CHAT).encode())) as server:
        text = SETTINGS.format(url=server.url)
        with hosts(tmp_path, text, redis=redis.url, workers=1) as running:
            one, two = running.gateways
            until(lambda: two.post("/v1/chat/completions", {}, running.key).status != 401, "the other knows the key")
            answers(server, {**CLAUDE, "content": [THOUGHT, call], "stop_reason": "tool_use"})
            message = one.post("/v1/chat/completions", body, running.key).json()["choices"][0]["message"]
            body["messages"] += [
                {"role": "assistant", "content": message["content"], "tool_calls": message["tool_calls"]},
                {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "sunny"},
            ]
            answers(server, CLAUDE)

            def has_it() -> bool:
                assert two.post("/v1/chat/completions", body, running.key).status == 200
                return bool(sent(server)["messages"][1]["content"][0] == THOUGHT)

            until(has_it, "it is told within moments")
            for gateway in (one, two):
                assert gateway.post("/v1/chat/completions", body, running.key).status == 200
                assert sent(server)["messages"][1]["content"][0] == THOUGHT
            redis.freeze()  # what is at hand is used, and nobody waits for the rest
            assert two.post("/v1/chat/completions", body, running.key).status == 200
            assert sent(server)["messages"][1]["content"][0] == THOUGHT
            redis.thaw()
