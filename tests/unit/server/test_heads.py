"""A head that repeats on its connection is understood once, and only that one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.server.heads import Head, head_of

HEADERS = [(b"host", b"h"), (b"content-length", b"935"), (b"authorization", b"Bearer ft-1"), (b"accept", b"*/*")]
RAW = b"POST /v1/x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nAuthorization: Bearer ft-1\r\nAccept: */*\r\n\r\n"


def head_with(headers: list[tuple[bytes, bytes]], raw: bytes = b"") -> Head:
    return Head(b"POST", b"/v1/x", headers, dict(headers), digest=b"digest", lines=b"", raw=raw)


def head_as_it_came(raw: bytes) -> Head:
    lines = [line.split(b":", 1) for line in raw.split(b"\r\n")[1:] if line]
    return head_with([(name.lower(), value.strip()) for name, value in lines], raw)


@pytest.fixture
def head() -> Head:
    return head_with(HEADERS)


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
    assert head.is_repeated(list(HEADERS))


def test_a_head_without_a_length_is_repeated_to_the_byte() -> None:
    plain = [HEADERS[0], HEADERS[2]]
    head = head_with(plain)
    assert head.is_repeated(list(plain))
    assert not head.is_repeated(HEADERS)


@given(bodies=st.lists(st.binary(max_size=300), min_size=1, max_size=6))
def test_a_body_is_found_behind_the_same_head_whatever_its_length(bodies: list[bytes]) -> None:
    head = head_as_it_came(RAW)
    for body in bodies:
        before = (head.headers, dict(head.headers))
        assert head.body_in(RAW.replace(b": 5", b": %d" % len(body)) + body) == body
        assert dict(head.headers) == head.named == {**dict(HEADERS), b"content-length": b"%d" % len(body)}
        assert dict(before[0]) == before[1], "what an exchange has does not change under it"
        assert head.is_repeated(head.headers)


@pytest.mark.parametrize(
    "data",
    [
        RAW + b"1234",
        RAW + b"12345GET / HTTP/1.1\r\n\r\n",
        RAW[:-4] + b"\r\nx-farthing-project: p\r\n\r\n12345",
        RAW.replace(b"ft-1", b"ft-2") + b"12345",
        RAW.replace(b"POST", b"post") + b"12345",
        RAW.replace(b"*/*", b"*/ *") + b"12345",
        RAW.replace(b": 5", b": +5") + b"12345",
        RAW.replace(b": 5", b": 5 ") + b"12345",
        RAW.replace(b": 5", b": 0x5") + b"12345",
        RAW.replace(b": 5", b": 5,5") + b"12345",
        RAW.replace(b": 5", b": ") + b"12345",
        RAW.replace(b": 5", b": " + b"0" * 20 + b"5") + b"12345",
        RAW.replace(b": 5", b": \xd9\xa5") + b"12345",
        RAW.replace(b": 5\r\n", b": 5\r\nTransfer-Encoding: chunked\r\n") + b"12345",
        RAW[:40],
        RAW,
        b"",
    ],
)
def test_what_is_not_that_head_with_a_whole_body_is_parsed(data: bytes) -> None:
    assert head_as_it_came(RAW).body_in(data) is None


@pytest.mark.parametrize(
    "raw",
    [
        RAW.replace(b"HTTP/1.1", b"HTTP/1.0"),
        RAW.replace(b"Accept: */*", b"Connection: close"),
        RAW.replace(b"Accept: */*", b"Connection: keep-alive, upgrade"),
        RAW.replace(b"Accept: */*", b"Upgrade: h2c"),
        RAW.replace(b"Accept: */*", b"Expect: 100-continue"),
        RAW.replace(b"Accept: */*", b"Content-Length: 5"),
        RAW.replace(b"Content-Length: 5\r\n", b""),
        RAW.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked"),
    ],
)
def test_a_head_that_changes_what_comes_after_it_is_parsed_each_time(raw: bytes) -> None:
    assert head_as_it_came(raw).body_in(raw + b"12345") is None


def test_a_head_is_that_of_a_request_which_came_whole_and_alone() -> None:
    assert head_of(RAW + b"12345", 5) == RAW
    assert head_of(RAW + b"12345", 4) == b""
    assert head_of(RAW + b"12\r\n\r\n", 6) == RAW
    assert head_of(RAW.replace(b"\r\n\r\n", b"\n\n") + b"1\r\n\r\n2", 6) == b""
    assert head_of(b"\r\n\r\n" + RAW + b"12345", 5) == b""
    assert head_of(RAW[:-4] + b"\r\nx: " + b"y" * 5_000 + b"\r\n\r\n12345", 5) == b""
    assert head_of(b"", 0) == b""
