"""The simulator's judge by itself: one call whose line is right, and then each thing that can be wrong with it.

Few of these sentences are ever said by a seed, because the gateway gives no cause. A judge that cannot say them would
let through what it is there for.
"""

from collections.abc import Callable
from typing import Any

import pytest

from farthing.testing.simulator.facts import Call, Checkpoint
from farthing.testing.simulator.judgement import judge_call
from farthing.testing.simulator.schedule import Answer, Ask
from farthing.types.calls import Attempt, Attribution, Opening
from farthing.types.usage import Usage

READ, WRITTEN = 100, 20
COST = READ * 3_000 + WRITTEN * 15_000

Spoil = Callable[[Call], None]


def an_ask(**fields: Any) -> Ask:
    answer: dict[str, Any] = {
        "status": 200,
        "body": "answer",
        "head_delay_s": 0.0,
        "words": (3, 4),
        "gaps_s": (0.0, 0.0),
        "usage": "reported",
        "input_tokens": READ,
        "output_tokens": WRITTEN,
        "cached_tokens": 0,
        "framing": "chunked",
        "interim": False,
        "segments": 1,
        "at_once": True,
        "cut": None,
        "keeps_open_s": 0.0,
    }
    ask: dict[str, Any] = {
        "number": 1,
        "operation": "chat",
        "streamed": True,
        "model": "priced",
        "asks_for_usage": True,
        "prompt_words": 5,
        "pieces": 1,
        "piece_gap_s": 0.0,
    }
    told = {name: fields.pop(name) for name in list(fields) if name in answer}
    return Ask(**{**ask, **fields}, answer=Answer(**{**answer, **told}))


def a_call(**fields: Any) -> Call:
    """Return a call that was answered in order, and whose client has all of it."""
    call = Call(an_ask(**fields))
    call.sent_whole = call.whole = True
    call.status, call.reached, call.attempt_ids, call.input_estimate = 200, 1, ["a"], 12
    call.delivered = len(call.parts)
    call.received = bytearray(b"".join(part.text.encode() for part in call.parts))
    return call


def a_line(call: Call, **fields: Any) -> Attempt:
    usage = fields.pop("usage", Usage(input_tokens=READ, output_tokens=WRITTEN))
    opening = Opening(
        attempt_id="a",
        call_id="c",
        ordinal=1,
        started_at_us=0,
        face="openai",
        operation=call.ask.operation,
        provider="alpha",
        model_asked="alpha:sim-priced",
        model="sim-priced",
        streamed=call.ask.streamed,
        input_tokens_estimate=12,
        attribution=Attribution(key_id="k", task="1"),
    )
    known = usage.input_tokens is not None and usage.output_tokens is not None
    right = {
        "ended_at_us": 1,
        "outcome": "ok",
        "http_status": 200,
        "cost_nanousd": usage.input_tokens * 3_000 + usage.output_tokens * 15_000 if known else None,
        "cost_basis": "reported" if known else "unknown",
        "price_id": "settings",
    }
    return Attempt(opening=opening, usage=usage, **{**right, **fields})


def cut_after_first_text(call: Call) -> None:
    call.whole = False
    call.delivered = 1 + next(at for at, part in enumerate(call.parts) if part.text)
    call.received = bytearray(call.text_delivered.encode())


def crashed(call: Call) -> None:
    cut_after_first_text(call)
    call.life_ended_in_death = True
    call.checkpoints = [Checkpoint(1.0, 1, call.delivered)]
    call.first_written_s, call.last_written_s = 0.5, 1.5


def after(*spoils: Spoil | dict[str, Any]) -> Spoil:
    """Return what does these things to a call one after the other; a mapping sets fields."""

    def spoil(call: Call) -> None:
        for one in spoils:
            if callable(one):
                one(call)
            else:
                for name, value in one.items():
                    setattr(call, name, value)

    return spoil


NOBODY_KNOWS = Usage(input_tokens=READ)
AFTER_ONE_TOKEN = Usage(input_tokens=READ, output_tokens=1)


def test_a_call_whose_line_is_right_is_found_right() -> None:
    call = a_call()
    assert list(judge_call(call, [a_line(call)])) == []


def test_a_call_that_crashed_after_a_checkpoint_is_found_right() -> None:
    call = a_call()
    crashed(call)
    line = a_line(call, outcome="crashed", usage=AFTER_ONE_TOKEN, cost_basis="estimated")
    assert list(judge_call(call, [line])) == []


@pytest.mark.parametrize(
    ("spoil", "fields", "said"),
    [
        ({"attempt_ids": ["a", "b"]}, {}, "2 attempts were begun and 1 stand in the ledger"),
        ({"attempt_ids": ["a", "b"]}, {}, "it was begun 2 times"),
        ({"ended_in_journal": 2}, {}, "it was ended 2 times"),
        ({"reached": 2}, {}, "it reached the provider 2 times and stands 1 times in the ledger"),
        ({"delivered": 1}, {}, "its client was told that an answer is whole which never ended"),
        ({"delivered": 1}, {}, "the ledger says ok, and the answer was never finished"),
        ({}, {"cost_nanousd": COST + 1}, f"costs {COST + 1} and its usage comes to {COST}"),
        ({}, {"outcome": "cancelled"}, "its client has the whole answer and the ledger says cancelled"),
        ({}, {"outcome": "cancelled"}, "its client has not left and was told of no error"),
        ({}, {"outcome": "unreachable"}, "it reached nobody, and a provider had it"),
        ({}, {"outcome": "unreachable"}, f"it reached nobody and costs {COST}"),
        ({}, {"usage": Usage(input_tokens=READ, output_tokens=WRITTEN + 1)}, "reported were 100, 20, 0 and billed"),
        ({}, {"usage": Usage(input_tokens=READ, output_tokens=0)}, "reported were 100, 20, 0 and billed"),
        ({}, {"cost_basis": "estimated"}, "its usage was reported, and the ledger says estimated"),
        ({}, {"outcome": "provider_error"}, "the provider answered in order, and the ledger says provider_error"),
        ({}, {"outcome": "provider_error", "http_status": 500}, f"a refusal costs {COST}"),
        ({}, {"outcome": "lost"}, "nobody knows the outcome lost"),
        (
            cut_after_first_text,
            {"outcome": "provider_cut", "usage": NOBODY_KNOWS},
            "its client has text of it, and nobody knows how much was written (provider_cut)",
        ),
        (
            cut_after_first_text,
            {"outcome": "provider_cut", "usage": NOBODY_KNOWS, "cost_basis": "reported"},
            "nobody reported its usage, and the ledger says so (provider_cut)",
        ),
        (cut_after_first_text, {"outcome": "provider_cut"}, "nobody reported its usage, and the ledger says so"),
        (cut_after_first_text, {"outcome": "provider_cut"}, "tokens were produced, and billed are 20"),
        (
            cut_after_first_text,
            {"outcome": "provider_cut", "usage": Usage(input_tokens=13, output_tokens=5)},
            "its input is 12, and billed are 13",
        ),
        ({}, {"outcome": "crashed"}, "the ledger says crashed, and its process did not die"),
        (after(crashed, {"ended_in_journal": 1}), {"outcome": "crashed"}, "its end stands in the journal"),
        (crashed, {"outcome": "crashed"}, "it crashed, and the ledger says reported"),
        (crashed, {"outcome": "crashed"}, "its last checkpoint says 1 tokens"),
        (crashed, {"outcome": "crashed", "usage": Usage(input_tokens=READ, output_tokens=3)}, "billed are 3"),
        (crashed, {"outcome": "crashed", "usage": Usage(input_tokens=READ, output_tokens=0)}, "billed are 0"),
        (
            after(crashed, {"last_written_s": 2.5}),
            {"outcome": "crashed", "usage": AFTER_ONE_TOKEN},
            "bytes went out 1.500 s after the last checkpoint",
        ),
        (
            after(crashed, {"checkpoints": [], "last_written_s": 2.5}),
            {"outcome": "crashed", "usage": Usage(input_tokens=READ, output_tokens=0)},
            "bytes went out 2.000 s after the last checkpoint",
        ),
        (after(crashed, {"checkpoints": [Checkpoint(1.0, 90, 1)]}), {"outcome": "crashed"}, "a checkpoint counts 90"),
        (
            after(crashed, {"checkpoints": [Checkpoint(1.0, None, 1)]}),
            {"outcome": "crashed"},
            "a checkpoint counts None",
        ),
    ],
)
def test_what_is_wrong_with_a_line_is_said(spoil: Spoil | dict[str, Any], fields: dict[str, Any], said: str) -> None:
    call = a_call()
    after(spoil)(call)
    told = list(judge_call(call, [a_line(call, **fields)]))
    assert any(said in one for one in told), told


def test_a_whole_answer_without_a_line_is_said() -> None:
    call = a_call()
    told = list(judge_call(call, []))
    assert "its client has the whole answer and the ledger nothing" in told


@pytest.mark.parametrize(("cost", "said"), [(0, []), (1, ["counting tokens costs 1"])])
def test_counting_tokens_costs_nothing(cost: int, said: list[str]) -> None:
    call = a_call(operation="count_tokens", streamed=False)
    line = a_line(call, usage=Usage(input_tokens=0, output_tokens=0), cost_nanousd=cost, price_id=None)
    assert [one for one in judge_call(call, [line]) if not one.startswith("costs ")] == said


def test_an_answer_without_usage_is_billed_by_its_text_and_not_as_reported() -> None:
    call = a_call(usage="missing")
    usage = Usage(input_tokens=12, output_tokens=WRITTEN)
    told = list(judge_call(call, [a_line(call, usage=usage)]))
    assert any("nobody reported its usage, and the ledger says so (ok" in one for one in told)
    (wrong,) = [one for one in told if "tokens were produced" in one]
    least = int(wrong.split()[1])
    right = Usage(input_tokens=12, output_tokens=least)
    assert list(judge_call(call, [a_line(call, usage=right, cost_basis="estimated")])) == []
