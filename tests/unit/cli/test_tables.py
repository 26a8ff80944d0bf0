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


def test_what_may_be_folded_is_where_there_is_no_room(capsys: pytest.CaptureFixture[str]) -> None:
    columns = [Column("NAME", "left", 6), Column("USD", "point"), Column("FOR", "left", 8)]
    rows = [
        ("of a team", "12.50", "team core, user ann@example.com"),
        ("averylongname of all", "1.00", "計画計画計画 x"),
    ]
    print_table(columns, rows, width=24)
    assert capsys.readouterr().out.splitlines() == [
        "NAME       USD  FOR",
        "of a     12.50  team",
        "team            core,",
        "                user",
        "                ann@exam",
        "                ple.com",
        "averylongname of all",
        "          1.00  計画計画",
        "                計画 x",
    ]


def test_a_table_that_folds_ends_within_100_columns_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    columns = [Column("NAME", "left"), Column("FOR", "left", 10), Column("USD", "point")]
    print_table(columns, [("a" * 120, "words " * 40 + "x" * 200, "12.50"), ("short", "", "0.10")])
    head, above, *lines = capsys.readouterr().out.splitlines()
    assert above == "a" * 120
    assert max(map(len, lines)) == len(head) <= 100
    assert "".join(lines).count("x") == 200
    assert lines[-1].split() == ["short", "0.10"]


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
