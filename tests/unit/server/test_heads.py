"""A head that repeats on its connection is understood once, and only that one."""

import pytest

from farthing.server.heads import Head

HEADERS = [(b"host", b"h"), (b"content-length", b"935"), (b"authorization", b"Bearer ft-1"), (b"accept", b"*/*")]


@pytest.fixture
def head() -> Head:
    return Head(HEADERS, b"digest", b"accept: */*\r\n")


@pytest.mark.parametrize("length", [b"935", b"7", b"112000"])
def test_the_length_of_the_body_may_differ(head: Head, length: bytes) -> None:
    assert head.is_repeated([(name, length if name == b"content-length" else value) for name, value in HEADERS])
    assert head.is_repeated(HEADERS), "and the next one may have the first length again"


@pytest.mark.parametrize(
    "other",
    [
        [*HEADERS[:2], (b"authorization", b"Bearer ft-2"), HEADERS[3]],
        [*HEADERS[:3], (b"accept", b"text/html")],
        HEADERS[:3],
        [*HEADERS, (b"x-farthing-project", b"p")],
        [HEADERS[0], (b"x-farthing-project", b"p"), *HEADERS[2:]],
        [HEADERS[1], HEADERS[0], *HEADERS[2:]],
        [],
    ],
    ids=["another key", "another value", "one less", "one more", "one in the length's place", "another order", "none"],
)
def test_whatever_else_differs_is_read_anew(head: Head, other: list[tuple[bytes, bytes]]) -> None:
    assert not head.is_repeated(other)
    assert head.is_repeated(HEADERS)


def test_a_head_without_a_length_is_repeated_to_the_byte() -> None:
    plain = [HEADERS[0], HEADERS[2]]
    head = Head(plain, b"digest", b"")
    assert head.is_repeated(list(plain))
    assert not head.is_repeated(HEADERS)
