"""Every recorded exchange of the served formats goes through the running gateway, in front of the replay server.

The client must get what was recorded, the provider what the client sent, and the ledger what the provider reported.
Usage is normalised here a second time, from the recording, by code that shares nothing with the gateway's; cost is
compared with genai-prices, which the gateway does not use when it runs.
"""

import collections
import datetime as dt
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import genai_prices
import pytest

from farthing.types.calls import Attempt
from farthing.types.usage import Usage
from tests.e2e.support import Answer, Gateway, request, running_gateway

RECORDINGS = os.environ.get("FARTHING_RECORDINGS", "")
PROVIDERS = ("openai", "anthropic", "openrouter", "groq", "deepseek", "mistral")
APIS = ("chat.completions", "messages", "count_tokens")
pytestmark = [
    pytest.mark.recordings,
    pytest.mark.slow,
    pytest.mark.skipif(not RECORDINGS, reason="no recordings: set FARTHING_RECORDINGS to their folder"),
]

LEAST_PLAYED = 850
"""Of the 866 recorded exchanges of these formats; fewer means that the test quietly lost some."""


@pytest.fixture(scope="module")
def replay() -> Iterator[int]:
    with subprocess.Popen(
        [sys.executable, str(Path(RECORDINGS) / "replay_server.py"), "--port", "0"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        found = re.search(r"all=http://127\.0\.0\.1:(\d+)", process.stdout.readline())
        assert found, "the replay server did not say where it listens"
        yield int(found.group(1))
        process.terminate()


@pytest.fixture(scope="module")
def gateway(replay: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    bases = {name: f"http://127.0.0.1:{replay}/{name}" for name in PROVIDERS}
    rows = "\n".join(
        f"  {name}: {{base_url: {base}{'' if name in ('anthropic', 'deepseek') else '/v1'}, credential: env:KEY}}"
        for name, base in bases.items()
    )
    with running_gateway(tmp_path_factory.mktemp("recordings"), f"providers:\n{rows}\n", KEY="sk-upstream") as running:
        yield running


def load_exchanges() -> list[dict[str, Any]]:
    index = json.loads((Path(RECORDINGS) / "index.json").read_text(encoding="utf-8"))
    slugs = [row["slug"] for row in index if row["provider"] in PROVIDERS and row["api"] in APIS]
    folder = Path(RECORDINGS) / "exchanges"
    return [json.loads((folder / f"{slug}.json").read_text(encoding="utf-8")) for slug in slugs]


def reason_to_leave_out(exchange: dict[str, Any]) -> str | None:
    body = exchange["request"]["body"]
    if not isinstance(body, dict):
        return "its request body is no JSON object"
    if not isinstance(body.get("model"), str) or not body["model"]:
        return "its request names no model, so no provider can be chosen"
    return None


def recorded_body(exchange: dict[str, Any]) -> bytes:
    response = exchange["response"]
    if response["body_kind"] == "json":
        exact = response.get("body_text")
        text = exact if exact is not None else json.dumps(response["body"], ensure_ascii=False, separators=(",", ":"))
        return str(text).encode()
    return (response["body"] or "").encode()


# ---- what the provider must get


def expected_upstream(exchange: dict[str, Any]) -> dict[str, Any]:
    body = dict(exchange["request"]["body"])
    if exchange["provider"] == "openai" and body.get("stream") is True and exchange["api"] == "chat.completions":
        body["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
    return body


# ---- what the client must get


def check_client_side(exchange: dict[str, Any], answer: Answer) -> str | None:
    """Return what differs from the recording, of what may differ; raise on what may not."""
    recorded, status = recorded_body(exchange), exchange["response"]["status"]
    if answer.status == status and answer.body == recorded:
        return None
    if status >= 400:
        error = json.loads(answer.body)["error"]
        assert answer.status == status
        said = json.loads(recorded)
        for message in re.findall(r'"(?:message|detail|msg)": ?"((?:[^"\\]|\\.)*)"', json.dumps(said)):
            assert json.loads(f'"{message}"')[:50] in error["message"], exchange["slug"]
        return "an error body without the face's shape is rendered in it"
    if not recorded:
        assert answer.status == 502
        assert answer.json()["error"]["code"] == "provider_cut"
        return "a stream that was recorded empty is told as a cut, with its status"
    if answer.body.startswith(recorded) and b"provider_cut" in answer.body[len(recorded) :]:
        assert b"[DONE]" not in recorded
        assert b'"finish_reason":"' not in recorded.replace(b" ", b"")
        return "a stream that was recorded broken off ends in an error event"
    if exchange["response"]["body_kind"] == "sse" and not asked_for_usage(exchange):
        kept = [event for event in re.split(rb"(?<=\n\n)", recorded) if not is_usage_only(event)]
        assert answer.body == b"".join(kept), exchange["slug"]
        return "the usage chunk that nobody asked for is kept from the client"
    raise AssertionError(f"{exchange['slug']}: the client got {answer.status} {answer.body[:300]!r}")


def asked_for_usage(exchange: dict[str, Any]) -> bool:
    return bool((exchange["request"]["body"].get("stream_options") or {}).get("include_usage"))


def is_usage_only(event: bytes) -> bool:
    if not event.startswith(b"data: {"):
        return False
    chunk = json.loads(event[6:])
    return chunk.get("choices") == [] and bool(chunk.get("usage"))


# ---- what the ledger must say


def expected_usage(exchange: dict[str, Any]) -> dict[str, int] | None:
    """Normalise the recorded usage once more, as a table of how each provider counts."""
    seen = [row.get("usage", row) for row in exchange.get("usage_events") or []]
    usage = exchange.get("usage")
    if not usage:
        return None
    if exchange["provider"] == "anthropic":
        merged: dict[str, Any] = {}
        for event in [*seen, usage]:
            merged |= {name: value for name, value in event.items() if value is not None}
        read = merged.get("cache_read_input_tokens", 0)
        written = merged.get("cache_creation_input_tokens", 0)
        hour = (merged.get("cache_creation") or {}).get("ephemeral_1h_input_tokens", 0)
        return {
            "input_tokens": merged["input_tokens"] + read + written,
            "output_tokens": merged["output_tokens"],
            "cache_read_input_tokens": read,
            "cache_creation_1h_input_tokens": hour,
            "cache_creation_5m_input_tokens": written - hour,
        }
    prompt = usage.get("prompt_tokens_details") or {}
    completion = usage.get("completion_tokens_details") or {}
    return {
        "input_tokens": usage["prompt_tokens"],
        "output_tokens": usage.get("completion_tokens", usage["total_tokens"] - usage["prompt_tokens"]),
        "cache_read_input_tokens": prompt.get("cached_tokens") or usage.get("prompt_cache_hit_tokens") or 0,
        "cache_creation_5m_input_tokens": prompt.get("cache_write_tokens") or 0,
        "cache_creation_1h_input_tokens": 0,
        # A count of reasoning above the whole output is another tokenizer's; the total says what counts.
        "reasoning_output_tokens": min(completion.get("reasoning_tokens") or 0, usage.get("completion_tokens", 0)),
    }


def oracle_nanousd(provider: str, model: str, usage: Usage, at_us: int) -> int | None:
    """Return genai-prices' cost in nanodollars; `None` where it does not know the model."""
    try:
        price = genai_prices.calc_price(
            genai_prices.Usage(
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                cache_read_tokens=usage.cache_read_input_tokens or None,
                cache_write_tokens=usage.cache_creation_5m_input_tokens or None,
                input_audio_tokens=usage.input_audio_tokens or None,
                output_audio_tokens=usage.output_audio_tokens or None,
            ),
            model,
            provider_id=provider,
            genai_request_timestamp=dt.datetime.fromtimestamp(at_us / 1e6, dt.UTC),
        )
    except LookupError:
        return None
    return int((Decimal(price.total_price) * 10**9).to_integral_value())


def reason_for_difference(attempt: Attempt) -> str | None:
    """Return why our cost may differ from genai-prices'."""
    usage = attempt.usage
    if usage.cache_creation_1h_input_tokens:
        return "genai-prices has no price for writes that last an hour; we charge Anthropic's two times input"
    if usage.web_search_requests:
        return "web searches are billed per search"
    if attempt.service_tier not in (None, "default", "standard", "auto", "on_demand"):
        return f"service tier {attempt.service_tier}"
    if usage.flags:
        return f"inconsistent usage, priced conservatively: {', '.join(usage.flags)}"
    return None


def test_every_recorded_exchange_passes_unharmed_and_is_metered_and_priced(
    replay: int, gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    key = gateway.new_key()
    exchanges = load_exchanges()
    left_out: collections.Counter[str] = collections.Counter()
    differs: collections.Counter[str] = collections.Counter()
    played: list[tuple[dict[str, Any], str]] = []
    for exchange in exchanges:
        if (reason := reason_to_leave_out(exchange)) is not None:
            left_out[reason] += 1
            continue
        answer, call_id = play(replay, gateway, key, exchange)
        if (difference := check_client_side(exchange, answer)) is not None:
            differs[difference] += 1
        check_upstream_side(replay, exchange)
        played.append((exchange, call_id))
    priced, unpriced, price_differs, problems = check_ledger(gateway, played)
    lines = [f"recorded exchanges: {len(played)} of {len(exchanges)} played"]
    for title, counter in (("left out", left_out), ("differs", differs), ("price differs", price_differs)):
        lines += [f"  {title}: {count} x {reason}" for reason, count in counter.most_common()]
    lines.append(f"  cost equal to genai-prices: {priced}; unknown to both: {unpriced}")
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(lines) + "\n")
    assert not problems, "\n".join(problems[:40])
    assert len(played) >= LEAST_PLAYED
    gateway.verify()


def play(replay: int, gateway: Gateway, key: str, exchange: dict[str, Any]) -> tuple[Answer, str]:
    provider, body = exchange["provider"], exchange["request"]["body"]
    request(replay, "DELETE", "/__calls")
    forced = json.dumps({"slug": exchange["slug"], "times": 1, "provider": provider}).encode()
    assert request(replay, "POST", "/__force", forced).status == 200
    path = {"messages": "/v1/messages", "count_tokens": "/v1/messages/count_tokens"}.get(
        exchange["api"], "/v1/chat/completions"
    )
    sent = json.dumps({**body, "model": f"{provider}:{body['model']}"}, ensure_ascii=False, separators=(",", ":"))
    headers = {
        name: value for name, value in exchange["request"]["headers"].items() if name.lower().startswith("anthropic")
    }
    answer = gateway.post(path, sent.encode(), key, headers)
    return answer, answer.headers.get("x-farthing-call-id", "")


def check_upstream_side(replay: int, exchange: dict[str, Any]) -> None:
    calls = request(replay, "GET", "/__calls").json()["calls"]
    assert len(calls) == 1, f"{exchange['slug']} was sent {len(calls)} times"
    expected = expected_upstream(exchange)
    assert calls[0]["body"] == expected, exchange["slug"]
    compact = json.dumps(expected, ensure_ascii=False, separators=(",", ":")).encode()
    assert calls[0]["body_bytes"] == len(compact), f"{exchange['slug']}: not the client's bytes"
    assert list(calls[0]["body"]) == list(expected), "the order of members changed"
    assert calls[0]["headers"]["accept-encoding"] == "identity"
    assert "sk-upstream" not in json.dumps(calls[0])


def check_ledger(
    gateway: Gateway, played: list[tuple[dict[str, Any], str]]
) -> tuple[int, int, collections.Counter[str], list[str]]:
    attempts = {attempt.opening.call_id: attempt for attempt in gateway.attempts()}
    missing = [exchange["slug"] for exchange, call_id in played if call_id and call_id not in attempts]
    problems = [f"{slug}: not in the ledger" for slug in missing]
    priced = unpriced = 0
    differs: collections.Counter[str] = collections.Counter()
    for exchange, call_id in played:
        if call_id not in attempts:
            continue
        attempt = attempts[call_id]
        if exchange["api"] == "count_tokens" or exchange["response"]["status"] >= 400:
            if attempt.cost_nanousd != 0:
                problems.append(f"{exchange['slug']}: a free answer costs {attempt.cost_nanousd}")
            continue
        expected = expected_usage(exchange)
        if expected is None:
            if attempt.cost_basis == "reported" and attempt.cost_nanousd != 0:
                problems.append(f"{exchange['slug']}: estimated usage is not marked")
            continue
        got = {name: getattr(attempt.usage, name) for name in expected}
        if got != expected:
            problems.append(f"{exchange['slug']}: usage {got} is not {expected}")
        oracle = None
        for model in (attempt.model_served, attempt.opening.model):
            if oracle is None and model:
                oracle = oracle_nanousd(exchange["provider"], model, attempt.usage, attempt.ended_at_us)
        ours = attempt.cost_nanousd
        if ours == oracle:
            priced += ours is not None
            unpriced += ours is None
        elif (reason := reason_for_difference(attempt)) is not None:
            differs[reason] += 1
        else:
            problems.append(f"{exchange['slug']}: costs {ours}, genai-prices says {oracle} ({attempt.price_id})")
    return priced, unpriced, differs, problems
