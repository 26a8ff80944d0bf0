"""Every recorded chat goes to every other format and back: requests, answers, streams; nothing raises, nothing is lost.

What a request loses is what the formats declare; where more vanishes, a reason stands here. What is made of an answer
is read by the reader of the face that it was made for: the same words, thoughts, calls and ends, whole and streamed.
"""

import collections
import os
from collections.abc import Iterator

import pytest

from farthing.errors import InvalidRequest
from farthing.types.chat import (
    Audio,
    ChatAnswer,
    ChatRequest,
    Closed,
    Document,
    Image,
    Inline,
    Part,
    ToolCall,
    ToolResult,
    Video,
)
from farthing.types.providers import WireFormat
from farthing.wire.translators.assembly import events_of
from farthing.wire.translators.features import Feature, lost, used_by
from farthing.wire.translators.protocol import Translator
from farthing.wire.translators.registry import CHAT_FORMATS, translator
from farthing.wire.translators.tool_names import ToolNames
from tests.e2e.recordings.exchanges import Exchange
from tests.e2e.translated.crossing import (
    USAGE,
    Said,
    answer_to,
    asked_by,
    call_of,
    calls_in,
    chats,
    in_stream,
    in_whole,
    numbered,
    read_back,
    request_of,
    said,
    texts_in,
    wire_of,
)

RECORDINGS = os.environ.get("FARTHING_RECORDINGS", "")
pytestmark = [
    pytest.mark.recordings,
    pytest.mark.skipif(not RECORDINGS, reason="no recordings: set FARTHING_RECORDINGS to their folder"),
]

LEAST_REQUESTS = 8_300
"""Of 8,380 pairs; fewer means that the test quietly lost some. All of them take about two seconds."""
LEAST_ANSWERS = 9_900
"""Of 9,969 pairs of an answer and a face, its own format among them; they take about five seconds."""
LEAST_STREAMS = 4_300
"""Of those, streams that are told on as they came."""
LEAST_SHOWN = 330
"""Of 336 pictures, documents and sounds in a request itself, and formats that have their kind."""

REFUSED_BY_US_ALONE = {
    "openai/completions-sync-babbage-002-completion-text-batch-e78b4",  # several prompts in one request
    "openai/completions-sync-babbage-002-completion-token-batch-41ce9",  # tokens instead of words
}
NOT_FINISHED = "background-mode"
"""Answers that were asked for in the background, and only say that they will be."""

SEALED_ELSEWHERE = "a thought goes back only to whom sealed it, or needs no seal"
BY_MODEL = "whether it is taken hangs on the model's name, which is another provider's here"
GOES_WITHOUT: dict[Feature, str] = {
    Feature.DOCUMENT_NAME: "a document of plain text is a text in a chat, which has no name",
    Feature.THINKING_HISTORY: SEALED_ELSEWHERE,
    Feature.REASONING: BY_MODEL,
    Feature.REASONING_BUDGET: BY_MODEL,
    Feature.STRICT_TOOLS: BY_MODEL,
    Feature.TEMPERATURE: BY_MODEL,
    Feature.SERVICE_TIER: "each provider has tiers of its own",
    Feature.PARALLEL_TOOL_CALLS: "it says nothing where no tool may be called",
    Feature.TOOLS: "Ollama is not told of tools that may not be called",
    Feature.LATE_SYSTEM: "a system message in which nothing is left is none",
    Feature.PREFILL: "a last turn of the assistant in which nothing is left is none",
}
"""What may vanish although the format carries it."""
COMES_WITH: dict[Feature, str] = {
    Feature.SCHEMA_NAME: "OpenAI wants a name for a schema",
    Feature.DOCUMENT_NAME: "and one for a file",
    Feature.MAX_OUTPUT_TOKENS: "Anthropic wants a limit, and OpenAI's responses one of at least 16",
    Feature.REASONING_BUDGET: "older models take a budget where an effort was asked for",
    Feature.STRICT_SCHEMA: "Anthropic's schemas are all strict",
    Feature.RAW_PROMPT: "legacy completions know nothing else",
    Feature.AUDIO: "it came as a file, and is told to be sound by its type",
    Feature.LINKED_AUDIO: "likewise",
    Feature.IMAGES: "Ollama tells sound from pictures by its first bytes, and does not know all kinds",
}
"""What may be read of the other format's request although nobody asked for it."""
_LINKED = frozenset({Feature.LINKED_IMAGES, Feature.LINKED_DOCUMENTS, Feature.LINKED_AUDIO, Feature.FILES})
_MEDIA = frozenset({Feature.IMAGES, Feature.DOCUMENTS, Feature.AUDIO, Feature.VIDEO, Feature.TOOL_IMAGES, *_LINKED})


def requests() -> Iterator[tuple[Exchange, ChatRequest]]:
    """Yield every recorded request that can be read; what we refuse, its provider refused too."""
    for exchange in chats(RECORDINGS):
        try:
            yield exchange, request_of(exchange)
        except InvalidRequest as error:
            if exchange.status == 200 and exchange.slug not in REFUSED_BY_US_ALONE:
                pytest.fail(f"{exchange.slug}: {error}")


def test_every_recorded_request_says_the_same_in_every_other_format_and_loses_what_is_declared() -> None:
    counts: collections.Counter[str] = collections.Counter()
    problems: list[str] = []
    for exchange, request in requests():
        for wire in CHAT_FORMATS:
            if wire != request.origin:
                counts[check_request(request, wire, f"{exchange.slug} to {wire}", problems)] += 1
    assert not problems, "\n".join([f"{len(problems)} problems:", *problems[:40]])
    assert counts["written"] >= LEAST_REQUESTS, counts
    assert counts["a conversation is no prompt"] <= 810, counts
    assert counts["refused"] <= 4, counts


def check_request(request: ChatRequest, wire: WireFormat, name: str, problems: list[str]) -> str:
    other = translator(wire)
    names = ToolNames(request, other.carries)
    sent = names.applied(request) if names.changes else request
    declared = {use.feature for use in lost(used_by(request), other.carries)}
    try:
        body = other.write_request(sent, numbered())
        again = read_back(wire, body, model=request.model, streamed=request.streamed, raw_prompt=request.raw_prompt)
    except InvalidRequest as error:
        if wire == "openai_completions" and not request.raw_prompt:
            return "a conversation is no prompt"
        if "max_tokens" not in str(error) and not declared & _MEDIA:
            problems.append(f"{name}: refused: {error}")
        return "refused"
    assert again.origin == wire
    check_losses(sent, again, declared, name, problems)
    check_words(sent, again, name, problems)
    return "written"


def check_losses(sent: ChatRequest, again: ChatRequest, declared: set[Feature], name: str, problems: list[str]) -> None:
    used, kept = ({use.feature for use in used_by(request)} for request in (sent, again))
    vanished = used - kept - declared - GOES_WITHOUT.keys()
    appeared = kept - used
    if declared & _LINKED or appeared & _MEDIA or again.origin in ("openai_chat", "anthropic_messages"):
        # What has an address alone goes with that; what is of another kind there is still shown, as is checked below;
        # a document of plain text is a text.
        vanished -= _MEDIA
    if sent.max_output_tokens == 0:
        vanished -= {Feature.MAX_OUTPUT_TOKENS}  # two requests that failed; to Ollama a limit of 0 is none
    if vanished:
        problems.append(f"{name}: lost and not declared: {sorted(feature.label for feature in vanished)}")
    if appeared := appeared - COMES_WITH.keys():
        problems.append(f"{name}: appeared: {sorted(feature.label for feature in appeared)}")


def check_words(sent: ChatRequest, again: ChatRequest, name: str, problems: list[str]) -> None:
    everything = "".join(texts_in(again))
    missing = [text for text in texts_in(sent) if text not in everything]
    problems += [f"{name}: lost the words {text[:80]!r}" for text in missing]
    if calls_in(again) != calls_in(sent):
        problems.append(f"{name}: other calls: {calls_in(again)} for {calls_in(sent)}"[:400])


def test_what_is_shown_in_a_request_itself_is_shown_in_every_format_that_has_its_kind() -> None:
    checked = 0
    for exchange, request in requests():
        shown = list(media_in(part for message in request.messages for part in message.content))
        for wire in CHAT_FORMATS if shown else ():
            other = translator(wire)
            declared = {use.feature for use in lost(used_by(request), other.carries)}
            try:
                body = other.write_request(request, numbered())
            except InvalidRequest:
                assert wire == "openai_completions" or declared & _MEDIA, exchange.slug
                continue
            for part, data in shown:
                feature = _FEATURE_OF[type(part)]
                if feature in other.carries and not is_plain_text(part):
                    checked += 1
                    assert data in body, f"{exchange.slug} to {wire}: lost {feature.label}"
    assert checked >= LEAST_SHOWN, checked


_FEATURE_OF = {
    Image: Feature.IMAGES,
    Document: Feature.DOCUMENTS,
    Audio: Feature.AUDIO,
    Video: Feature.VIDEO,
}


def media_in(parts: object) -> Iterator[tuple[Part, bytes]]:
    """Yield what is shown in a request with its own bytes, and these."""
    assert isinstance(parts, collections.abc.Iterable)
    for part in parts:
        if isinstance(part, ToolResult):
            yield from media_in(part.content)
        elif isinstance(part, Image | Document | Audio | Video) and isinstance(part.source, Inline):
            yield part, part.source.data.encode()


def is_plain_text(part: Part) -> bool:
    """Whether it is a document that some formats have as the text that it is."""
    return isinstance(part, Document) and isinstance(part.source, Inline) and part.source.media_type[:5] == "text/"


def answered() -> Iterator[Exchange]:
    for exchange in chats(RECORDINGS):
        if exchange.status == 200 and exchange.kind in ("json", "sse", "ndjson") and NOT_FINISHED not in exchange.slug:
            yield exchange


def test_every_recorded_answer_says_the_same_on_every_face_whole_and_streamed() -> None:
    counts: collections.Counter[str] = collections.Counter()
    for exchange in answered():
        answer, live = answer_to(exchange)
        if not answer.choices:
            counts["nothing was said"] += 1
            continue
        customs = any(getattr(part, "custom", False) for choice in answer.choices for part in choice.content)
        for wire in CHAT_FORMATS:
            face, name = translator(wire), f"{exchange.slug} to {wire}"
            if customs and not wire.startswith("openai_"):
                counts["tools of text, which only OpenAI's clients have"] += 1
                continue
            choices = answer.choices if "several" in face.answers_carry else answer.choices[:1]
            expected = [said(choice, face) for choice in choices]
            whole = in_whole(face, answer, asked_by(wire))
            assert heard(whole, face, expected) == expected, f"{name}, whole"
            streamed = in_stream(face, events_of(answer, USAGE), asked_by(wire))
            assert heard(streamed, face, expected) == expected, f"{name}, streamed"
            counts["answers"] += 1
            if live is not None:
                told_on = in_stream(face, [*live, Closed(USAGE)], asked_by(wire))
                assert heard(told_on, face, expected) == expected, f"{name}, told on"
                counts["streams"] += 1
    assert counts["answers"] >= LEAST_ANSWERS, counts
    assert counts["streams"] >= LEAST_STREAMS, counts
    assert counts["nothing was said"] <= 6, counts


def heard(answer: ChatAnswer, face: Translator, expected: list[Said]) -> list[Said]:
    """Return what a client reads; arguments that were cut short are something else in every format, and still there."""
    found = [said(choice, face) for choice in answer.choices]
    for got, wanted in zip(found, expected, strict=False):
        for at, ((name, _), (_, given)) in enumerate(zip(got.calls, wanted.calls, strict=False)):
            if given is None:
                got.calls[at] = (name, None)
    return found


def test_a_recorded_stream_is_told_the_same_however_the_network_cuts_it() -> None:
    for number, exchange in enumerate(exchange for exchange in answered() if exchange.kind != "json"):
        form: Translator = translator(wire_of(exchange))
        data, step = exchange.recorded, (1_021, 61, 4_099)[number % 3]
        if form.wire == "ollama":
            continue  # its decoder is given whole lines
        decoder = form.stream_decoder(numbered())
        events = [event for at in range(0, len(data), step) for event in decoder.feed(data[at : at + step])]
        _, whole = answer_to(exchange)
        assert [*events, *decoder.rest()] == whole, exchange.slug


def test_arguments_that_were_cut_short_are_still_a_call() -> None:
    cut = [
        call
        for exchange in answered()
        for choice in answer_to(exchange)[0].choices
        for part in choice.content
        if isinstance(part, ToolCall) and (call := call_of(part))[1] is None
    ]
    assert len(cut) >= 2
