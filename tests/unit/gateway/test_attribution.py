import json
from typing import Any

import pytest

from farthing.errors import NameNotAllowed
from farthing.gateway.attribution import MAX_CHARS, attribute
from farthing.types.calls import Attribution
from farthing.types.principal import Principal
from farthing.wire.peek import Envelope

WHO = Principal("key_1", "my-app", project="from-key", user="key-user")


def told(headers: dict[str, str] | None = None, **body: Any) -> Attribution:
    pairs = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    return attribute(WHO, dict(pairs), Envelope(json.dumps({"model": "m", **body}).encode()))


def test_without_a_word_the_key_says_who_it_is() -> None:
    assert told() == Attribution("key_1", "my-app", project="from-key", user="key-user")


def test_our_own_headers_win_over_everything() -> None:
    headers = {
        "x-farthing-project": "p",
        "x-farthing-session": "s",
        "x-farthing-user": "u",
        "x-farthing-task": "t",
        "x-farthing-tags": "a,b",
        "x-farthing-branch": "main",
        "x-farthing-pull-request": "12",
        "x-farthing-sub-agent": "explore",
        "x-claude-code-session-id": "other",
    }
    assert told(headers, user="x", prompt_cache_key="y") == Attribution(
        "key_1",
        "my-app",
        project="p",
        session="s",
        user="u",
        task="t",
        tags="a,b",
        branch="main",
        pull_request="12",
        sub_agent="explore",
    )


@pytest.mark.parametrize(
    ("headers", "body", "session", "user"),
    [
        ({"x-claude-code-session-id": "cc"}, {}, "cc", "key-user"),
        ({}, {"metadata": {"user_id": '{"session_id":"s1","account_uuid":"acc"}'}}, "s1", "acc"),
        ({}, {"metadata": {"user_id": "user_ab_account__session_s2"}}, "s2", "user_ab_account_"),
        ({}, {"metadata": {"user_id": "alice"}}, None, "alice"),
        ({}, {"metadata": {"user_id": "{broken"}}, None, "{broken"),
        ({}, {"metadata": {"user_id": 7}}, None, "key-user"),
        ({}, {"metadata": ["x"]}, None, "key-user"),
        ({}, {"prompt_cache_key": "pck", "user": "bob"}, "pck", "bob"),
        ({"session-id": "codex", "thread-id": "t"}, {"prompt_cache_key": "t"}, "codex", "key-user"),
        ({"x-session-id": "ses_1"}, {}, "ses_1", "key-user"),
    ],
)
def test_clients_say_it_in_their_own_ways(
    headers: dict[str, str], body: dict[str, Any], session: str | None, user: str | None
) -> None:
    attribution = told(headers, **body)
    assert (attribution.session, attribution.user) == (session, user)


def test_values_are_short_and_printable() -> None:
    attribution = told({"x-farthing-task": "a\x1b[31mb" + "c" * 500}, user="\n")
    assert attribution.task is not None
    assert attribution.task.startswith("a[31mb")
    assert len(attribution.task) <= MAX_CHARS
    assert attribution.user == "key-user"


@pytest.mark.parametrize(
    ("headers", "session", "sub_agent"),
    [
        ({"x-claude-code-session-id": "s", "x-claude-code-agent-id": "a1"}, "s", "a1"),
        ({"session-id": "s", "thread-id": "t", "x-openai-subagent": "review"}, "s", "review"),
        ({"x-session-id": "child", "x-session-affinity": "child", "x-parent-session-id": "s"}, "s", "child"),
        ({"x-claude-code-agent-id": "a1", "x-farthing-sub-agent": "ours", "x-farthing-session": "s"}, "s", "ours"),
    ],
)
def test_sub_agents_are_told_apart_where_their_client_says_so(
    headers: dict[str, str], session: str, sub_agent: str
) -> None:
    attribution = told(headers)
    assert (attribution.session, attribution.sub_agent) == (session, sub_agent)


def test_a_key_that_was_made_for_a_session_says_more_than_the_agent() -> None:
    who = Principal("key_1", "run-claude-1", session="run-claude-1", task="t", branch="main", pull_request="12")
    plain = attribute(who, {}, Envelope(b"{}"))
    assert plain == Attribution(
        "key_1", "run-claude-1", session="run-claude-1", task="t", branch="main", pull_request="12"
    )
    said = attribute(who, {b"x-claude-code-session-id": b"cc", b"x-farthing-branch": b"other"}, Envelope(b"{}"))
    assert (said.session, said.conversation, said.branch, said.task) == ("run-claude-1", "cc", "other", "t")
    said = attribute(who, {b"session-id": b"s"}, Envelope(b'{"prompt_cache_key": "thread"}'))
    assert (said.session, said.conversation) == ("run-claude-1", "thread")
    assert attribute(who, {b"x-farthing-session": b"mine"}, Envelope(b"{}")).session == "mine"


@pytest.mark.parametrize(
    ("own", "said", "tags"),
    [
        ("a,b", None, "a,b"),
        ("a,b", b"b, c,,c", "a,b,c"),
        (None, b"b,  c ,, b", "b,c"),
        (None, None, None),
    ],
)
def test_tags_of_the_key_and_of_the_client_both_count(own: str | None, said: bytes | None, tags: str | None) -> None:
    who = Principal("key_1", "my-app", tags=own)
    told = {} if said is None else {b"x-farthing-tags": said}
    assert attribute(who, told, Envelope(b"{}")).tags == tags


FIXED = Principal("key_1", "guest", project="search", tags="a,b", fixed=("project", "user", "session", "task", "tags"))


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("project", b"other", "is for the project 'search' alone, and the header x-farthing-project names 'other'"),
        ("project", b" SEARCH", "names 'SEARCH'"),
        ("user", b"ann", "is for no user, and the header x-farthing-user names 'ann'"),
        ("session", b"s", "is for no session"),
        ("task", b"t", "is for no task"),
        ("tags", b"a, c", "is for the tags 'a,b' alone, and the header x-farthing-tags names 'a, c'"),
    ],
)
def test_a_client_that_names_what_its_key_fixes_otherwise_is_told_what_is_allowed(
    name: str, value: bytes, told: str
) -> None:
    with pytest.raises(NameNotAllowed) as refused:
        attribute(FIXED, {b"x-farthing-" + name.encode(): value}, Envelope(b"{}"))
    assert told in refused.value.message
    others = ",".join(one for one in FIXED.fixed if one != name)
    assert refused.value.hint is not None
    assert f'"farthing keys edit guest --fixed {others}"' in refused.value.hint
    assert refused.value.status == 403


def test_who_names_what_the_key_fixes_as_it_is_may() -> None:
    told = {
        b"x-farthing-project": b" search",
        b"x-farthing-tags": b"b , a",
        b"x-farthing-user": b"",
        b"session-id": b"s",
    }
    said = attribute(FIXED, told, Envelope(b"{}"))
    assert said == Attribution("key_1", "guest", project="search", tags="a,b")


def test_what_clients_say_in_their_own_ways_does_not_count_where_the_key_fixes_it() -> None:
    body = {"user": "bob", "metadata": {"user_id": "user_x__session_s2"}, "prompt_cache_key": "k"}
    said = attribute(FIXED, {b"x-claude-code-session-id": b"cc"}, Envelope(json.dumps(body).encode()))
    assert (said.user, said.session, said.project) == (None, None, "search")
    own = Principal("key_1", "ann", user="ann", fixed=("user",))
    said = attribute(own, {b"x-farthing-project": b"p"}, Envelope(json.dumps(body).encode()))
    assert (said.user, said.session, said.project) == ("ann", "s2", "p")
