"""What a provider may send by mistake or malice must neither hide usage, nor hang, nor end a cut stream cleanly."""

import json
import time
from typing import Any

import pytest

from farthing.wire.anthropic_messages import MessagesStreamMeter
from farthing.wire.anthropic_messages import read_usage as read_anthropic_usage
from farthing.wire.lenient import with_whole_characters
from farthing.wire.meter import MAX_COUNT
from farthing.wire.openai_chat import ChatStreamMeter, read_answer
from farthing.wire.openai_usage import read_usage

USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
DONE = b"data: [DONE]\n\n"


def event(**content: Any) -> bytes:
    return b"data: " + json.dumps(content).encode() + b"\n\n"


def said(text: str, *, index: int = 0, finish: str | None = None, **more: Any) -> bytes:
    return event(choices=[{"index": index, "delta": {"content": text}, "finish_reason": finish}], **more)


def metered(stream: bytes, *, strip: bool = False) -> tuple[ChatStreamMeter, bytes, str]:
    texts: list[str] = []
    meter = ChatStreamMeter(texts.append, strip_usage=strip)
    out = meter.feed(stream)
    return meter, out + meter.rest(), "".join(texts)


@pytest.mark.parametrize("number", ["1e999999", "-1e999999", "1e-999999", "1e400000", "1" + "0" * 5000, "1.5", "true"])
def test_an_absurd_number_is_left_out_at_once(number: str) -> None:
    body = b'{"choices":[{}],"usage":{"prompt_tokens":%b,"completion_tokens":1}}' % number.encode()
    began = time.perf_counter()
    reading = read_answer(body, lambda _text: None)
    metered(b"data: " + body + b"\n\n")
    assert time.perf_counter() - began < 0.1
    assert reading.usage is None or reading.usage.input_tokens is None


def test_counts_beyond_belief_are_flagged_and_sums_of_the_rest_fit() -> None:
    usage = read_usage({"prompt_tokens": MAX_COUNT + 1, "completion_tokens": 1})
    assert usage is not None
    assert (usage.input_tokens, usage.flags) == (None, ("malformed_count",))
    largest = read_anthropic_usage(
        {
            "input_tokens": MAX_COUNT,
            "cache_read_input_tokens": MAX_COUNT,
            "cache_creation_input_tokens": MAX_COUNT,
            "output_tokens": 1,
        }
    )
    assert largest is not None
    assert largest.input_tokens is not None
    assert largest.input_tokens < 1 << 32


@pytest.mark.parametrize("broken", [b"\xff", b"\\ud83d", b"\\udc00", b"\xe2\x82"])
def test_half_a_character_hides_neither_finish_nor_usage(broken: bytes) -> None:
    last = (
        b'data: {"choices":[{"delta":{"content":"a%bb"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,' % broken
    )
    last += b'"completion_tokens":5,"total_tokens":15}}\n\n'
    meter, out, text = metered(last + DONE)
    assert out == last + DONE
    assert (text[0], text[-1]) == ("a", "b")
    reading = meter.reading()
    assert reading.finished
    assert reading.usage == read_usage(USAGE)


def test_whole_pairs_and_escaped_backslashes_are_left_alone() -> None:
    whole = rb'"\ud83d\ude00 \\ud83d \u00e9 \n"'
    assert with_whole_characters(whole) == whole
    assert with_whole_characters(rb'"\ud83d \ud83d\ude00 \\\ude00"') == rb'"\ufffd \ud83d\ude00 \\\ufffd"'


@pytest.mark.parametrize("depth", [450, 100_000])
def test_deep_nesting_is_survived(depth: int) -> None:
    body = b'{"choices":' + b"[" * depth
    assert not read_answer(body, lambda _text: None).finished
    assert read_answer(body + b"]" * depth + b"}", lambda _text: None).usage is None
    assert not metered(b"data: " + body + b"\n\n")[0].reading().finished


def test_a_count_given_before_the_end_is_not_believed_to_be_the_end() -> None:
    early = event(choices=[{"delta": {"content": "a"}}], usage={"prompt_tokens": 10, "completion_tokens": 1})
    assert not metered(early + said("more and more") + said("", finish="stop") + DONE)[0].reading().usage_final
    cumulative = early + event(choices=[{"delta": {"content": "b"}}], usage=USAGE) + said("", finish="stop")
    assert metered(cumulative)[0].reading().usage_final


def test_an_anthropic_stream_without_a_closing_count_is_not_final() -> None:
    meter = MessagesStreamMeter(lambda _text: None)
    meter.feed(
        b'data: {"type":"message_start","message":{"usage":{"input_tokens":10,"output_tokens":1}}}\n\n'
        b'data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"many words"}}\n\n'
        b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}\n\n'
    )
    assert not meter.reading().usage_final
    meter.feed(b'data: {"type":"message_delta","delta":{},"usage":{"output_tokens":9}}\n\n')
    assert meter.reading().usage_final


def test_an_empty_usage_does_not_overrule_a_real_one() -> None:
    meter, _, _ = metered(event(choices=[], usage=USAGE) + event(choices=[], usage={}))
    assert meter.reading().usage == read_usage(USAGE)


def test_an_error_beside_usage_is_never_kept_from_the_client() -> None:
    failed = event(choices=[], error={"message": "no"}, usage=USAGE)
    meter, out, _ = metered(failed, strip=True)
    assert out == failed
    assert meter.failed


def test_an_empty_finish_reason_is_no_finish() -> None:
    meter, _, _ = metered(said("a", finish="") + said("b", finish=""))
    assert not meter.reading().finished


def test_with_several_choices_all_that_began_must_finish() -> None:
    half = said("a", index=0) + said("b", index=1) + said("", index=0, finish="stop")
    assert not metered(half)[0].reading().finished
    assert metered(half + said("", index=1, finish="stop"))[0].reading().finished


def test_our_usage_chunk_is_kept_back_even_without_its_last_blank_line() -> None:
    _, out, _ = metered(said("a", finish="stop") + event(choices=[], usage=USAGE).rstrip(), strip=True)
    assert b"usage" not in out


def test_parts_beyond_their_totals_are_flagged_in_every_format() -> None:
    azure = read_usage({"prompt_tokens": 7, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 163}})
    assert azure is not None
    assert azure.flags == ("cache_exceeds_input",)
    details = {"cached_tokens": 2161, "cache_write_tokens": 2161}
    both = read_usage({"prompt_tokens": 3000, "completion_tokens": 1, "prompt_tokens_details": details})
    assert both is not None
    assert both.flags == ("cache_classes_overlap",)
    thinking = read_anthropic_usage(
        {"input_tokens": 1, "output_tokens": 2, "output_tokens_details": {"thinking_tokens": 3}}
    )
    assert thinking is not None
    assert thinking.flags == ("reasoning_exceeds_output",)
