"""What is known of each vendor, written down a second time: an address or a variable that changes by accident fails."""

from typing import Any

import pytest

from farthing.catalog.snapshot import bundled_snapshot
from farthing.config.schema import CredentialSource, OpenRouterAttribution, ProviderSettings
from farthing.errors import InvalidRequest, NotServed
from farthing.providers.protocol import Credential, Operation, Provider
from farthing.providers.registry import create_provider, known_providers
from farthing.types.secret import Secret
from farthing.types.usage import UsageHabits

OUTSIDE = UsageHabits(reasoning_outside=True)
ROWS = {
    # kind: base address, variable, name in the price list, asked for usage or not
    "openai": ("https://api.openai.com/v1", "OPENAI_API_KEY", "openai", "ask"),
    "anthropic": ("https://api.anthropic.com", "ANTHROPIC_API_KEY", "anthropic", "always"),
    "openrouter": ("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", "openrouter", "always"),
    "groq": ("https://api.groq.com/openai/v1", "GROQ_API_KEY", "groq", "always"),
    "deepseek": ("https://api.deepseek.com", "DEEPSEEK_API_KEY", "deepseek", "always"),
    "mistral": ("https://api.mistral.ai/v1", "MISTRAL_API_KEY", "mistral", "always"),
    "xai": ("https://api.x.ai/v1", "XAI_API_KEY", "x-ai", "ask"),
    "together": ("https://api.together.xyz/v1", "TOGETHER_API_KEY", "together", "always"),
    "fireworks": ("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY", "fireworks", "always"),
    "gemini-openai": ("https://generativelanguage.googleapis.com/v1beta/openai", None, "google", "ask"),
    "cerebras": ("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY", "cerebras", "always"),
    "moonshot": ("https://api.moonshot.ai/v1", "MOONSHOT_API_KEY", "moonshotai", "always"),
    "zai": ("https://api.z.ai/api/paas/v4", "ZAI_API_KEY", "zai", "ask"),
    "perplexity": ("https://api.perplexity.ai", "PERPLEXITY_API_KEY", "perplexity", "always"),
    "cohere": ("https://api.cohere.ai/compatibility/v1", "CO_API_KEY", "cohere", "always"),
    "alibaba": ("https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "DASHSCOPE_API_KEY", None, "ask"),
    "huggingface": ("https://router.huggingface.co/v1", "HF_TOKEN", None, "ask"),
    "baseten": ("https://inference.baseten.co/v1", "BASETEN_API_KEY", "baseten", "ask"),
    "vercel-gateway": ("https://ai-gateway.vercel.sh/v1", "AI_GATEWAY_API_KEY", None, "ask"),
    "azure": (None, "AZURE_OPENAI_API_KEY", "azure", "ask"),
    "llamacpp": ("http://127.0.0.1:8080/v1", None, None, "ask"),
    "vllm": ("http://127.0.0.1:8000/v1", None, None, "ask"),
    "lmstudio": ("http://127.0.0.1:1234/v1", None, None, "ask"),
    "openai-compatible": (None, None, None, "ask"),
}
LOCAL = {"llamacpp", "vllm", "lmstudio"}
HABITS = {
    "xai": OUTSIDE,
    "perplexity": OUTSIDE,
    "vercel-gateway": OUTSIDE,
    "gemini-openai": UsageHabits(hidden_in_total="reasoning"),
    "mistral": UsageHabits(hidden_in_total="input_audio"),
}


def configured(kind: str, base_url: str | None = None, **more: Any) -> Provider:
    known = known_providers()[kind]
    settings = ProviderSettings(
        name=kind,
        kind=kind,
        wire=known.wire,
        base_url=base_url or known.base_url or "",
        credential=CredentialSource("none"),
        **more,
    )
    return create_provider(settings, Credential(secret=Secret("sk-1")))


def head(
    provider: Provider, operation: Operation = "chat.completions", query: bytes = b"", headers: bytes = b""
) -> str:
    return provider.request_head(operation, query, headers, 0, "my model").decode()


@pytest.mark.parametrize("kind", ROWS)
def test_every_row_has_its_address_its_variable_its_prices_and_its_way_to_report_usage(kind: str) -> None:
    known = known_providers()[kind]
    assert (known.base_url, known.credential_env, known.price_key, known.stream_usage) == ROWS[kind]
    assert known.habits == HABITS.get(kind, UsageHabits())
    assert known.free == (kind in LOCAL)
    assert known.wire not in known.also
    if known.price_key is not None:
        assert bundled_snapshot().names(known.price_key), f"the price list has no {known.price_key}"


def test_every_kind_that_speaks_chat_has_a_row_here_and_a_variable_of_its_own() -> None:
    known = known_providers()
    assert {kind for kind, row in known.items() if row.wire == "openai_chat"} <= set(ROWS)
    variables = [row.credential_env for row in known.values() if row.credential_env is not None]
    assert len(variables) == len(set(variables))


def test_the_makers_of_models_are_those_whose_price_list_is_of_their_own_models() -> None:
    makers = {kind: row.price_key for kind, row in known_providers().items() if row.maker}
    assert makers == {
        "anthropic": "anthropic",
        "deepseek": "deepseek",
        "gemini": "google",
        "mistral": "mistral",
        "openai": "openai",
    }


def test_every_provider_has_a_path_for_every_format_that_it_says_it_speaks() -> None:
    operations: dict[str, Operation] = {
        "openai_chat": "chat.completions",
        "openai_responses": "responses",
        "openai_completions": "completions",
        "openai_embeddings": "embeddings",
    }
    for kind in ROWS.keys() - {"anthropic"}:
        provider = configured(kind, ROWS[kind][0] or "https://x.example/openai/v1")
        for wire in (provider.known.wire, *provider.known.also):
            assert head(provider, operations[wire]).startswith("POST /"), (kind, wire)
        assert head(provider, "models").startswith("GET /")


def test_perplexity_has_its_chat_beside_the_version_and_the_rest_behind_it() -> None:
    perplexity = configured("perplexity")
    assert head(perplexity).startswith("POST /chat/completions HTTP/1.1\r\n")
    assert head(perplexity, "models").startswith("GET /v1/models HTTP/1.1\r\n")


def test_azure_in_the_new_style_has_the_key_in_its_own_header() -> None:
    azure = configured("azure", "https://x.openai.azure.com/openai/v1")
    told = head(azure)
    assert told.startswith("POST /openai/v1/chat/completions HTTP/1.1\r\n")
    assert "api-key: sk-1\r\n" in told
    assert "authorization" not in told


@pytest.mark.parametrize("base_url", ["https://x.openai.azure.com", "https://x.openai.azure.com/openai"])
def test_azure_in_the_old_style_has_the_deployment_in_the_path_and_a_dated_version(base_url: str) -> None:
    azure = configured("azure", base_url)
    start = "POST /openai/deployments/my%20model/chat/completions?"
    assert head(azure).startswith(f"{start}api-version=2024-10-21 HTTP/1.1\r\n")
    assert head(azure, query=b"api-version=2025-01-01").startswith(f"{start}api-version=2025-01-01 HTTP/1.1\r\n")
    assert head(azure, query=b"a=b").startswith(f"{start}a=b&api-version=2024-10-21 HTTP/1.1\r\n")
    assert head(azure, "responses").startswith("POST /openai/responses?api-version=2024-10-21 HTTP/1.1\r\n")
    assert "api-key: sk-1\r\n" in head(azure)
    dated = configured("azure", base_url, api_version="2025-04-01-preview")
    assert head(dated, "models").startswith("GET /openai/models?api-version=2025-04-01-preview HTTP/1.1\r\n")


@pytest.mark.parametrize("base_url", ["https://x.services.ai.azure.com/models", "https://x.example/lab/models/"])
def test_azure_with_everybodys_models_has_the_model_in_the_body_and_a_dated_version(base_url: str) -> None:
    azure = configured("azure", base_url.rstrip("/"))
    base = "/lab/models" if "lab" in base_url else "/models"
    version = "api-version=2024-05-01-preview"
    assert head(azure).startswith(f"POST {base}/chat/completions?{version} HTTP/1.1\r\n")
    assert head(azure, "embeddings").startswith(f"POST {base}/embeddings?{version} HTTP/1.1\r\n")
    assert "api-key: sk-1\r\n" in head(azure)
    assert "2025-01-01" in head(configured("azure", base_url.rstrip("/"), api_version="2025-01-01"))
    assert [wire for wire in known_providers()["azure"].also if azure.known.speaks(wire)] == ["openai_embeddings"]
    for operation in ("models", "responses", "completions"):
        with pytest.raises(NotServed):
            head(azure, operation)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../../x", "a\\b", "a\nb", "a\x00b", "\x7f"])
def test_a_deployment_that_is_no_part_of_a_path_is_refused(name: str) -> None:
    azure = configured("azure", "https://x.openai.azure.com")
    with pytest.raises(InvalidRequest, match="cannot stand in a path"):
        azure.request_head("chat.completions", b"", b"", 5, name)
    assert azure.request_head("responses", b"", b"", 5, name).startswith(b"POST /openai/responses?")


def test_a_version_is_only_what_is_named_so() -> None:
    told = head(configured("azure", "https://x.openai.azure.com"), query=b"my-api-version=1")
    assert "?my-api-version=1&api-version=2024-10-21 HTTP" in told


def test_openrouter_is_told_whose_traffic_it_is_where_the_settings_say_so() -> None:
    assert "x-title" not in head(configured("openrouter"))
    ours = configured("openrouter", attribution=OpenRouterAttribution(title="Our app", url="https://example.com"))
    assert "http-referer: https://example.com\r\nx-title: Our app\r\n" in head(ours)
    told = head(ours, headers=b"x-title: Theirs\r\n")
    assert "x-title: Theirs\r\n" in told
    assert "Our app" not in told
