"""Random schedules of what can happen to budgets, for hypothesis to draw and to shrink.

Numbers in a step are chosen without knowing what there is by then; whoever plays it takes them modulo that.
"""

from typing import Any

from hypothesis import strategies as st

from tests.model.budget_model import Rule, Who

Step = tuple[Any, ...]
ZONES = ("UTC", "Europe/Berlin", "America/Havana", "Asia/Kathmandu")
"""Havana changes its clocks at midnight, Kathmandu is off by three quarters of an hour."""
MOMENTS_US = tuple(second * 1_000_000 for second in (1_780_000_000, 1_792_889_990, 1_772_945_990, 1_774_745_990))
"""A day in May; ten seconds before clocks change in Berlin (autumn), in Havana and in Berlin (spring)."""
AMOUNTS = st.integers(1, 120)
SCOPES: tuple[Who, ...] = (
    (),
    (("key_id", "*"),),
    (("key_id", "k1"),),
    (("team", "a"), ("user", "*")),
    (("tag", "*"),),
    (("tag", "red"),),
    (("session", "*"),),
)
PEOPLE: tuple[Who, ...] = (
    (("key_id", "k1"),),
    (("key_id", "k2"), ("team", "a")),
    (("key_id", "k1"), ("team", "a"), ("user", "ann"), ("tag", "red")),
    (("key_id", "k2"), ("team", "a"), ("user", "bob"), ("session", "s1"), ("tag", "blue"), ("tag", "red")),
)
_HOURS = st.sampled_from((-25, -1, 1, 2, 24, 25, 24 * 8, 24 * 31))
_CHANGES = st.one_of(
    st.tuples(st.just("enabled"), st.booleans()),
    st.tuples(st.just("period"), st.sampled_from(("hour", "day", "total"))),
    st.tuples(st.just("scope"), st.sampled_from(SCOPES)),
    st.tuples(st.just("zone"), st.sampled_from(ZONES)),
    st.tuples(st.just("grace"), st.sampled_from((0, 20))),
)


@st.composite
def rules(draw: st.DrawFn, *, blocking: bool = True) -> list[Rule]:
    """Draw up to three budgets; those that are `blocking` may refuse at a threshold."""
    return [_rule(draw, number, blocking=blocking) for number in range(draw(st.integers(1, 3)))]


def _rule(draw: st.DrawFn, number: int, *, blocking: bool) -> Rule:
    period = draw(st.sampled_from(("total", "hour", "day", "week", "month", "session")))
    last = {"week": 7, "month": 31}.get(period, 1)
    return Rule(
        id=f"b{number}",
        limit=draw(st.integers(0, 400)),
        scope=draw(st.sampled_from(SCOPES)),
        period=period,
        zone=draw(st.sampled_from(ZONES)),
        reset_day=draw(st.integers(1, last)),
        hard=draw(st.sampled_from((True, True, True, False))),
        blocks_below_percent=draw(st.sampled_from((0, 0, 0, 25)) if blocking else st.just(0)),
        grace=draw(st.sampled_from((0, 0, 40))),
    )


def steps(*, houses: bool = False, troubles: bool = False, longest: int = 40) -> st.SearchStrategy[list[Step]]:
    """Draw what happens: with several `houses`, and with `troubles` of the store."""
    who, number = st.sampled_from(PEOPLE), st.integers(0, 5)
    call = st.tuples(st.just("call"), number, who, AMOUNTS, st.sampled_from((0, 0, 0, 30, 400)), st.booleans())
    settle = st.tuples(
        st.just("settle"), number, st.sampled_from(("below", "below", "at", "above", "unknown", "void")), AMOUNTS
    )
    kinds = [
        call,
        call,
        call,
        settle,
        settle,
        st.tuples(st.just("post"), number, st.integers(1, 4)),
        st.tuples(st.just("clock_"), _HOURS),
        st.tuples(st.just("limit"), number, st.integers(0, 400)),
        st.tuples(st.just("change"), number, _CHANGES),
        st.tuples(st.just("change"), number, _CHANGES),
        st.tuples(st.just("idle")),
    ]
    if houses:
        kinds += [st.tuples(st.just("die"), number), st.tuples(st.just("leave"), number), st.tuples(st.just("join"))]
    if troubles:
        kinds.append(st.tuples(st.just("store_"), st.sampled_from(("away", "answers lost", "back", "back"))))
    return st.lists(st.one_of(kinds), max_size=longest)
