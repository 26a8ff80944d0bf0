"""What the ledger must say of each exchange: usage as the recording has it, cost as genai-prices has it."""

import collections
import datetime as dt
from dataclasses import dataclass, field
from decimal import Decimal

import genai_prices

from farthing.gateway.attempts import FATE_UNKNOWN
from farthing.types.calls import Attempt
from tests.e2e.recordings import reported_cost
from tests.e2e.recordings.answer_facts import served_model
from tests.e2e.recordings.entries import Entry
from tests.e2e.recordings.exchanges import Exchange
from tests.e2e.recordings.sending import asks_for_stream
from tests.e2e.recordings.usage_tables import expected_usage
from tests.e2e.support import Gateway


@dataclass(frozen=True)
class Played:
    """An exchange that went through the gateway."""

    exchange: Exchange
    entry: Entry
    call_id: str


@dataclass
class Findings:
    """What was found of all that was played; `problems` must be empty in the end."""

    priced: int = 0
    unpriced: collections.Counter[str] = field(default_factory=collections.Counter)
    differs: collections.Counter[str] = field(default_factory=collections.Counter)
    reported: collections.Counter[str] = field(default_factory=collections.Counter)
    problems: list[str] = field(default_factory=list)


def check_ledger(gateway: Gateway, played: list[Played]) -> Findings:
    """Compare every line of the ledger with its recording."""
    attempts = {attempt.opening.call_id: attempt for attempt in gateway.attempts()}
    findings = Findings()
    for one in played:
        attempt = attempts.get(one.call_id)
        if attempt is None:
            findings.problems.append(f"{one.exchange.slug}: not in the ledger")
        elif one.exchange.recorded:
            _check_line(one, attempt, findings)
        elif attempt.outcome != "provider_cut":
            findings.problems.append(f"{one.exchange.slug}: an empty stream ended as {attempt.outcome}")
    return findings


def _check_line(played: Played, attempt: Attempt, findings: Findings) -> None:
    exchange = played.exchange
    assert exchange.asked is not None
    said = (attempt.opening.operation, attempt.opening.streamed, attempt.http_status)
    if said != (exchange.asked.operation, asks_for_stream(exchange), exchange.status):
        findings.problems.append(f"{exchange.slug}: is in the ledger as {said}")
    outcome = "provider_error" if exchange.status >= 400 or "error_in_200" in exchange.features else "ok"
    if attempt.outcome != outcome:
        findings.problems.append(f"{exchange.slug}: ended as {attempt.outcome}, not {outcome}: {attempt.error_message}")
    if exchange.asked.operation == "count_tokens" or exchange.status >= 400:
        free = None if exchange.status in FATE_UNKNOWN else 0
        if attempt.cost_nanousd != free:
            findings.problems.append(f"{exchange.slug}: an answer that costs {free} costs {attempt.cost_nanousd}")
        return
    if (model := served_model(exchange)) != attempt.model_served:
        findings.problems.append(f"{exchange.slug}: {attempt.model_served!r} is said to have answered, not {model!r}")
    if exchange.asked.operation == "responses" and b'"status":"queued"' in exchange.recorded.replace(b" ", b""):
        findings.differs["a response that goes on in the background: what it will cost is unknown here"] += 1
        if attempt.cost_basis != "unknown" or attempt.cost_nanousd is not None:
            findings.problems.append(f"{exchange.slug}: costs {attempt.cost_nanousd} before it is done")
        return
    expected = expected_usage(exchange)
    if expected is None:
        if attempt.cost_basis == "reported" and attempt.cost_nanousd != 0:
            findings.problems.append(f"{exchange.slug}: estimated usage is not marked")
        return
    got = {name: getattr(attempt.usage, name) for name in expected}
    if got != expected:
        odd = {name: (got[name], value) for name, value in expected.items() if got[name] != value}
        findings.problems.append(f"{exchange.slug}: usage (ours, recorded) {odd} of {exchange.usage}")
    whole = {"input_tokens", "output_tokens"} <= expected.keys()
    if whole and attempt.cost_basis == "estimated":
        findings.problems.append(f"{exchange.slug}: reported usage is said to be estimated")
    words, right = reported_cost.compare(exchange, attempt)
    if not right:
        findings.problems.append(f"{exchange.slug}: {words}")
    elif words:
        findings.reported[words] += 1
    _check_cost(played, attempt, findings)


def _check_cost(played: Played, attempt: Attempt, findings: Findings) -> None:
    oracle, ours = (0 if played.entry.known.free else None), attempt.cost_nanousd
    price_key = played.entry.known.price_key
    for model in (attempt.model_served, attempt.opening.model):
        if oracle is None and model and price_key is not None:
            oracle = oracle_nanousd(price_key, model, attempt)
    if oracle is None and ours is not None and ours == reported_cost.expected_report(played.exchange):
        findings.differs["genai-prices does not know the model; the provider's own figure is ours"] += 1
    elif ours == oracle:
        findings.priced += ours is not None
        if ours is None:
            findings.unpriced[played.exchange.provider] += 1
    elif (reason := reason_for_difference(played.exchange, attempt)) is not None:
        findings.differs[reason] += 1
    else:
        findings.problems.append(
            f"{played.exchange.slug}: costs {ours}, genai-prices says {oracle} ({attempt.price_id}, {attempt.usage})"
        )


def oracle_nanousd(provider: str, model: str, attempt: Attempt) -> int | None:
    """Return genai-prices' cost in nanodollars; `None` where it does not know the model."""
    usage, tier = attempt.usage, attempt.service_tier
    counts = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_input_tokens,
        "cache_write_tokens": usage.cache_creation_input_tokens,
        "cache_write_5m_tokens": usage.cache_creation_5m_input_tokens,
        "cache_write_1h_tokens": usage.cache_creation_1h_input_tokens,
        "input_audio_tokens": usage.input_audio_tokens,
        "output_audio_tokens": usage.output_audio_tokens,
        "input_image_tokens": usage.input_image_tokens,
        "output_image_tokens": usage.output_image_tokens,
        "output_reasoning_tokens": usage.reasoning_output_tokens,
        "web_searches": usage.web_search_requests,
    }
    try:
        price = genai_prices.calc_price(
            genai_prices.Usage(**{name: count for name, count in counts.items() if count}),
            model,
            provider_id=provider,
            genai_request_timestamp=dt.datetime.fromtimestamp(attempt.ended_at_us / 1e6, dt.UTC),
            # Each list calls it otherwise; what a list does not know it does not look at.
            price_context=None
            if tier is None
            else dict.fromkeys(("service_tier", "processing", "speed"), tier.lower()),
        )
    except (LookupError, ValueError):  # the model is unknown, or the usage is inconsistent, which it refuses
        return None
    return int((Decimal(price.total_price) * 10**9).to_integral_value())


def reason_for_difference(exchange: Exchange, attempt: Attempt) -> str | None:
    """Return why our cost may differ from genai-prices'."""
    if attempt.usage.web_search_requests and attempt.cost_nanousd is None:
        return "a search without a price is unknown to us, and free to genai-prices"
    if exchange.provider == "perplexity" and (exchange.usage or {}).get("search_context_size"):
        return "Perplexity's fee follows how far it searched, and genai-prices has the highest only"
    if "cache_exceeds_input" in attempt.usage.flags:
        return "more was read from the cache than was read, which genai-prices refuses and we price and mark"
    if attempt.price_id and "+" in attempt.price_id:
        return "the list is corrected, with reason and source (catalog/data/corrections.json)"
    return None
