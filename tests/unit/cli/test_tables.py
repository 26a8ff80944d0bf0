import pytest

from farthing.cli.tables import Column, print_csv, print_fields, print_table, usd

COLUMNS = [Column("NAME", "left"), Column("CALLS"), Column("USD", "point")]


def test_points_stand_below_each_other_and_nothing_follows_the_last_letter(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(
        COLUMNS, [("a", "1", "12.50"), ("bb", "20", "0.000001"), ("c", "3", "unknown")], total=("", "24", "1.00")
    )
    assert capsys.readouterr().out.splitlines() == [
        "NAME  CALLS        USD",
        "a         1  12.50",
        "bb       20   0.000001",
        "c         3    unknown",
        "----------------------",
        "         24   1.00",
    ]


def test_a_name_that_does_not_fit_stands_above_its_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, [("a" * 40, "1", "12.50"), ("b", "2", "0.10")], width=30)
    assert capsys.readouterr().out.splitlines() == [
        "NAME              CALLS    USD",
        "a" * 40,
        "                      1  12.50",
        "b                     2   0.10",
    ]


def test_in_a_pipe_every_row_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, [("a" * 400, "1", "12.50")])
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_name_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, [("\x1b[2Jevil\r\n\u202e", "1", "0.10")])
    print_fields([("name", "\x1b]0;x\x07"), ("nothing", None)])
    out = capsys.readouterr().out
    assert "?[2Jevil???" in out
    assert out.endswith("name  ?]0;x?\n")


def test_wide_letters_take_two_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, [("計画", "1", "0.10"), ("abcd", "1", "0.10")])
    first, second = capsys.readouterr().out.splitlines()[1:]
    assert first == "計画      1  0.10"
    assert second == "abcd      1  0.10"


@pytest.mark.parametrize(
    ("nanousd", "shown"),
    [
        (0, "0.00"),
        (1, "0.000000001"),
        (1_500_000_000, "1.50"),
        (1_234_567_891_234_000_000, "1,234,567,891.234"),
        (None, "unknown"),
    ],
)
def test_money_is_shown_exactly(nanousd: int | None, shown: str) -> None:
    assert usd(nanousd) == shown


def test_csv_quotes_what_needs_it(capsys: pytest.CaptureFixture[str]) -> None:
    print_csv([{"group": 'a,"b"', "usd": None}], ["group", "usd"])
    assert capsys.readouterr().out == 'group,usd\n"a,""b""",\n'
