"""`farthing prices refresh` beside a running gateway: the next calls cost what the new list says."""

import json
import time
from pathlib import Path

from tests.e2e.support import running_gateway
from tests.e2e.upstream import upstream, whole

ANSWER = {
    "model": "dear-model",
    "choices": [{"message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1_000, "completion_tokens": 1, "total_tokens": 1_001},
}
WITHIN_S = 20.0
"""It takes a second; a machine that is busy with other tests may take longer."""


def list_with(price: int, file: Path) -> str:
    model = {"id": "dear", "match": {"equals": "dear-model"}, "prices": {"input_mtok": price, "output_mtok": 1}}
    file.write_text(json.dumps([{"id": "openai", "models": [model]}]), encoding="utf-8")
    return str(file)


def test_a_running_gateway_takes_up_a_refreshed_list(tmp_path: Path) -> None:
    with upstream(whole(json.dumps(ANSWER).encode(), content_type="application/json")) as server:
        settings = f"providers:\n  openai: {{base_url: {server.url}/v1, credential: env:KEY}}\n"
        with running_gateway(tmp_path / "home", settings, KEY="sk-1") as gateway:
            key = gateway.new_key()

            def costs() -> int | None:
                body = {"model": "openai:dear-model", "messages": []}
                assert gateway.post("/v1/chat/completions", body, key).status == 200
                return gateway.attempts()[-1].cost_nanousd

            assert costs() is None
            for price in (5, 7):
                source = list_with(price, tmp_path / "list.json")
                gateway.farthing("prices", "refresh", "--from", source, "--yes")
                until = time.monotonic() + WITHIN_S
                while costs() != price * 1_000_000 + 1_000:
                    assert time.monotonic() < until, f"no call cost what the list says within {WITHIN_S} s"
            listed = gateway.farthing("prices", "show").stdout
            priced = gateway.attempts()[-1].price_id
            assert priced is not None
            assert priced.partition(":")[0] in listed
            gateway.verify()
