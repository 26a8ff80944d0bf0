"""Which provider is meant by the name that a client sent.

The order is: an alias, or a router, which is no single model and for the gateway to serve; a model of the face's own
provider; a bare name that exactly one configured provider has; else `provider:model` or `provider/model`, whose model
is sent as it is, known or not. What surprised us: resellers list names such as `openai/gpt-oss-20b`, so a name with a
slash is looked for as a whole before its beginning is taken for a provider, and `qwen3:8b` is a name of its own at
Ollama.
"""

import difflib
import heapq
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

import msgspec

from farthing.errors import InvalidRequest, ModelNotFound
from farthing.types.models import ListedModel, ModelRef
from farthing.types.providers import KnownProvider, WireFormat

MAX_RESOLVED: Final = 4_096
"""Answers kept: ten times the models that a busy gateway was seen to be asked for; about 1 MB."""
MAX_NAME_CHARS: Final = 256
"""Longer names are resolved but not kept; the longest known one has 80 characters."""
MAX_LEARNED: Final = 5_000
"""Names kept of what one provider lists; ten times the longest known list."""
MAX_COMPARED: Final = 200
"""Names compared letter by letter for "did you mean": 2 ms; those that share most words come first."""
MAX_QUOTED_CHARS: Final = 100
"""Of an unknown name in an error message."""

OWN_KIND: Final[dict[WireFormat, str]] = {
    "openai_chat": "openai",
    "openai_responses": "openai",
    "openai_completions": "openai",
    "openai_embeddings": "openai",
    "anthropic_messages": "anthropic",
    "gemini": "gemini",
    "ollama": "ollama",
}
"""The kind of provider that a format means when a name does not say which."""


class CatalogProvider(msgspec.Struct, frozen=True, kw_only=True):
    """A configured provider, as far as names go.

    `price_key` is its name in the price list, `foreign` are beginnings of names there that it does not serve, and
    `models` are further names known from the settings.
    """

    name: str
    kind: str
    price_key: str | None = None
    models: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()


class Catalog:
    """Resolves names and lists them; the order of `providers` is the order of the list.

    `knows(price_key, model)` and `names(price_key)` are the price list's; `not_configured` are further makers of
    models. An alias is a `ModelRef`, or the text
    `provider:model` or `provider/model` that names a configured provider; the settings were checked for that.
    """

    def __init__(
        self,
        *,
        aliases: Mapping[str, ModelRef | str],
        providers: Sequence[CatalogProvider],
        knows: Callable[[str | None, str], bool],
        names: Callable[[str | None], Iterable[str]],
        not_configured: Sequence[KnownProvider] = (),
        named: bool = False,
        routers: Collection[str] = (),
    ) -> None:
        """`named` says that the settings name the providers, so that a key in the environment alone adds none.

        `routers` are names that stand for several models: none of them is one model's, also where one is called so.
        """
        self._routers = routers
        self._providers = {provider.name: provider for provider in providers}
        self._knows = knows
        self._not_configured = not_configured
        self._named = named
        self._names = names
        self._given = {provider.name: frozenset(provider.models) for provider in providers}
        self._learned: dict[str, dict[str, None]] = {}
        self._resolved: dict[tuple[str, WireFormat], ModelRef] = {}
        self._listings: dict[WireFormat, list[ListedModel]] = {}
        self._aliases = {alias: self._target(alias, target) for alias, target in aliases.items()}

    def resolve(self, asked: str, face_wire: WireFormat) -> ModelRef:
        """Return the model that a client of this format means; 0.2 us for a name that was asked for before.

        Raises:
            ModelNotFound: no provider can be chosen.
            InvalidRequest: several could be, or are: it is a router.
        """
        key = (asked, face_wire)
        known = self._resolved.get(key)
        if known is not None:
            return known
        found = self._look_up(asked, face_wire)
        if len(asked) <= MAX_NAME_CHARS:
            if len(self._resolved) >= MAX_RESOLVED:
                self._resolved.clear()
            self._resolved[key] = found
        return found

    def known(self, asked: str, face_wire: WireFormat) -> ModelRef | None:
        """Return what a name that was asked for before means; `None` where it has to be looked up."""
        return self._resolved.get((asked, face_wire))

    def learn(self, provider: str, names: Iterable[str]) -> None:
        """Take what a configured provider lists in place of what it listed before."""
        learned = dict.fromkeys(name for name, _ in zip(names, range(MAX_LEARNED), strict=False) if name)
        if learned == self._learned.get(provider):
            return
        self._learned[provider] = learned
        self.forget()

    def forget(self) -> None:
        """Forget what names were found to mean: the price list has changed."""
        self._resolved.clear()
        self._listings.clear()

    def listing(self, face_wire: WireFormat = "openai_chat") -> list[ListedModel]:
        """Return aliases, then every known model under the shortest name that means it to a client of this format."""
        listing = self._listings.get(face_wire)
        if listing is None:
            listing = [ListedModel(alias, ref) for alias, ref in self._aliases.items()]
            for provider in self._providers.values():
                for model in self._models_of(provider):
                    ref = ModelRef(provider.name, model)
                    listing.append(ListedModel(model if self._means(model, face_wire, ref) else str(ref), ref))
            self._listings[face_wire] = listing
        return list(listing)

    # ---- resolving

    def _look_up(self, asked: str, face_wire: WireFormat) -> ModelRef:
        if (alias := self._aliases.get(asked)) is not None:
            return alias
        if asked in self._routers:
            raise InvalidRequest(f"'{asked}' is a router and no single model", hint="name one of its models")
        having = [provider for provider in self._providers.values() if self._has(provider, asked)]
        own = [provider for provider in having if provider.kind == OWN_KIND[face_wire]]
        if len(own) == 1:
            return ModelRef(own[0].name, asked)
        if not own and len(having) == 1:
            return ModelRef(having[0].name, asked)
        if (named := self._by_prefix(asked)) is not None:
            return named
        if having:
            candidates = ", ".join(f"'{provider.name}:{asked}'" for provider in own or having)
            raise InvalidRequest(f"model '{asked}' is ambiguous: {candidates}", hint="ask for one of these")
        raise self._not_found(asked)

    def has(self, model: str) -> bool:
        """Whether a configured provider is known to have a model of this name."""
        return any(self._has(provider, model) for provider in self._providers.values())

    def names_itself(self, ref: ModelRef) -> bool:
        """Whether the operator's settings name the model, by an alias or a price."""
        return ref.model in self._given[ref.provider]

    def _has(self, provider: CatalogProvider, model: str) -> bool:
        learned = self._learned.get(provider.name, ())
        # Ollama lists `llama3:latest` and takes `llama3` for it; nobody else ends a name so.
        if model in self._given[provider.name] or model in learned or f"{model}:latest" in learned:
            return True
        # Cerebras' price list also spells its models `cerebras:name`; that is our prefix, and no name to send.
        if model.startswith((f"{provider.name}:", *provider.foreign)):
            return False
        return self._knows(provider.price_key, model)

    def _by_prefix(self, asked: str) -> ModelRef | None:
        cut = _SEPARATOR.search(asked)
        if cut is None or asked[: cut.start()] not in self._providers or cut.end() == len(asked):
            return None
        return ModelRef(asked[: cut.start()], asked[cut.end() :])

    def _target(self, alias: str, target: ModelRef | str) -> ModelRef:
        ref = target if isinstance(target, ModelRef) else self._by_prefix(target)
        assert ref is not None, f"alias '{alias}' means '{target}', which names no configured provider"
        assert ref.provider in self._providers, f"alias '{alias}' means '{ref}', whose provider is not configured"
        return ref

    def _models_of(self, provider: CatalogProvider) -> Iterable[str]:
        """Return each known name once: from the settings, and from the provider or, while it is silent, the price list.

        That list has models in it that nobody can ask for any more, and such as this account may not.
        """
        learned = self._learned.get(provider.name, {})
        listed = [name for name in self._names(provider.price_key) if not name.startswith(provider.foreign)]
        return dict.fromkeys((*provider.models, *(learned or listed)))

    def _means(self, name: str, face_wire: WireFormat, ref: ModelRef) -> bool:
        try:
            return self._look_up(name, face_wire) == ref
        except InvalidRequest:
            return False

    # ---- what to say when nothing fits

    def _not_found(self, asked: str) -> ModelNotFound:
        short = asked if len(asked) <= MAX_QUOTED_CHARS else f"{asked[:MAX_QUOTED_CHARS]}..."
        start = _SEPARATOR.split(asked, maxsplit=1)[0]
        for maker in self._not_configured:
            kind = maker.kind
            if start == kind or (not asked.startswith(maker.foreign) and self._knows(maker.price_key, asked)):
                add = f'runs "farthing providers add {kind}"'
                return ModelNotFound(
                    f"'{short}' is a model of {kind}, which is not configured",
                    hint=f"the operator {add}, because settings.yaml names the providers that are used"
                    if self._named
                    else f"the operator sets {maker.credential_env}, and starts again, or {add}",
                )
        if not self._providers:
            return ModelNotFound(
                f"Unknown model '{short}': no provider is configured",
                hint="the operator sets a key such as OPENAI_API_KEY and starts Farthing again",
            )
        near = nearest(asked[:MAX_QUOTED_CHARS], [listed.id for listed in self.listing()])
        known = f"nearest: {', '.join(near)}" if near else "nothing like it is known"
        providers = ", ".join(self._providers) or "none"
        return ModelNotFound(
            f"Unknown model '{short}'; {known}.",
            hint=f"name the provider to send it as it is, provider:model; configured providers: {providers}",
        )


def nearest(asked: str, names: Sequence[str]) -> list[str]:
    """Return up to three names that look like `asked`, the most alike first."""
    words = set(_WORD.findall(asked.lower()))
    start = asked[:2].lower()
    compared = heapq.nlargest(MAX_COMPARED, names, key=partial(_shared, words, start))
    return difflib.get_close_matches(asked, compared, n=3, cutoff=0.6)


def _shared(words: set[str], start: str, name: str) -> int:
    lowered = name.lower()
    return sum(len(word) for word in words if word in lowered) + lowered.startswith(start)


_SEPARATOR: Final = re.compile(r"[:/]")
_WORD: Final = re.compile(r"[a-z0-9]+")
