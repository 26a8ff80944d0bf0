"""Each try upstream: begun in the journal before a byte leaves, settled exactly once, whatever happens.

What is billed, by outcome. A provider that reports usage is believed. A refusal by status costs nothing, where it is
the provider that says it did not serve (4xx, 429, 500, 503, 529), and so does a request of which nothing was sent. What
a machine in between says of a request whose fate it does not know (`FATE_UNKNOWN`) is no such word: the provider may
have answered, to nobody, and bill it. That is of unknown cost, as is an answer that never came, to a request that was
sent whole, and a picture or sound that nobody counted. A stream that broke off, or whose client left, costs its input
and what it had produced: the provider's own count where it had given one, else our estimate.
"""

from typing import Protocol

import msgspec

from farthing.catalog.prices import PriceBook
from farthing.catalog.pricing import price_nanousd
from farthing.catalog.token_estimate import LearnedRatios, ProducedText, TokenFamily
from farthing.clock import Clock
from farthing.errors import JournalUnwritable
from farthing.gateway.discretion import MAX_NAME, discreet_text, kept_reading
from farthing.ledger import Ledger
from farthing.providers.protocol import ONLY_READ, Provider
from farthing.types.calls import Attempt, CostBasis, Opening, Outcome, Progress
from farthing.types.usage import Usage
from farthing.wire.meter import Reading

FATE_UNKNOWN = frozenset({408, 499, 502, 504, 520, 521, 522, 523, 524, 598, 599})
"""Statuses that proxies make, about a request that they may have passed on.

408: an API gateway in front of the model took too long (Azure's says so; a provider that read nothing would send it to
a slow sender, and we are none). 499: a proxy's own client went away, and we did not. 502, 504: what came from behind
was no answer, or none came in time. 520 to 524: Cloudflare's words for the same; 521 and 523 tell of the last try to
connect, not of those before it. 598, 599: some proxies' timeouts. Not 525 and 526: there no request could be passed on.
What is beyond 599 is no status of HTTP, and nobody knows what it says.
"""
_LAST_STATUS = 599
NOTHING = Usage(input_tokens=0, output_tokens=0)
_NO_READING = Reading()
LEFT = "client_left"
_UNHEARD = "the client left before the answer was whole; it was read to its end for what it cost"


class Held(Protocol):
    """What is held for an attempt in budgets and limits."""

    @property
    def every_byte(self) -> bool:
        """Whether an attempt that nobody told the end of counts as what was held, and not as what is guessed of it."""
        ...

    def end(self, attempt: Attempt) -> None:
        """Give back what the attempt did not use."""
        ...


class Attempts:
    """What all attempts have in common: where they are written down, and what they are priced by."""

    def __init__(self, ledger: Ledger, prices: PriceBook, clock: Clock) -> None:
        self.ledger = ledger
        self.prices = prices
        self.clock = clock
        self.ratios = LearnedRatios()


class LiveAttempt(msgspec.Struct, eq=False):
    """An attempt in flight."""

    _attempts: Attempts
    opening: Opening
    _provider: Provider
    _family: TokenFamily
    _estimate: int
    _losses: str | None
    _entered: Held | None
    produced: ProducedText = msgspec.field(default_factory=ProducedText)
    settled: Attempt | None = None
    left: bool = False
    """Whether the client is gone that asked: what came whole did not reach it."""
    came_whole: bool = False
    """Whether its answer was not streamed: then its first output is its last."""
    _first_output_us: int | None = None
    _request_id: str | None = None
    _status: int | None = None

    def note_first_output(self) -> None:
        """Remember when the first real output arrived."""
        if self._first_output_us is None:
            self._first_output_us = max(0, self._attempts.clock.now_us() - self.opening.started_at_us)

    def checkpoint(self, reading: Reading) -> None:
        """Write to the journal what a stream has produced so far."""
        usage = self.so_far(reading)
        now_us = self._attempts.clock.now_us()
        cost, price_id = self._price(usage, reading, now_us)
        served = discreet_text(self._provider, reading.model_served)
        progress = Progress(
            attempt_id=self.opening.attempt_id,
            at_us=now_us,
            usage=usage,
            cost_nanousd=cost,
            price_id=price_id,
            model_served=None if served is None else served[:MAX_NAME],
        )
        try:
            self._attempts.ledger.checkpoint(progress)
        except JournalUnwritable:
            pass  # the stream goes on; readiness shows it, and no new call begins until the journal can be written

    def note_answer(self, status: int, request_id: str | None) -> None:
        """Remember how the provider began to answer."""
        self._status, self._request_id = status, request_id

    def settle_whole(self, reading: Reading) -> Attempt:
        """Settle an answer that came to its end, with or without usage in it."""
        reading = self._believed(reading)
        outcome: Outcome = "provider_error" if reading.error_message is not None else "ok"
        usage = reading.usage
        if reading.pending:
            # What it will cost is told to whoever asks for it later, which is not us.
            return self._settle("ok", Usage(input_tokens=self.opening.input_tokens_estimate), "unknown", reading)
        if usage is None or not usage.known or not reading.usage_final:
            if outcome != "provider_error" or reading.usage is not None or self._produced_anything(reading):
                if outcome == "ok" and self._is_unreadable(reading):
                    usage = msgspec.structs.replace(self.so_far(reading), output_tokens=None)
                    return self._settle(outcome, usage, "unknown", reading)
                return self._settle_guessed(outcome, reading, reading)
            usage = NOTHING
        elif usage.input_tokens and self.opening.streamed:
            self._attempts.ratios.observe(self.opening.provider, self.opening.model, self._estimate, usage.input_tokens)
        return self._settle(outcome, usage, "reported", reading)

    def settle_refused(self, code: str, message: str) -> Attempt:
        """Settle an answer whose status is an error: providers do not bill those, where it is they who say it."""
        if self._status is not None and (self._status in FATE_UNKNOWN or self._status > _LAST_STATUS):
            return self.settle_unanswered("provider_error", code, message)
        reading = Reading(error_code=code, error_message=message)
        return self._settle("provider_error", NOTHING, "reported", reading)

    def settle_free(self) -> Attempt:
        """Settle an answer that costs nothing by its nature, such as a count of tokens."""
        return self._settle("ok", NOTHING, "reported", _NO_READING)

    def settle_unsent(self, code: str, message: str) -> Attempt:
        """Settle a request that never reached the provider."""
        reading = Reading(error_code=code, error_message=message)
        return self._settle("unreachable", NOTHING, "reported", reading)

    def settle_unanswered(self, outcome: Outcome, code: str, message: str) -> Attempt:
        """Settle a request that was sent and of whose answer nothing is known: so is its cost."""
        usage = Usage(input_tokens=self.opening.input_tokens_estimate)
        reading = Reading(error_code=code, error_message=message)
        return self._settle(outcome, usage, "unknown", reading)

    def settle_broken(self, outcome: Outcome, reading: Reading, code: str, message: str) -> Attempt:
        """Settle a stream that did not come to its end: input, and what had been produced."""
        reading = self._believed(reading)
        told = Reading(
            model_served=reading.model_served,
            service_tier=reading.service_tier,
            reported_cost_nanousd=reading.reported_cost_nanousd if reading.finished else None,
            error_code=reading.error_code or code,
            error_message=reading.error_message or message,
        )
        reported = reading.usage
        if reported is not None and reported.known and reading.finished and reading.usage_final:
            return self._settle(outcome, reported, "reported", told)  # it failed, and said what it had used
        return self._settle_guessed(outcome, reading, told)

    def _is_unreadable(self, reading: Reading) -> bool:
        """Whether an answer came whole without a count, and nothing that we can read was in it either.

        A part of a new kind, or counts by new names: nobody says that it cost nothing. Streams may end so, and some do.
        """
        if not self.came_whole or self.opening.operation in ONLY_READ:
            return False
        usage = reading.usage
        told = usage is not None and usage.output_tokens is not None
        return not told and not self._produced_anything(reading)

    def so_far(self, reading: Reading) -> Usage:
        """What has been used until now: the provider's counts, completed by our estimates."""
        reported = reading.usage
        produced = self.produced.tokens(self._family)
        if reported is None:
            output = None if reading.beyond_text else produced
            return Usage(input_tokens=self.opening.input_tokens_estimate, output_tokens=output)
        # A count given at the beginning of a stream says nothing of what came after it.
        counted = reading.usage_final and reported.output_tokens is not None
        output = reported.output_tokens if counted and reading.finished else max(reported.output_tokens or 0, produced)
        if reading.beyond_text and not counted:
            output = None
        given = reported.input_tokens
        return Usage(
            input_tokens=self.opening.input_tokens_estimate if given is None else given,
            output_tokens=output,
            cache_read_input_tokens=reported.cache_read_input_tokens,
            cache_creation_5m_input_tokens=reported.cache_creation_5m_input_tokens,
            cache_creation_1h_input_tokens=reported.cache_creation_1h_input_tokens,
            input_audio_tokens=reported.input_audio_tokens,
            reasoning_output_tokens=min(reported.reasoning_output_tokens, output or 0),
            output_audio_tokens=reported.output_audio_tokens,
            input_image_tokens=reported.input_image_tokens,
            output_image_tokens=reported.output_image_tokens,
            web_search_requests=reported.web_search_requests,
            flags=reported.flags,
        )

    def _believed(self, reading: Reading) -> Reading:
        """Return a reading without counts of 0 that stand beside an answer which is not empty.

        Some servers send 0 for what they did not count (a recorded response of OpenAI has 0 for two calls of tools). An
        input of 0 alone is believed (videos at OpenRouter cost nothing to read), and so is a legacy completion's
        output: its text may be the prompt's echo.
        """
        usage = reading.usage
        if usage is None or usage.output_tokens != 0 or not self._produced_anything(reading):
            return reading
        if usage.input_tokens and self.opening.operation == "completions":
            return reading
        flags = (*usage.flags, "zero_beside_output")
        usage = msgspec.structs.replace(usage, input_tokens=usage.input_tokens or None, output_tokens=None, flags=flags)
        return msgspec.structs.replace(reading, usage=usage)

    def _produced_anything(self, reading: Reading) -> bool:
        return self.produced.chars > 0 or reading.beyond_text

    def _price(self, usage: Usage, reading: Reading, now_us: int) -> tuple[int | None, str | None]:
        """Return cost and price id: the served model's price where it is known, else the asked model's."""
        provider, opening = self._provider, self.opening
        sheet = self._attempts.prices.find(
            provider.name,
            provider.known.price_key,
            reading.model_served or opening.model,
            now_us,
            free=provider.free,
            asked=opening.model,
        )
        if sheet is None:
            return None, None
        return price_nanousd(usage, sheet, service_tier=reading.service_tier), sheet.id

    def _settle_guessed(self, outcome: Outcome, reading: Reading, told: Reading) -> Attempt:
        """Settle what the provider did not count: by an estimate, or where none will do as of unknown cost."""
        usage = self.so_far(reading)
        if self._entered is not None and self._entered.every_byte:
            # A text that no tokenizer knows is ten times what is guessed, and a thought that is not shown is nothing.
            return self._settle(outcome, msgspec.structs.replace(usage, output_tokens=None), "unknown", told)
        return self._settle(outcome, usage, "estimated", told)

    def _settle(self, outcome: Outcome, usage: Usage, basis: str, reading: Reading) -> Attempt:
        assert self.settled is None, f"attempt {self.opening.attempt_id} is settled twice"
        reading = kept_reading(self._provider, reading)
        if self.left and outcome == "ok":
            outcome, reading = "cancelled", msgspec.structs.replace(reading, error_code=LEFT, error_message=_UNHEARD)
        now_us = self._attempts.clock.now_us()
        if self.came_whole:
            self._first_output_us = max(0, now_us - self.opening.started_at_us)
        cost, price_id = (0, None) if usage is NOTHING else self._price(usage, reading, now_us)
        known: CostBasis = "unknown" if cost is None else "reported" if basis == "reported" else "estimated"
        attempt = Attempt(
            opening=self.opening,
            ended_at_us=now_us,
            outcome=outcome,
            http_status=self._status,
            usage=usage,
            cost_nanousd=cost,
            cost_basis=known,
            price_id=price_id,
            reported_cost_nanousd=reading.reported_cost_nanousd,
            model_served=reading.model_served,
            service_tier=reading.service_tier,
            first_output_us=self._first_output_us,
            upstream_request_id=self._request_id,
            error_code=reading.error_code,
            error_message=reading.error_message,
            losses=self._losses,
        )
        try:
            self._attempts.ledger.settle(attempt)
        except JournalUnwritable:
            pass  # the ledger carries it to the store from memory; withholding the answer would help nobody
        if self._entered is not None:
            self._entered.end(attempt)
        self.settled = attempt
        return attempt
