"""What becomes of a provider's answer: a refusal, a stream, or a whole body; metered, settled, and handed back.

What the answer is decides, not what was asked: a stream may be answered with JSON, and JSON that was asked for may come
as events. Content types are not believed.
"""

import asyncio

import msgspec

from farthing.errors import FarthingError, ProviderError, ProviderMisbehaved, ProviderTimeout
from farthing.gateway.attempts import LiveAttempt
from farthing.gateway.call import Reply
from farthing.gateway.encodings import DecodedAnswer, Readable
from farthing.gateway.formats import FORMATS
from farthing.gateway.headers import returned
from farthing.gateway.metered_stream import MeteredStream
from farthing.providers.error_mapping import read_error
from farthing.providers.pool import Answer
from farthing.providers.protocol import Operation, Provider
from farthing.types.calls import Outcome
from farthing.types.providers import WireFormat

MAX_ANSWER_BYTES = 64 << 20
"""The largest answer that is not streamed; a completion of 128k tokens with log probabilities is about 20 MB."""
MAX_ERROR_BYTES = 1 << 20
"""The largest error body that is read; the longest recorded one has 3 KB."""
_FREE: frozenset[Operation] = frozenset({"count_tokens"})
"""Operations that cost nothing by their nature."""
_EVENTS = (b"data:", b"event:", b":", b"id:")


class AskedFor(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What must be known of a call to read its answer."""

    wire: WireFormat
    operation: Operation
    provider: Provider
    attempt: LiveAttempt
    streamed: bool
    strip_usage: bool


async def reply_to(answer: Answer, asked: AskedFor) -> Reply:
    """Read an answer as far as it must be read before anything can be handed out.

    Raises:
        ProviderError: it failed before that; the attempt is settled.
    """
    attempt = asked.attempt
    headers, request_id = returned(answer.headers)
    headers += (
        (b"x-farthing-call-id", attempt.opening.call_id.encode()),
        (b"x-farthing-provider", attempt.opening.provider.encode()),
        (b"x-farthing-model", attempt.opening.model.encode("ascii", "replace")),
        (b"x-request-id", attempt.opening.call_id.encode()),
    )
    attempt.note_answer(answer.status, request_id)
    try:
        readable = _readable(answer)
        if answer.status >= 400:
            return await _refused(readable, asked, headers)
        _refuse_redirect(answer.status, asked.provider.name)
        first, ended = await _first_bytes(readable, asked) if asked.streamed else (b"", False)
        if asked.streamed and not first.lstrip().startswith((b"{", b"[")):
            form = FORMATS[asked.wire]
            meter = form.stream_meter(attempt.produced.add, asked.provider.known.habits, strip_usage=asked.strip_usage)
            stream = MeteredStream(readable, meter, attempt, form.error_event)
            await stream.open(first, asked.provider.hold_s, ended=ended)
            return Reply(status=answer.status, headers=headers, stream=stream)
        body = first + await readable.read(MAX_ANSWER_BYTES)
        _settle_whole(asked, body)
        return Reply(status=answer.status, headers=headers, body=body)
    except BaseException as error:
        # Whatever ends this, the connection is given back and no attempt stays open.
        answer.cancel()
        settle_unfinished(attempt, error)
        raise


def settle_unfinished(attempt: LiveAttempt, error: BaseException) -> None:
    """Settle an attempt whose task ends with `error`, unless that was done where more is known."""
    if attempt.settled is not None:
        return
    match error:
        case ProviderError():
            attempt.settle_unanswered(outcome_of(error), error.code, error.message)
        case asyncio.CancelledError():
            attempt.settle_unanswered("cancelled", "client_left", "the client left before the answer was whole")
        case _:
            attempt.settle_unanswered("provider_error", FarthingError.code, f"{type(error).__name__}: {error}")


def outcome_of(error: ProviderError) -> Outcome:
    """Return the outcome of an attempt that a provider's failure ended."""
    return "timeout" if isinstance(error, ProviderTimeout) else "provider_cut"


def _refuse_redirect(status: int, provider: str) -> None:
    if status >= 300:
        raise ProviderMisbehaved(
            f"provider '{provider}' redirects ({status}), which is not followed",
            hint="the operator sets base_url to the address it redirects to",
        )


def _readable(answer: Answer) -> Readable:
    for name, value in answer.headers:
        if name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            return DecodedAnswer(answer, value)
    return answer


async def _first_bytes(answer: Readable, asked: AskedFor) -> tuple[bytes, bool]:
    """Return the first bytes that tell what this is, and whether they are all; white space tells nothing."""
    first = b""
    try:
        async with asyncio.timeout(asked.provider.hold_s):
            while not first.strip():
                data = await answer.next_chunk()
                if not data:
                    return first, True
                first += data
    except TimeoutError:
        pass  # a stream that has not begun: its head goes out
    return first, False


async def _refused(answer: Readable, asked: AskedFor, headers: list[tuple[bytes, bytes]]) -> Reply:
    body = asked.provider.redacted(await answer.read(MAX_ERROR_BYTES))
    error = read_error(asked.wire, answer.status, body)
    asked.attempt.settle_refused(error.code, error.message)
    return Reply(status=answer.status, headers=headers, body=body, refusal=None if error.in_shape else error)


def _settle_whole(asked: AskedFor, body: bytes) -> None:
    attempt, form, habits = asked.attempt, FORMATS[asked.wire], asked.provider.known.habits
    if asked.operation in _FREE:
        attempt.settle_free()
        return
    attempt.note_first_output()
    if body.lstrip()[:6].startswith(_EVENTS):
        meter = form.stream_meter(attempt.produced.add, habits, strip_usage=False)
        meter.feed(body)
        meter.rest()
        attempt.settle_whole(meter.reading())
    else:
        attempt.settle_whole(form.read_answer(body, attempt.produced.add, habits))
