"""A ring of sub-windows against a plain list of what was used when."""

from hypothesis import given
from hypothesis import strategies as st

from farthing.types.windows import SUB_WINDOWS, Ring, leaves_us, sub_window_us

MINUTE_US = 60_000_000
WINDOWS = st.sampled_from([MINUTE_US, 3_600_000_000, 86_400_000_000, 59, 61, 7_000_001])
STEPS = st.lists(st.tuples(st.integers(0, 90), st.integers(1, 40)), min_size=1, max_size=40)
LIMIT = 100


@given(window_us=WINDOWS, steps=STEPS, start=st.integers(0, 10**15), fraction=st.integers(0, 99))
def test_no_window_of_that_length_ever_holds_more_than_the_limit(
    window_us: int, steps: list[tuple[int, int]], start: int, fraction: int
) -> None:
    ring, admitted, now_us = Ring(window_us), list[tuple[int, int]](), start
    for percent, amount in steps:
        now_us += window_us * percent * 100 // 10_000 + window_us * fraction // 10_000
        if ring.used(now_us) + amount <= LIMIT:
            ring.add(now_us, amount)
            admitted.append((now_us, amount))
    for first_us, _ in admitted:  # a window that holds most begins with something
        within = sum(amount for at_us, amount in admitted if first_us <= at_us < first_us + window_us)
        assert within <= LIMIT


@given(window_us=WINDOWS, steps=STEPS, start=st.integers(0, 10**15))
def test_it_counts_what_a_plain_list_does_rounded_against_the_caller(
    window_us: int, steps: list[tuple[int, int]], start: int
) -> None:
    ring, used, now_us = Ring(window_us), list[tuple[int, int]](), start
    part_us = sub_window_us(window_us)
    for percent, amount in steps:
        now_us += window_us * percent // 100
        exact = sum(one for at_us, one in used if now_us - at_us < window_us)
        most = sum(one for at_us, one in used if now_us - at_us < window_us + 2 * part_us)
        assert exact <= ring.used(now_us) <= most
        assert ring.used(now_us) == sum(one for at_us, one in used if leaves_us(at_us // part_us, window_us) > now_us)
        ring.add(now_us, amount)
        used.append((now_us, amount))
    assert len(ring.counts) <= SUB_WINDOWS + 2


@given(window_us=WINDOWS, steps=STEPS, amount=st.integers(0, 120))
def test_what_it_says_is_the_first_moment_at_which_an_amount_fits(
    window_us: int, steps: list[tuple[int, int]], amount: int
) -> None:
    ring, now_us = Ring(window_us), 10**15
    for percent, one in steps:
        now_us += window_us * percent // 1_000
        if ring.used(now_us) + one <= LIMIT:
            ring.add(now_us, one)
    at_us = ring.fits_at(amount, LIMIT, now_us)
    if amount > LIMIT:
        assert at_us is None
        return
    assert at_us is not None
    copy = Ring(window_us)
    copy.counts.update(ring.counts)
    if at_us > now_us:
        assert copy.used(at_us - 1) + amount > LIMIT
    assert copy.used(at_us) + amount <= LIMIT


@given(window_us=WINDOWS, amount=st.integers(1, 100), back_us=st.integers(1, 10**12))
def test_what_was_dated_by_a_clock_that_was_set_back_counts_as_now(window_us: int, amount: int, back_us: int) -> None:
    ring = Ring(window_us)
    ring.add(10**15, amount)
    now_us = 10**15 - back_us
    assert ring.used(now_us) == amount
    assert ring.used(now_us + window_us - 1) == amount
    assert ring.used(now_us + window_us + sub_window_us(window_us)) == 0
