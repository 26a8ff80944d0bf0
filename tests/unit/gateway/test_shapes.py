import json

import pytest

from farthing.gateway import shapes
from farthing.gateway.shapes import shape_of
from farthing.types.providers import WireFormat
from farthing.wire.peek import Envelope


def envelope(*names: str) -> Envelope:
    return Envelope(json.dumps(dict.fromkeys(names, 1)).encode())


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "_shapes", {})


def test_what_names_tell_is_the_same_when_it_is_remembered() -> None:
    asked = envelope("model", "messages", "max_tokens", "tools")
    first, again = shape_of(asked, "openai_chat"), shape_of(asked, "openai_chat")
    assert again is first
    assert first.limits == ("max_tokens",)
    assert not first.at_a_glance
    assert not first.further_models
    assert first.otherwise is None


def test_names_are_not_glued_together() -> None:
    harmless = shape_of(envelope("model", "models messages"), "openai_chat")
    assert not harmless.further_models
    assert shape_of(envelope("model", "models", "messages"), "openai_chat").further_models


@pytest.mark.parametrize(("wire", "limits"), [("openai_responses", ()), ("anthropic_messages", ("max_tokens",))])
def test_each_format_has_limits_of_its_own(wire: WireFormat, limits: tuple[str, ...]) -> None:
    shape_of(envelope("model", "max_tokens"), "openai_chat")
    assert shape_of(envelope("model", "max_tokens"), wire).limits == limits


@pytest.mark.parametrize("name", ["Max_Tokens", "MODEL", "max_toKens"])
def test_a_name_that_some_servers_read_as_another_is_found(name: str) -> None:
    assert shape_of(envelope("model", "messages", name), "openai_chat").otherwise == name


def test_what_is_remembered_has_a_bound() -> None:
    for number in range(3_000):
        shape_of(envelope("model", f"member-{number}"), "openai_chat")
    shape_of(envelope("x" * 65), "openai_chat")
    shape_of(envelope(*map(str, range(33))), "openai_chat")
    assert len(shapes._shapes) <= 256
    assert all(len(names) <= 32 and max(map(len, names)) <= 64 for _, names in shapes._shapes)
