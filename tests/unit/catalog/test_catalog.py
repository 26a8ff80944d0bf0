from collections.abc import Iterable, Mapping

import pytest

from farthing.catalog.catalog import MAX_LEARNED, MAX_RESOLVED, Catalog, CatalogProvider, nearest
from farthing.errors import InvalidRequest, ModelNotFound
from farthing.providers.registry import known_providers
from farthing.types.models import ListedModel, ModelRef

PRICED = {
    "openai": ("gpt-5", "gpt-5-mini"),
    "anthropic": ("claude-sonnet-4-5",),
    "groq": ("openai/gpt-oss-20b", "llama-3.1-8b-instant"),
    "openrouter": ("openai/gpt-oss-20b", "openai/gpt-5"),
}
OPENAI = CatalogProvider(name="openai", kind="openai", price_key="openai")
ANTHROPIC = CatalogProvider(name="anthropic", kind="anthropic", price_key="anthropic")
GROQ = CatalogProvider(name="groq", kind="groq", price_key="groq")
OPENROUTER = CatalogProvider(name="openrouter", kind="openrouter", price_key="openrouter")
OLLAMA = CatalogProvider(name="ollama", kind="openai-compatible")


def knows(price_key: str | None, model: str) -> bool:
    return model in PRICED.get(price_key or "", ())


def names(price_key: str | None) -> Iterable[str]:
    return PRICED.get(price_key or "", ())


def catalog(*providers: CatalogProvider, aliases: Mapping[str, ModelRef | str] | None = None) -> Catalog:
    return Catalog(aliases=aliases or {}, providers=providers, knows=knows, names=names)


def resolved(made: Catalog, asked: str) -> str:
    return str(made.resolve(asked, "openai_chat"))


def test_alias_comes_before_everything() -> None:
    made = catalog(OPENAI, ANTHROPIC, aliases={"gpt-5": "anthropic:claude-sonnet-4-5", "fast": "openai/gpt-5-mini"})
    assert resolved(made, "gpt-5") == "anthropic:claude-sonnet-4-5"
    assert resolved(made, "fast") == "openai:gpt-5-mini"


def test_alias_may_be_a_checked_reference() -> None:
    made = catalog(OLLAMA, aliases={"local": ModelRef("ollama", "qwen3:8b")})
    assert made.resolve("local", "anthropic_messages") == ModelRef("ollama", "qwen3:8b")


def test_face_prefers_its_own_provider() -> None:
    reseller = CatalogProvider(name="reseller", kind="openai-compatible", models=("gpt-5", "claude-sonnet-4-5"))
    made = catalog(reseller, OPENAI, ANTHROPIC)
    assert str(made.resolve("gpt-5", "openai_chat")) == "openai:gpt-5"
    assert str(made.resolve("claude-sonnet-4-5", "anthropic_messages")) == "anthropic:claude-sonnet-4-5"


def test_a_name_may_mean_another_provider_on_another_face() -> None:
    ours = CatalogProvider(name="ours", kind="anthropic", models=("gpt-5",))
    made = catalog(OPENAI, ours)
    assert str(made.resolve("gpt-5", "openai_chat")) == "openai:gpt-5"
    assert str(made.resolve("gpt-5", "anthropic_messages")) == "ours:gpt-5"


def test_bare_name_that_one_provider_has_means_that_provider() -> None:
    assert resolved(catalog(OPENAI, GROQ), "llama-3.1-8b-instant") == "groq:llama-3.1-8b-instant"


def test_name_with_a_slash_is_first_looked_for_as_a_whole() -> None:
    assert resolved(catalog(OPENAI, GROQ), "openai/gpt-oss-20b") == "groq:openai/gpt-oss-20b"


def test_prefix_decides_where_several_providers_have_the_whole_name() -> None:
    assert resolved(catalog(OPENAI, GROQ, OPENROUTER), "openai/gpt-oss-20b") == "openai:gpt-oss-20b"


@pytest.mark.parametrize(
    ("asked", "means"),
    [
        ("ollama:qwen3:8b", ModelRef("ollama", "qwen3:8b")),
        ("ollama/qwen3:8b", ModelRef("ollama", "qwen3:8b")),
        ("openrouter/openai/gpt-oss-20b", ModelRef("openrouter", "openai/gpt-oss-20b")),
        ("openrouter:openai/gpt-oss-20b", ModelRef("openrouter", "openai/gpt-oss-20b")),
        ("openai:gpt-unheard-of", ModelRef("openai", "gpt-unheard-of")),
    ],
)
def test_after_a_provider_the_rest_is_sent_verbatim_known_or_not(asked: str, means: ModelRef) -> None:
    assert catalog(OPENAI, OPENROUTER, OLLAMA).resolve(asked, "openai_chat") == means


def test_a_price_list_that_spells_the_provider_before_the_name_does_not_make_it_part_of_the_name() -> None:
    listed = Catalog(aliases={}, providers=[GROQ], knows=lambda _, model: model == "groq:compound", names=names)
    assert listed.resolve("groq:compound", "openai_chat") == ModelRef("groq", "compound")


def test_ambiguous_name_is_refused_with_the_candidates() -> None:
    with pytest.raises(InvalidRequest) as refused:
        resolved(catalog(GROQ, OPENROUTER), "openai/gpt-oss-20b")
    assert "'groq:openai/gpt-oss-20b', 'openrouter:openai/gpt-oss-20b'" in str(refused.value)


def test_two_providers_of_the_face_s_own_kind_are_ambiguous() -> None:
    work = CatalogProvider(name="work", kind="openai", price_key="openai")
    made = catalog(OPENAI, work)
    with pytest.raises(InvalidRequest, match="'openai:gpt-5', 'work:gpt-5'"):
        resolved(made, "gpt-5")
    assert resolved(made, "work:gpt-5") == "work:gpt-5"


def test_unknown_name_is_quoted_with_the_nearest_and_the_way_out() -> None:
    with pytest.raises(ModelNotFound) as refused:
        resolved(catalog(OPENAI, ANTHROPIC), "gtp-5-mini")
    message = str(refused.value)
    assert "'gtp-5-mini'" in message
    assert "gpt-5-mini" in refused.value.message.partition("nearest:")[2]
    assert "provider:model; configured providers: openai, anthropic" in message


@pytest.mark.parametrize("asked", ["", ":", "/", "openai:", "openai/", "nobody:gpt-5", "é" * 10, "z"])
def test_names_that_choose_no_provider_are_not_found(asked: str) -> None:
    with pytest.raises(ModelNotFound):
        resolved(catalog(OPENAI, ANTHROPIC), asked)


def test_without_providers_the_message_says_so() -> None:
    with pytest.raises(ModelNotFound, match="no provider is configured"):
        resolved(catalog(), "gpt-5")


def test_an_overlong_name_is_cut_in_the_message() -> None:
    with pytest.raises(ModelNotFound) as refused:
        resolved(catalog(OPENAI), "x" * 100_000)
    assert len(str(refused.value)) < 500


def test_what_a_provider_lists_can_be_asked_for_by_its_bare_name() -> None:
    made = catalog(OPENAI, OLLAMA)
    with pytest.raises(ModelNotFound):
        resolved(made, "qwen3:8b")
    made.learn("ollama", ["qwen3:8b", "gemma3"])
    assert resolved(made, "qwen3:8b") == "ollama:qwen3:8b"
    made.learn("ollama", ["gemma3"])
    with pytest.raises(ModelNotFound):
        resolved(made, "qwen3:8b")


def test_learning_makes_an_answer_given_before_ambiguous_again() -> None:
    made = catalog(GROQ, OLLAMA)
    assert resolved(made, "llama-3.1-8b-instant") == "groq:llama-3.1-8b-instant"
    made.learn("ollama", ["llama-3.1-8b-instant"])
    with pytest.raises(InvalidRequest):
        resolved(made, "llama-3.1-8b-instant")


def test_learned_names_and_kept_answers_are_bounded() -> None:
    made = catalog(OLLAMA)
    made.learn("ollama", (f"m{number}" for number in range(MAX_LEARNED + 10)))
    assert len(made.listing()) == MAX_LEARNED
    for number in range(MAX_RESOLVED + 10):
        made.resolve(f"ollama:{number}", "openai_chat")
    made.resolve("ollama:" + "x" * 10_000, "openai_chat")
    assert len(made._resolved) <= MAX_RESOLVED
    assert max(len(asked) for asked, _ in made._resolved) < 100


def test_list_has_aliases_first_then_each_model_under_the_name_that_means_it() -> None:
    made = catalog(OPENAI, GROQ, OPENROUTER, OLLAMA, aliases={"fast": "openai:gpt-5-mini"})
    made.learn("ollama", ["qwen3:8b", "gpt-5"])
    listed = made.listing()
    assert listed[0] == ListedModel("fast", ModelRef("openai", "gpt-5-mini"))
    assert [model.id for model in listed[1:]] == [
        "gpt-5",
        "gpt-5-mini",
        "groq:openai/gpt-oss-20b",
        "llama-3.1-8b-instant",
        "openrouter:openai/gpt-oss-20b",
        "openai/gpt-5",
        "qwen3:8b",
        "ollama:gpt-5",
    ]
    assert all(made.resolve(model.id, "openai_chat") == model.ref for model in listed)


def test_a_list_has_the_names_that_mean_the_models_to_who_asks_for_it() -> None:
    ours = CatalogProvider(name="ours", kind="anthropic", models=("gpt-5",))
    made = catalog(OPENAI, ours)
    assert [model.id for model in made.listing() if model.ref.provider == "ours"] == ["ours:gpt-5"]
    assert [model.id for model in made.listing("anthropic_messages") if model.ref.provider == "ours"] == ["gpt-5"]


def test_what_a_provider_lists_itself_stands_for_what_the_price_list_knows_of_it() -> None:
    made = catalog(OPENAI)
    made.learn("openai", ["gpt-9"])
    assert [model.id for model in made.listing()] == ["gpt-9"]


def test_a_list_handed_out_may_be_changed_by_its_receiver() -> None:
    made = catalog(OPENAI)
    made.listing().clear()
    assert [model.id for model in made.listing()] == ["gpt-5", "gpt-5-mini"]


def test_alias_to_a_provider_that_is_not_configured_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="'fast'"):
        catalog(OPENAI, aliases={"fast": "groq:x"})


def test_nearest_prefers_names_that_share_words() -> None:
    many = [f"model-{number}" for number in range(1_000)] + ["claude-sonnet-4-5"]
    assert nearest("claude-sonet-4-5", many) == ["claude-sonnet-4-5"]


def test_a_name_in_a_price_list_that_the_provider_does_not_serve_is_not_its_name() -> None:
    google = CatalogProvider(name="gemini", kind="gemini", price_key="anthropic", foreign=("claude",))
    both = catalog(google, ANTHROPIC)
    assert both.resolve("claude-sonnet-4-5", "openai_chat") == ModelRef("anthropic", "claude-sonnet-4-5")
    assert not [listed.id for listed in both.listing() if listed.ref.provider == "gemini" and "claude" in listed.id]


def test_a_model_of_a_maker_that_is_not_configured_says_whose_it_is() -> None:
    made = Catalog(
        aliases={}, providers=[GROQ], knows=knows, names=names, not_configured=[known_providers()["anthropic"]]
    )
    for asked in ("claude-sonnet-4-5", "anthropic:claude-new"):
        with pytest.raises(ModelNotFound, match="a model of anthropic, which is not configured") as refused:
            made.resolve(asked, "openai_chat")
        assert "ANTHROPIC_API_KEY" in str(refused.value)


def test_where_the_settings_name_the_providers_a_key_alone_is_not_said_to_help() -> None:
    anthropic = known_providers()["anthropic"]
    made = Catalog(aliases={}, providers=[GROQ], knows=knows, names=names, not_configured=[anthropic], named=True)
    with pytest.raises(ModelNotFound) as refused:
        made.resolve("claude-sonnet-4-5", "openai_chat")
    assert refused.value.hint == (
        'the operator runs "farthing providers add anthropic", because settings.yaml names the providers that are used'
    )


def test_google_calls_its_price_list_otherwise_than_its_provider() -> None:
    google = known_providers()["gemini"]
    made = Catalog(
        aliases={},
        providers=[GROQ],
        knows=lambda price_key, model: price_key == "google" and model.startswith(("gemini", "claude")),
        names=lambda _: (),
        not_configured=[google],
    )
    with pytest.raises(ModelNotFound, match="is a model of gemini, which is not configured") as refused:
        made.resolve("gemini-2.5-flash", "openai_chat")
    assert "sets GEMINI_API_KEY" in str(refused.value)
    with pytest.raises(ModelNotFound, match="Unknown model 'claude-x'"):
        made.resolve("claude-x", "openai_chat")  # Google's list has it, and this address does not
