"""Which models a key may use, and how a body may try to name another.

An entry of a key's list means what it would mean if this client asked for it, so a model is allowed under each of its
names, and an alias goes on meaning what the operator lets it mean. A router in it allows the router, with whatever
models the operator gives it, and none of these by itself. What surprised us: OpenRouter takes further models
in a body and falls back to them, and Ollama's server reads `Model` for `model`.
"""

from collections.abc import Callable, Sequence

from farthing.catalog.name_patterns import fits
from farthing.errors import InvalidRequest, ModelNotAllowed, ModelNotFound
from farthing.types.models import ListedModel, ModelRef
from farthing.types.principal import KeyRules
from farthing.wire.peek import Envelope

_NAMING_MODELS = frozenset({"model", "models", "preset", "fallbacks"})
"""Members of a body that some provider chooses a model by, in small letters."""
_MOST_NAMED = 20
"""Allowed models that a refusal names."""

Resolve = Callable[[str], ModelRef]
"""What a name means to the client that asks."""


class Allowed:
    """The models that a key with a list may use."""

    def __init__(self, rules: KeyRules, resolve: Resolve) -> None:
        self._names = rules.models
        self._patterns = [name for name in rules.models if "*" in name]
        self._refs = {ref for name in rules.models if "*" not in name and (ref := _meant(name, resolve)) is not None}

    def allows(self, asked: str, ref: ModelRef) -> bool:
        """Whether the model that was asked for by this name may be used."""
        if ref in self._refs:
            return True
        full = str(ref)
        return any(fits(pattern, full) or fits(pattern, asked) for pattern in self._patterns)

    def through(self, router: str) -> Callable[[ModelRef], bool]:
        """Return which models of a router may answer: all where the list has the router itself, else those in it."""
        if router in self._names or any(fits(pattern, router) for pattern in self._patterns):
            return lambda _: True
        return lambda ref: self.allows(str(ref), ref)

    def among(self, listing: list[ListedModel]) -> list[ListedModel]:
        """Return those of a list of models that may be used."""
        return [row for row in listing if self.allows(row.id, row.ref)]


def choosable(rules: KeyRules | None, listing: list[ListedModel], resolve: Resolve) -> list[ListedModel]:
    """Return those of a list of models that such a key's client may choose from; one that is bound has no choice."""
    if rules is None or not rules.about_models:
        return listing
    return [] if rules.bound_model is not None else Allowed(rules, resolve).among(listing)


def of_router(rules: KeyRules | None, router: str, refs: Sequence[ModelRef], resolve: Resolve) -> list[ModelRef]:
    """Return those of a router's models that such a key's client may have answer."""
    if rules is None or not rules.about_models or rules.bound_model is not None or router in rules.models:
        return [*refs]  # one that is bound is asked for by the operator
    return [*filter(Allowed(rules, resolve).through(router), refs)]


def not_allowed(asked: str, rules: KeyRules) -> ModelNotAllowed:
    """Return the refusal of a model; it names those that may be used and no others."""
    return ModelNotAllowed(
        f"This key may not use the model '{asked[:100]}'; it may use: {_named(rules)}.",
        hint='ask for one of these; the operator changes the list: "farthing keys edit NAME --model MODEL".',
    )


def refuse_further_models(envelope: Envelope, rules: KeyRules) -> None:
    """Raise where a body names a model anywhere but in its one `model`: a provider could use that one.

    Raises:
        ModelNotAllowed: another member could choose a model.
        InvalidRequest: a member stands twice, or is written with escapes.
    """
    for name in envelope:
        if name != "model" and name.lower() in _NAMING_MODELS:
            allowed = rules.bound_model or _named(rules)
            raise ModelNotAllowed(
                f'This key is for {allowed}, and "{name[:40]}" in the body could name another model.',
                hint='send "model" alone.',
            )
    envelope.spliced({})


def _named(rules: KeyRules) -> str:
    more = len(rules.models) - _MOST_NAMED
    return ", ".join(rules.models[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _meant(name: str, resolve: Resolve) -> ModelRef | None:
    try:
        return resolve(name)
    except (ModelNotFound, InvalidRequest):
        return None  # nobody has it now, or it means several: then it allows none
