import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.cli.json_text import NotReadable, member, read_json, with_member, without_member

WITH_COMMENTS = """// ours
{
  "a": 1, // one
  "env": {
    /* two */ "X": "y",
  },
  "list": [1, 2, ], "url": "http://x//y",
}
"""
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=3), below, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=3), plain, max_size=4)
paths = st.lists(st.text(max_size=3), min_size=1, max_size=3).map(tuple)


def at(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def test_comments_and_trailing_commas_are_passed_over() -> None:
    found = read_json(WITH_COMMENTS)
    assert found == {"a": 1, "env": {"X": "y"}, "list": [1, 2], "url": "http://x//y"}
    assert member(WITH_COMMENTS, ("env", "X")) == '"y"'
    assert member(WITH_COMMENTS, ("env", "Z")) is None


def test_a_member_is_put_in_and_taken_out_and_every_other_byte_stays() -> None:
    put = with_member(WITH_COMMENTS, ("env", "Z"), '"new"')
    assert put == WITH_COMMENTS.replace('"y",', '"y", "Z": "new",')
    assert "// one" in put
    assert "/* two */" in put
    assert without_member(put, ("env", "Z")) == WITH_COMMENTS
    assert with_member(put, ("a",), "7") == put.replace('"a": 1', '"a": 7')


def test_an_empty_file_becomes_an_object() -> None:
    assert with_member("", ("a", "b"), "1") == '{\n  "a": {\n    "b": 1\n  }\n}\n'
    assert with_member("{}", ("a",), '"x"') == '{\n  "a": "x"\n}'
    assert with_member('{"b": 1}', ("a",), '"x"') == '{"b": 1, "a": "x"}'


@pytest.mark.parametrize("text", ["[1]", "{", '{"a": }', '{"a" 1}', "x", '{"a": 1} x', "[" * 5_000, '{"a": "' * 300])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(NotReadable):
        with_member(text, ("a",), "1")


def test_what_is_on_the_path_must_be_an_object() -> None:
    with pytest.raises(NotReadable, match="a is no object"):
        with_member('{"a": 1}', ("a", "b"), "1")


@given(objects, paths, plain, st.sampled_from([None, 2]))
def test_a_reader_finds_what_was_put_in_and_all_else_as_it_was(
    value: dict[str, Any], path: tuple[str, ...], new: Any, indent: int | None
) -> None:
    text = json.dumps(value, indent=indent)
    assert read_json(text) == value
    try:
        put = with_member(text, path, json.dumps(new))
    except NotReadable:
        assert not all(isinstance(at(value, path[:depth]), dict) for depth in range(1, len(path)))
        return
    found = json.loads(put)
    assert at(found, path) == new
    taken = json.loads(without_member(put, path))
    assert at(taken, path) is None
    for name, other in value.items():
        if name != path[0]:
            assert found[name] == taken[name] == other


@given(st.text(alphabet='{}[]",:/*\\ \n1a', max_size=60))
def test_no_text_makes_it_fail_in_another_way(text: str) -> None:
    read_json(text)
    with suppress(NotReadable):
        member(text, ("a", "b"))
    with suppress(NotReadable):
        assert member(with_member(text, ("a",), "1"), ("a",)) == "1"
