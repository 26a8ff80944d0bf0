"""The simulator's judge by itself: one call whose line is right, and then each thing that can be wrong with it.

Few of these sentences are ever said by a seed, because the gateway gives no cause. A judge that cannot say them would
let through what it is there for.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from farthing.testing.simulator.facts import Call, Checkpoint
from farthing.testing.simulator.judgement import judge_call
from farthing.testing.simulator.routers import judge_order, tries_of
from farthing.testing.simulator.schedule import Answer, Ask, FallBack
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


def a_routed_call() -> tuple[Call, list[Attempt]]:
    """Return a call that names a router, whose first model refused and whose second answered, and its lines."""
    first, second = an_ask(status=500).answer, an_ask().answer
    tries = (FallBack("alpha", "priced", first), FallBack("beta", "priced", second))
    call = a_call(router="alpha-order-priced", tries=tries)
    call.attempt_ids, call.begun = [], ["alpha", "beta"]
    lines = []
    for ordinal, (provider, one) in enumerate(call.tries.items(), 1):
        one.attempt_ids, one.reached, one.input_estimate, one.begun_s = [f"a{ordinal}"], 1, 12, float(ordinal)
        one.delivered = len(one.parts)
        line = a_line(one)
        opening = msgspec.structs.replace(
            line.opening, attempt_id=f"a{ordinal}", ordinal=ordinal, provider=provider, model_asked="alpha-order-priced"
        )
        lines.append(msgspec.structs.replace(line, opening=opening))
    nothing = Usage(input_tokens=0, output_tokens=0)
    lines[0] = msgspec.structs.replace(
        lines[0], outcome="provider_error", http_status=500, usage=nothing, cost_nanousd=0, price_id=None
    )
    lines[1] = msgspec.structs.replace(lines[1], cost_nanousd=READ * 2_900 + WRITTEN * 14_900)
    return call, lines


def test_a_call_by_a_router_is_found_right_as_each_of_its_tries_is() -> None:
    call, lines = a_routed_call()
    assert list(judge_order(call, lines)) == []
    tries = tries_of(call, lines)
    assert [(one.ask.provider, found) for one, found in tries] == [("alpha", lines[:1]), ("beta", lines[1:])]
    assert [list(judge_call(one, found)) for one, found in tries] == [[], []]
    missing = [list(judge_call(one, found)) for one, found in tries_of(call, lines[1:])]
    assert "1 attempts were begun and 0 stand in the ledger" in missing[0]
    assert missing[1] == []


@pytest.mark.parametrize(
    ("number", "fields", "said"),
    [
        (0, {"outcome": "ok"}, "'beta' was tried after one that ended as ok 500"),
        (0, {"outcome": "cancelled"}, "'beta' was tried after one that ended as cancelled 500"),
        (0, {"http_status": 400}, "'beta' was tried after one that ended as provider_error 400"),
        (1, {"ordinal": 1}, "its tries are numbered [1, 1]"),
        (1, {"call_id": "another"}, "its tries are of several calls"),
        (1, {"model_asked": "beta:sim-priced"}, "it asked for alpha-order-priced, and the ledger says"),
    ],
)
def test_what_is_wrong_with_the_order_of_a_routers_tries_is_said(
    number: int, fields: dict[str, Any], said: str
) -> None:
    call, lines = a_routed_call()
    line = lines[number]
    if fields.keys() <= set(line.opening.__struct_fields__):
        fields = {"opening": msgspec.structs.replace(line.opening, **fields)}
    lines[number] = msgspec.structs.replace(line, **fields)
    told = list(judge_order(call, lines))
    assert any(said in one for one in told), told


def test_a_router_that_asks_another_model_for_nobody_is_said() -> None:
    call, lines = a_routed_call()
    call.left_s = 1.5
    assert list(judge_order(call, lines)) == ["'beta' was asked 0.500 s after the client had left"]
    call.left_s = 1.95
    assert list(judge_order(call, lines)) == []


def test_a_whole_answer_by_a_router_without_a_line_is_said() -> None:
    call, _ = a_routed_call()
    assert "its client has the whole answer and the ledger nothing" in list(judge_order(call, []))
