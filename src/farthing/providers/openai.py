"""OpenAI itself: usage in a stream of chat or completions only when asked for, and everybody's reference."""

from farthing.config.schema import ProviderSettings
from farthing.providers.openai_compatible import OpenAICompatible
from farthing.providers.protocol import Credential
from farthing.types.providers import KnownProvider

KNOWN = (
    KnownProvider(
        kind="openai",
        wire="openai_chat",
        also=("openai_responses", "openai_completions", "openai_embeddings"),
        base_url="https://api.openai.com/v1",
        credential_env="OPENAI_API_KEY",
        stream_usage="ask",
        price_key="openai",
        maker=True,
    ),
)


def create(settings: ProviderSettings, known: KnownProvider, credential: Credential) -> OpenAICompatible:
    """Return the provider that `settings` describe."""
    return OpenAICompatible(settings, known, credential)
