import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.errors import InvalidRequest
from farthing.wire.peek import Envelope

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
PLAIN_KEY = st.text(alphabet="abcdefghijklmnop_", min_size=1, max_size=8)


def splice(body: bytes, **changes: bytes) -> bytes:
    return b"".join(Envelope(body).spliced(changes))


def test_only_the_model_changes_and_every_other_byte_stays() -> None:
    body = b' { "messages" : [ {"model":"inner", "x": 1e3} ] ,\n "model"  :  "fast" , "z":{ } }\n'
    assert splice(body, model=b'"gpt-5-mini"') == body.replace(b'"fast"', b'"gpt-5-mini"')


def test_a_member_that_is_missing_is_added_at_the_end() -> None:
    assert splice(b'{"model":"m"}', stream_options=b"{}") == b'{"model":"m","stream_options":{}}'
    assert splice(b"{}", a=b"1") == b'{"a":1}'


@given(
    content=st.dictionaries(PLAIN_KEY, JSON, max_size=6),
    value=JSON,
    name=PLAIN_KEY,
    indent=st.sampled_from([None, 1]),
    ascii_only=st.booleans(),
)
def test_a_splice_is_an_assignment(
    content: dict[str, Any], value: Any, name: str, indent: int | None, ascii_only: bool
) -> None:
    body = json.dumps(content, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    try:
        envelope = Envelope(body)
    except InvalidRequest:
        return  # a lone surrogate is not UTF-8, and no JSON
    assert json.loads(b"".join(envelope.spliced({name: json.dumps(value).encode()}))) == {**content, name: value}


@pytest.mark.parametrize(
    "body", [b'{"model":"a","model":"b"}', b'{"x":1,"model":"a","x":2}', b'{"\\u006dodel":"a"}', b'{"a":1,"a":1}']
)
def test_a_member_that_stands_twice_is_refused_before_readers_can_disagree(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="twice"):
        splice(body, model=b'"c"')


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"model":', b"\xff\xfe", b'{"a":1} x'])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="not a JSON object"):
        Envelope(body)


@pytest.mark.parametrize("body", [b"{}", b'{"model":null}', b'{"model" : ""}'])
def test_a_body_may_name_no_model(body: bytes) -> None:
    assert Envelope(body).model() is None


@pytest.mark.parametrize("body", [b'{"model":7}', b'{"model":["x"]}', b'{"model":{}}'])
def test_a_model_that_is_no_text_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match='"model" is missing or no text'):
        Envelope(body).model()


def test_members_are_read_without_being_believed() -> None:
    envelope = Envelope(b'{"stream":true,"user":7,"metadata":{"user_id":"u"}}')
    assert envelope.flag("stream")
    assert not envelope.flag("absent")
    assert envelope.text("user") is None
    assert envelope.value("metadata") == {"user_id": "u"}
    assert envelope.value("absent") is None
    assert "user" in envelope


@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":"), (" , ", ":"), (",", " : ")])
@pytest.mark.parametrize(
    "members",
    [
        [("model", '"m"')],
        [("model", '"m"'), ("n", "1")],
        [("n", "128"), ("model", '"m"'), ("messages", '[{"n": 1}]'), ("n", "1")],
        [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4"), ("e", "5"), ("n", "1"), ("n", "9")],
        [("n", "9"), ("\\u006e", "1")],
    ],
)
def test_a_member_that_stands_twice_is_seen_however_the_body_is_written(
    members: list[tuple[str, str]], separators: tuple[str, str]
) -> None:
    comma, colon = separators
    envelope = Envelope(("{" + comma.join(f'"{name}"{colon}{value}' for name, value in members) + "}").encode())
    names = [name.replace("\\u006e", "n") for name, _ in members]
    if len(set(names)) == len(names):
        envelope.refuse_twice()
    else:
        with pytest.raises(InvalidRequest, match="twice"):
            envelope.refuse_twice()
