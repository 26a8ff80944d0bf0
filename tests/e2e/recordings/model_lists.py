"""Recorded lists of models, read by the provider that they come from."""

import json

from farthing.config.schema import CredentialSource, ProviderSettings
from farthing.providers.protocol import Credential
from farthing.providers.registry import create_provider, known_providers
from tests.e2e.recordings.exchanges import Exchange

_ASKABLE = {"generateContent", "embedContent", "batchEmbedContents"}


def is_list_of_models(exchange: Exchange) -> bool:
    """Whether an exchange is a list of models that a kind of provider of ours would have asked for."""
    return (
        exchange.method == "GET"
        and exchange.path.endswith(("/models", "/api/tags"))
        and exchange.status == 200
        and exchange.provider in known_providers()
        and exchange.provider != "cohere"  # recorded at its own address, and asked at the one that speaks like OpenAI
        and exchange.path != "/api/models"  # Hugging Face's hub, not its router
        and exchange.kind == "json"
    )


def read_names(exchange: Exchange) -> list[str]:
    """Return the names that the gateway would learn from a recorded list."""
    known = known_providers()[exchange.provider]
    settings = ProviderSettings(
        name=exchange.provider,
        kind=known.kind,
        wire=known.wire,
        base_url="https://provider.invalid",
        credential=CredentialSource("none"),
    )
    return create_provider(settings, Credential()).model_names(exchange.recorded)


def recorded_names(exchange: Exchange) -> list[str]:
    """Return the names that a recorded list has, but for Gemini's that nothing here can ask."""
    answer = json.loads(exchange.recorded)
    if exchange.provider == "gemini":
        rows = [row for row in answer["models"] if _ASKABLE & set(row["supportedGenerationMethods"])]
        return [row["name"].removeprefix("models/") for row in rows]
    if "models" in answer and exchange.provider == "ollama":
        return [row["name"] for row in answer["models"]]
    return [row["id"] for row in (answer if isinstance(answer, list) else answer["data"])]
