"""The figures of benchmarks/prices.py, with bounds that also hold in a bad minute of a shared machine."""

from benchmarks.prices import ROWS, measure, render

IN_A_BAD_MINUTE = 6


def test_a_look_up_and_the_list_cost_what_was_promised() -> None:
    figures = measure()
    for name, what, unit, keep in ROWS:
        bound = keep if unit == "MB" else keep * IN_A_BAD_MINUTE
        assert figures[name] <= bound, what
    assert render(figures).count("\n") == len(ROWS) + 1
