"""What becomes of a provider's answer: a refusal, a stream, or a whole body; metered, settled, and handed back.

What the answer is decides, not what was asked: a stream may be answered with JSON, and JSON that was asked for may come
as events. Content types are not believed, and neither is a 200: an error inside it is told as an error, with a status.
"""

import asyncio
from functools import lru_cache

import msgspec

from farthing.errors import FarthingError, Overloaded, ProviderCut, ProviderError, ProviderMisbehaved, ProviderTimeout
from farthing.gateway.accounts import Account, Accounts
from farthing.gateway.attempts import LEFT, LiveAttempt
from farthing.gateway.call import Client, Reply
from farthing.gateway.discretion import discreet_headers, discreet_lines, discreet_text, make_discreet
from farthing.gateway.encodings import DecodedAnswer, Readable
from farthing.gateway.formats import FORMATS, STREAMS_OF_JSON
from farthing.gateway.headers import Headers, returned
from farthing.gateway.metered_stream import MeteredStream
from farthing.gateway.translated import Translated
from farthing.providers.error_mapping import BOM, UpstreamError, advice_to_client, read_error
from farthing.providers.pool import Answer, HeldBodies
from farthing.providers.pool.held import UNCOUNTED_BYTES
from farthing.providers.protocol import Operation, Provider
from farthing.types.calls import Attempt, Outcome
from farthing.types.providers import WireFormat
from farthing.wire.error_words import error_inside
from farthing.wire.meter import Reading

MAX_ANSWER_BYTES = 64 << 20
"""The largest answer that is not streamed; a completion of 128k tokens with log probabilities is about 20 MB."""
MAX_ERROR_BYTES = 1 << 20
"""The largest error body that is read; the longest recorded one has 3 KB."""
MAX_BLANK_BYTES = 16_384
"""White space before an answer: servers that keep a connection alive so send a byte every few seconds."""
_FREE: frozenset[Operation] = frozenset({"count_tokens", "ollama_show"})
"""Operations that cost nothing by their nature."""
_NO_COMPLETION = "the provider's answer is no completion"
_EVENTS = (b"data:", b"event:", b":", b"id:")


class AskedFor(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What must be known of a call to read its answer."""

    wire: WireFormat
    operation: Operation
    provider: Provider
    account: Account
    """Which of its credentials it is called with."""
    accounts: Accounts
    attempt: LiveAttempt
    streamed: bool
    strip_usage: bool
    held: HeldBodies
    """What the answers that are being read hold together."""
    translation: Translated | None = None
    """How the answer becomes one in the client's format, where the provider speaks another."""
    told: tuple[bytes, ...] = ()
    """Further lines of the answer's head."""
    client: Client
    """Told the size of a large answer that is whole, which is in memory until it is out."""


async def reply_to(answer: Answer, asked: AskedFor) -> Reply:
    """Read an answer as far as it must be read before anything can be handed out.

    Raises:
        ProviderError: it failed before that; the attempt is settled.
        Overloaded: there is no room for it; likewise, and one that was whole is billed as what it is.
    """
    attempt, provider = asked.attempt, asked.provider
    headers = answer.headers
    named = dict(headers)
    told, request_id = returned(headers, named)
    lines = discreet_lines(provider, told)
    if lines is not told:
        request_id = discreet_text(provider, request_id)
    opening = attempt.opening
    call_id = opening.call_id.encode()
    lines += (b"x-farthing-call-id: " + call_id, b"x-request-id: " + call_id, *asked.told)
    lines += _who_answered(opening.provider, opening.model)
    attempt.note_answer(answer.status, request_id)
    asked.account.note(opening.model, headers, opening.started_at_us)
    try:
        readable = _readable(answer) if b"content-encoding" in named else answer
        if answer.status >= 400:
            return await _refused(readable, asked, headers, lines)
        if answer.status >= 300:
            _refuse_redirect(answer.status, provider.name)
        first, ended = await _first_bytes(readable, asked) if asked.streamed else (b"", False)
        if asked.streamed and _is_stream(asked.wire, first):
            form = FORMATS[asked.wire]
            meter = form.stream_meter(attempt.produced.add, provider.known.habits, strip_usage=asked.strip_usage)
            if asked.translation is not None:
                meter = asked.translation.meter(meter, attempt)
                lines = _typed(lines, asked.translation.content_type(streamed=True))
            stream = MeteredStream(readable, meter, attempt, provider, asked.client)
            failed = await stream.open(first, provider.hold_s, ended=ended)
            if failed is not None:
                return _failed_inside(asked, failed, headers, lines)
            return Reply(status=answer.status, lines=lines, stream=stream)
        body = first + await readable.read(MAX_ANSWER_BYTES, asked.held)
        return _counted(asked, _whole(asked, answer.status, body, headers, lines))
    except BaseException as error:
        # Whatever ends this, the connection is given back and no attempt stays open.
        answer.cancel()
        settle_unfinished(attempt, error)
        if isinstance(error, FarthingError):
            make_discreet(provider, error)
        raise


@lru_cache(maxsize=1_024)  # models that are asked for; a house has a few dozen
def _who_answered(provider: str, model: str) -> tuple[bytes, bytes]:
    return b"x-farthing-provider: " + provider.encode(), b"x-farthing-model: " + model.encode("ascii", "replace")


def settle_unfinished(attempt: LiveAttempt, error: BaseException) -> None:
    """Settle an attempt whose task ends with `error`, unless that was done where more is known."""
    if attempt.settled is not None:
        return
    match error:
        case ProviderError():
            attempt.settle_unanswered(outcome_of(error), error.code, error.message)
        case asyncio.CancelledError():
            attempt.settle_unanswered("cancelled", LEFT, "the client left before the answer was whole")
        case Overloaded():
            attempt.settle_unanswered("cancelled", error.code, error.message)
        case _:
            attempt.settle_unanswered("provider_error", FarthingError.code, f"{type(error).__name__}: {error}")


def outcome_of(error: ProviderError) -> Outcome:
    """Return the outcome of an attempt that a provider's failure ended."""
    return "timeout" if isinstance(error, ProviderTimeout) else "provider_cut"


def _refuse_redirect(status: int, provider: str) -> None:
    raise ProviderMisbehaved(
        f"provider '{provider}' redirects ({status}), which is not followed",
        hint="the operator sets base_url to the address it redirects to",
    )


def _readable(answer: Answer) -> Readable:
    for name, value in answer.headers:
        if name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            return DecodedAnswer(answer, value)
    return answer


def _is_stream(wire: WireFormat, first: bytes) -> bool:
    """Whether an answer that begins so is the stream that was asked for, and not whole JSON in its place."""
    return wire in STREAMS_OF_JSON or not first.lstrip().startswith((b"{", b"["))


async def _first_bytes(answer: Readable, asked: AskedFor) -> tuple[bytes, bool]:
    """Return the first bytes that tell what this is, and whether they are all; white space and a BOM tell nothing.

    Raises:
        ProviderMisbehaved: there is white space, and no end of it.
    """
    first = b""
    try:
        async with asyncio.timeout(asked.provider.hold_s):
            while not first.strip() or BOM.startswith(first[: len(BOM)]):
                if len(first) > MAX_BLANK_BYTES:
                    raise ProviderMisbehaved(
                        f"the answer of provider '{asked.provider.name}' begins with over {MAX_BLANK_BYTES} bytes of"
                        " white space"
                    )
                data = await answer.next_chunk()
                if not data:
                    return first, True
                first = (first + data).removeprefix(BOM)
    except TimeoutError:
        pass  # a stream that has not begun: its head goes out
    return first, False


async def _refused(answer: Readable, asked: AskedFor, headers: Headers, lines: list[bytes]) -> Reply:
    body = asked.provider.redacted(await answer.read(MAX_ERROR_BYTES))
    error = read_error(asked.wire, answer.status, body)
    asked.attempt.settle_refused(error.code, error.message)
    return _error_reply(asked, error, headers, body, lines)


def _error_reply(asked: AskedFor, error: UpstreamError, headers: Headers, body: bytes, lines: list[bytes]) -> Reply:
    """Hand out an error: in the provider's own bytes where its shape is the face's, with what tells a client to wait.

    The time that resets are counted from is the attempt's beginning: rather wait a moment longer than ask too soon.
    """
    opening = asked.attempt.opening
    sent = discreet_headers(asked.provider, headers)
    advice = advice_to_client(error, sent, body, opening.started_at_us)
    told = [*sent, *advice]
    asked.accounts.refused(asked.account, opening.model, error.status, error.code, told, opening.started_at_us)
    if advice:
        replaced = tuple(name + b":" for name, _ in advice)
        lines = [line for line in lines if not line.startswith(replaced)]
        lines += [b"%b: %b" % header for header in advice]
    in_shape = error.in_shape and asked.translation is None
    return Reply(status=error.status, lines=lines, body=body, refusal=None if in_shape else error)


def _failed_inside(asked: AskedFor, reading: Reading, headers: Headers, lines: list[bytes]) -> Reply:
    """Hand out an error that has no body of its own, because it came as an event: the face renders it."""
    told = reading.error_message or "the provider ended its stream with an error before it said anything"
    message, code = (discreet_text(asked.provider, text) for text in (told, reading.error_code))
    error = UpstreamError(_status_inside(reading), code or ProviderError.code, message or told, in_shape=False)
    return _error_reply(asked, error, headers, b"", lines)


def _status_inside(reading: Reading) -> int:
    """Return the status that an error inside a 200 names as its own, or 502: whatever it was, no answer came."""
    if reading.error_status is not None:
        return reading.error_status
    code = reading.error_code or ""
    named = int(code) if len(code) == 3 and code.isascii() and code.isdigit() else 0
    return named if 400 <= named <= 599 else ProviderError.status


def _whole(asked: AskedFor, status: int, body: bytes, headers: Headers, lines: list[bytes]) -> Reply:
    """Settle an answer that came whole, and hand it out, or the error that it is."""
    attempt = asked.attempt
    if asked.operation in _FREE:
        reading: Reading | None = _read_free(body)
        if reading is None:
            return _handed_out(asked, status, body, attempt.settle_free(), lines)
    else:
        attempt.came_whole = True
        attempt.left = asked.client.left
        reading, body = _read_whole(asked, body)
        if asked.translation is not None:
            _refuse_cut(asked, body, reading)
    if reading.error_message is None and (
        reading.finished or reading.pending or reading.usage is not None or attempt.produced.chars
    ):
        settled = attempt.settle_whole(reading)
        return _handed_out(asked, status, body, settled, lines)
    if reading.error_message is None:
        reading = error_inside(body.removeprefix(BOM)) or reading
    if reading.error_message is None:
        attempt.settle_unanswered("provider_error", "no_completion", _NO_COMPLETION)
        error = UpstreamError(ProviderError.status, "no_completion", _NO_COMPLETION, in_shape=False)
        return _error_reply(asked, error, headers, b"", lines)
    attempt.settle_whole(reading)
    if reading.finished and len(body) <= MAX_ERROR_BYTES and asked.translation is None:
        # One that has failed is an answer, in words of its own.
        return Reply(status=status, lines=lines, body=asked.provider.redacted(body))
    if len(body) > MAX_ERROR_BYTES or body.lstrip()[:6].startswith(_EVENTS):
        return _failed_inside(asked, reading, headers, lines)
    body = asked.provider.redacted(body)
    return _error_reply(asked, read_error(asked.wire, _status_inside(reading), body), headers, body, lines)


def _refuse_cut(asked: AskedFor, body: bytes, reading: Reading) -> None:
    """Raise where events that nobody asked for ended before the answer did: translated, it would look as if it had."""
    if reading.finished or reading.pending:
        return
    if reading.error_message is not None or not body.removeprefix(BOM).lstrip()[:6].startswith(_EVENTS):
        return
    cut = ProviderCut("the stream ended before its answer was finished", hint="try again")
    asked.attempt.settle_broken("provider_cut", reading, cut.code, cut.message)
    raise cut


def _handed_out(asked: AskedFor, status: int, body: bytes, settled: Attempt, lines: list[bytes]) -> Reply:
    """Hand out an answer that is whole, with what it cost where that is known, in the client's format."""
    if settled.cost_nanousd is not None:
        lines.append(b"x-farthing-cost-usd: " + cost_text(settled.cost_nanousd))
    translation = asked.translation
    if translation is not None:
        plain = body.removeprefix(BOM)
        if plain.lstrip()[:6].startswith(_EVENTS):
            body = translation.collected(plain, settled.usage, asked.attempt)
        else:
            body = translation.whole(plain, settled.usage, asked.attempt, streamed=asked.streamed)
        lines = _typed(lines, translation.content_type(streamed=asked.streamed))
    return Reply(status=status, lines=lines, body=body)


def cost_text(nanousd: int) -> bytes:
    """Return an amount in dollars, exactly: `0.000123456`."""
    return b"%d.%09d" % divmod(nanousd, 1_000_000_000)


def _typed(lines: list[bytes], content_type: bytes) -> list[bytes]:
    """Return the lines of a head with another content type."""
    return [*(line for line in lines if not line.startswith(b"content-type:")), content_type]


def _counted(asked: AskedFor, reply: Reply) -> Reply:
    """Return a whole answer; a large one is in memory until the client has it, and that has a bound as well."""
    if len(reply.body) > UNCOUNTED_BYTES:
        asked.client.hold(len(reply.body))
    return reply


def _read_whole(asked: AskedFor, body: bytes) -> tuple[Reading, bytes]:
    """Return what an answer says of itself, and what of it goes to the client."""
    form, habits, produced = FORMATS[asked.wire], asked.provider.known.habits, asked.attempt.produced
    plain = body.removeprefix(BOM)
    if plain.lstrip()[:6].startswith(_EVENTS):
        meter = form.stream_meter(produced.add, habits, strip_usage=False)
        body = meter.feed(plain) + meter.rest()
        return meter.reading(), body
    return form.read_answer(plain, produced.add, habits), body


def _read_free(body: bytes) -> Reading | None:
    """Return what is wrong with an answer that costs nothing; `None` where it is one."""
    plain = body.removeprefix(BOM)
    if not plain.lstrip().startswith(b"{"):
        return Reading()
    return error_inside(plain) if len(plain) <= MAX_ERROR_BYTES else None
