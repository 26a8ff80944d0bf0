from collections.abc import Mapping

import pytest

from farthing.errors import InvalidRequest, ModelNotAllowed, ModelNotFound
from farthing.gateway.permission import Allowed, choosable, not_allowed, refuse_further_models
from farthing.types.models import ListedModel, ModelRef
from farthing.types.principal import KeyRules
from farthing.wire.peek import Envelope

MEANINGS: Mapping[str, ModelRef] = {
    "gpt-5-mini": ModelRef("openai", "gpt-5-mini"),
    "fast": ModelRef("lab", "small"),
    "openrouter/openai/gpt-5": ModelRef("openrouter", "openai/gpt-5"),
}


def resolve(name: str) -> ModelRef:
    if name == "both":
        raise InvalidRequest("it means several")
    if name not in MEANINGS:
        raise ModelNotFound("nobody has it")
    return MEANINGS[name]


@pytest.mark.parametrize(
    ("entry", "asked", "ref", "allowed"),
    [
        ("gpt-5-mini", "openai:gpt-5-mini", ModelRef("openai", "gpt-5-mini"), True),
        ("gpt-5-mini", "azure:gpt-5-mini", ModelRef("azure", "gpt-5-mini"), False),
        ("fast", "lab:small", ModelRef("lab", "small"), True),
        ("openai:*", "gpt-5", ModelRef("openai", "gpt-5"), True),
        ("openai:*", "openrouter/openai/gpt-5", ModelRef("openrouter", "openai/gpt-5"), False),
        ("gpt-5*", "gpt-5-mini", ModelRef("openai", "gpt-5-mini"), True),
        ("gpt-5*", "azure:gpt-5-mini", ModelRef("azure", "gpt-5-mini"), False),
        ("*", "anything", ModelRef("lab", "x"), True),
        ("nobody-has-it", "small", ModelRef("lab", "small"), False),
        ("both", "small", ModelRef("lab", "small"), False),
    ],
)
def test_an_entry_allows_what_it_means_and_what_its_pattern_fits(
    entry: str, asked: str, ref: ModelRef, *, allowed: bool
) -> None:
    found = Allowed(KeyRules(models=(entry,)), resolve)
    assert found.allows(asked, ref) is allowed
    assert found.among([ListedModel(asked, ref)]) == ([ListedModel(asked, ref)] if allowed else [])


def test_a_bound_key_has_no_choice_and_one_without_rules_about_models_has_every() -> None:
    listing = [ListedModel(name, ref) for name, ref in MEANINGS.items()]
    assert choosable(None, listing, resolve) == choosable(KeyRules(faces=("ollama",)), listing, resolve) == listing
    assert choosable(KeyRules(models=("fast",)), listing, resolve) == [ListedModel("fast", MEANINGS["fast"])]
    assert choosable(KeyRules("fast"), listing, resolve) == []


def test_a_refusal_names_what_is_allowed_up_to_a_bound() -> None:
    error = not_allowed("x" * 300, KeyRules(models=tuple(f"m{number}" for number in range(25))))
    assert "m19 and 5 more." in error.message
    assert len(error.message) < 300
    assert (error.status, error.code) == (403, "model_not_allowed")


@pytest.mark.parametrize("name", ["models", "MODEL", "Model", "preset", "fallbacks"])
def test_a_body_may_name_no_further_model(name: str) -> None:
    rules = KeyRules("fast")
    refuse_further_models(Envelope(b'{"model":"x","messages":[]}'), rules)
    with pytest.raises(ModelNotAllowed, match=f'This key is for fast, and "{name}" in the body'):
        refuse_further_models(Envelope(b'{"model":"x","%b":["y"]}' % name.encode()), rules)
