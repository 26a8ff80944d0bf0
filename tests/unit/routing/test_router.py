"""What a router decides, from prices and budgets alone."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.routing.router import Candidate, Decision, Strategy, decide
from farthing.types.budgets import BudgetAction
from farthing.types.models import ModelRef
from farthing.types.routing import NO_BUDGETS, BudgetStanding, Standing


def model(name: str, price: int | None = None, needs: int | None = None) -> Candidate:
    return Candidate(ModelRef("p", name), price, price if needs is None else needs)


FREE = Candidate(ModelRef("home", "free"), 0, 0, free=True)
DEAR, CHEAP, UNKNOWN = model("dear", 900), model("cheap", 100), model("unknown")


def names(decision: Decision) -> list[str]:
    return [one.ref.model for one in decision.tries]


def test_order_is_as_it_is_written() -> None:
    assert names(decide("order", [DEAR, UNKNOWN, CHEAP, FREE], NO_BUDGETS)) == ["dear", "unknown", "cheap", "free"]


def test_cheapest_is_by_price_and_an_unknown_price_is_the_last() -> None:
    assert names(decide("cheapest", [UNKNOWN, DEAR, CHEAP, FREE], NO_BUDGETS)) == ["free", "cheap", "dear", "unknown"]


def test_equal_prices_stay_as_they_are_written() -> None:
    twins = [model("b", 5), model("a", 5), UNKNOWN, model("first", 1)]
    assert names(decide("cheapest", twins, NO_BUDGETS)) == ["first", "b", "a", "unknown"]


@pytest.mark.parametrize("action", ["prefer_cheaper", "emergency"])
def test_a_threshold_of_any_budget_has_the_free_ones_first_and_then_the_cheaper(action: BudgetAction) -> None:
    standing = Standing((BudgetStanding("other", "warn"), BudgetStanding("day", action)))
    decision = decide("order", [DEAR, CHEAP, FREE], standing)
    assert names(decision) == ["free", "cheap", "dear"]
    assert decision.because == (f"budget 'day': {action}",)


def test_in_an_emergency_only_what_is_no_dearer_may_follow() -> None:
    standing = Standing((BudgetStanding("a", "prefer_cheaper"), BudgetStanding("b", "emergency")))
    decision = decide("order", [DEAR, CHEAP, model("twin", 100), UNKNOWN], standing)
    assert decision.may_follow(CHEAP, decision.tries[1])
    assert not decision.may_follow(CHEAP, DEAR)
    assert not decision.may_follow(CHEAP, UNKNOWN)
    assert not decision.may_follow(UNKNOWN, DEAR), "nobody can say that it is no dearer"
    assert decide("order", [DEAR], NO_BUDGETS).may_follow(CHEAP, DEAR)


@pytest.mark.parametrize("action", ["local_only", "pause", "refuse"])
def test_where_only_free_models_pass_the_others_are_left_out(action: BudgetAction) -> None:
    decision = decide("cheapest", [DEAR, FREE, CHEAP], Standing((BudgetStanding("day", action),)))
    assert names(decision) == ["free"]
    assert [one.why for one in decision.skipped] == [f"budget 'day' lets only free models pass ({action})"] * 2
    assert decision.nearest is CHEAP


def test_what_a_budget_has_not_enough_for_is_left_out_with_the_amounts() -> None:
    standing = Standing((BudgetStanding("soft", None), BudgetStanding("day", None, room_nanousd=500)))
    decision = decide("order", [DEAR, UNKNOWN, CHEAP], standing)
    assert names(decision) == ["cheap"]
    assert [one.why for one in decision.skipped] == [
        "it needs $0.0000009, and budget 'day' has $0.0000005 now",
        "its price is not known, and budget 'day' is hard",
    ]


def test_neither_name_nor_amount_is_told_of_a_budget_that_other_organisations_share() -> None:
    shared = BudgetStanding("theirs", "prefer_cheaper", room_nanousd=500, shared=True)
    decision = decide("order", [DEAR, UNKNOWN], Standing((shared,)))
    assert [one.why for one in decision.skipped] == [
        "it needs $0.0000009, and a budget that other organisations share has less now",
        "its price is not known, and a budget that other organisations share is hard",
    ]
    assert decision.because == ("a budget that other organisations share: prefer_cheaper",)


def test_the_nearest_is_the_one_that_needs_least_and_there_is_none_where_nothing_is_left_out() -> None:
    nothing = Standing((BudgetStanding("day", None, room_nanousd=0),))
    assert decide("order", [UNKNOWN, DEAR, CHEAP], nothing).nearest is CHEAP
    assert decide("order", [UNKNOWN], nothing).nearest is UNKNOWN
    assert decide("order", [FREE], nothing).nearest is None


@st.composite
def candidates(draw: st.DrawFn) -> list[Candidate]:
    found = []
    for index in range(draw(st.integers(1, 8))):
        ref = ModelRef("p", str(index))
        price = draw(st.none() | st.integers(1, 50))
        found.append(Candidate(ref, 0, 0, free=True) if draw(st.booleans()) else Candidate(ref, price, price))
    return found


@st.composite
def standings(draw: st.DrawFn) -> Standing:
    actions = st.sampled_from([None, *get_args(BudgetAction)])
    rooms = st.none() | st.integers(0, 60)
    each = st.builds(BudgetStanding, st.sampled_from("abc"), actions, rooms)
    return Standing(tuple(draw(st.lists(each, max_size=3))))


def with_action(standing: Standing, action: BudgetAction) -> Standing:
    """Return it with one more budget, whose threshold demands this; no other's does."""
    kept = [BudgetStanding(one.name, None, one.room_nanousd) for one in standing.budgets]
    return Standing((*kept, BudgetStanding("z", action)))


@given(st.sampled_from(get_args(Strategy)), candidates(), standings())
def test_every_candidate_is_tried_or_skipped_once_and_free_ones_are_never_skipped(
    strategy: Strategy, given_ones: list[Candidate], standing: Standing
) -> None:
    decision = decide(strategy, given_ones, standing)
    parted = [*decision.tries, *(one.candidate for one in decision.skipped)]
    assert sorted(map(str, parted)) == sorted(map(str, given_ones))
    assert not any(one.candidate.free for one in decision.skipped)
    assert decision == decide(strategy, given_ones, standing)
    for one in decision.tries:
        for budget in standing.budgets:
            assert one.free or budget.room_nanousd is None or (one.needs_nanousd or 0) <= budget.room_nanousd


@given(candidates(), standings())
def test_an_emergency_is_never_dearer_than_what_is_preferred_before_it(
    given_ones: list[Candidate], standing: Standing
) -> None:
    preferring = decide("order", given_ones, with_action(standing, "prefer_cheaper"))
    emergency = decide("order", given_ones, with_action(standing, "emergency"))
    assert emergency.tries == preferring.tries == decide("cheapest", given_ones, with_action(standing, "warn")).tries
    prices = [one.price_nanousd for one in emergency.tries]
    known = [price for price in prices if price is not None]
    assert known == sorted(known)
    assert None not in prices[: len(known)], "unknown ones are the last"
    for index, failed in enumerate(emergency.tries):
        for follower in emergency.tries[index + 1 :]:
            if emergency.may_follow(failed, follower) and not follower.free:
                assert (follower.price_nanousd, failed.price_nanousd) == (failed.price_nanousd,) * 2


@given(candidates(), standings())
def test_order_keeps_the_order_where_no_threshold_holds(given_ones: list[Candidate], standing: Standing) -> None:
    decision = decide("order", given_ones, with_action(standing, "warn"))
    assert list(decision.tries) == [one for one in given_ones if one in decision.tries]
