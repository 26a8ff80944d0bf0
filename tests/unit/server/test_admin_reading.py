"""What a client of the admin API sends becomes what it says, exactly, or a list of all that is wrong with it."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Meta, UnsetType

from farthing.errors import InvalidRequest, Problem, WrongFields
from farthing.server.admin.reading import MAX_PROBLEMS, Usd, read_body, read_query
from farthing.server.admin.shown import nanousd_of


class Inner(msgspec.Struct, frozen=True):
    usd: Usd
    kind: Literal["a", "b"] = "a"


class Outer(msgspec.Struct, frozen=True, kw_only=True):
    name: Annotated[str, Meta(min_length=1, max_length=5)] | None = None
    inner: Inner | UnsetType | None = UNSET
    many: tuple[Inner, ...] = ()
    count: Annotated[int, Meta(ge=1, le=9)] = 1
    at: Annotated[datetime, Meta(tz=True)] | None = None
    on: bool = False


def problems(body: bytes, kind: type[msgspec.Struct] = Outer) -> list[Problem]:
    with pytest.raises(WrongFields) as found:
        read_body(body, kind)
    return list(found.value.problems)


def test_nothing_is_a_body_without_members() -> None:
    assert read_body(b"", Outer) == read_body(b" \n", Outer) == read_body(b"{}", Outer) == Outer()


def test_what_is_left_out_is_not_what_is_null() -> None:
    assert read_body(b'{"inner": null}', Outer).inner is None
    assert read_body(b"{}", Outer).inner is UNSET


def test_every_mistake_has_its_place_its_value_and_what_is_allowed() -> None:
    body = b'{"name": "too long", "inner": {"kind": "c"}, "many": [{"usd": 1}, {"usd": null}, 7], "cuont": 1, "on": 1}'
    assert problems(body) == [
        Problem("name", "Expected `str` of length <= 5.", "too long", "text of 1 to 5 letters or null"),
        Problem("inner.kind", "Invalid enum value 'c'.", "c", "one of a, b"),
        Problem("inner.usd", "It is missing.", None, problems(b'{"inner": {}}')[0].allowed),
        Problem("many[1].usd", "Expected `decimal`, got `null`.", "null", problems(b'{"inner": {}}')[0].allowed),
        Problem("many[2]", "This is a number.", "7", "an object"),
        Problem(
            "cuont",
            "Nothing here has this name.",
            None,
            "did you mean 'count'? known: name, inner, many, count, at, on",
        ),
        Problem("on", "Expected `bool`, got `int`.", "1", "true or false"),
    ]


def test_no_more_problems_are_told_than_somebody_reads() -> None:
    body = msgspec.json.encode({f"member{number}": 1 for number in range(500)})
    assert len(problems(body)) == MAX_PROBLEMS


def test_what_looks_like_a_key_is_not_repeated() -> None:
    (problem,) = problems(b'{"name": "ft-0123456789abcdefghijklmnop"}')
    assert problem.value == "***"


@pytest.mark.parametrize("text", ['"a\\u0000"', '"\\n"', '"\\u202e"'])
def test_letters_that_cannot_be_printed_are_no_name(text: str) -> None:
    (problem,) = problems(b'{"name": %b}' % text.encode())
    assert problem.field == "name"


@given(st.integers(0, 10**18))
def test_an_amount_is_read_to_the_last_nanodollar(nanousd: int) -> None:
    text = f"{nanousd // 10**9}.{nanousd % 10**9:09d}"
    for sent in (f'"{text}"', text):
        found = read_body(f'{{"usd": {sent}}}'.encode(), Inner)
        assert nanousd_of(found.usd) == nanousd


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda more: st.lists(more) | st.dictionaries(st.text(), more),
)


def refused_or_read(read: Callable[[bytes, type[Outer]], Outer], body: bytes) -> None:
    try:
        read(body, Outer)
    except (WrongFields, InvalidRequest):
        return


@given(ANYTHING)
def test_whatever_comes_is_read_or_refused(value: Any) -> None:
    refused_or_read(read_body, msgspec.json.encode(value))
    refused_or_read(read_body, msgspec.json.encode({"inner": value, "many": [value], "at": value}))


@given(st.binary(max_size=200))
def test_whatever_bytes_come_are_read_or_refused(body: bytes) -> None:
    refused_or_read(read_body, body)
    refused_or_read(read_query, body)


def test_a_query_says_numbers_and_truths_as_text_and_nothing_twice() -> None:
    found = read_query(b"count=7&on=true&name=a%20b", Outer)
    assert (found.count, found.on, found.name) == (7, True, "a b")
    for query in (b"count=1&count=2", b"count=0", b"count=x", b"cuont=1", b"&".join([b"a=1"] * 100)):
        with pytest.raises(InvalidRequest):
            read_query(query, Outer)


def test_an_amount_is_no_float() -> None:
    assert read_body(b'{"usd": 0.1}', Inner).usd == Decimal("0.1")
